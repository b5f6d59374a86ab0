"""The rise/fall machine against its definition, by example and by generated histories."""

from hypothesis import given
from hypothesis import strategies as st

from checkers.base import Reason, Result
from checkers.health import ADOPTED, NOT_CHECKED, Health, State, Transition
from checkers.timing import Timing


def passed(at: float = 0.0) -> Result:
    return Result(
        healthy=True, reason=Reason.OK, sentence="connected in 0.2 ms", latency_ms=0.2, at=at
    )


def failed(at: float = 0.0) -> Result:
    sentence = "connection refused (L4) after 0.3 ms"
    return Result(healthy=False, reason=Reason.L4_REFUSED, sentence=sentence, latency_ms=0.3, at=at)


def test_an_unchecked_server_is_unknown_and_the_first_pass_brings_it_up() -> None:
    health = Health(Timing(), since=100.0)
    assert (health.state, health.sentence) == (State.UNKNOWN, NOT_CHECKED)
    assert health.outlook == "the first result decides"
    transition = health.handle(passed(at=101.0), 101.0)
    assert transition is not None
    assert (transition.before, transition.after) == (State.UNKNOWN, State.UP)
    assert transition.sentence == "the first check passed: connected in 0.2 ms"
    assert (health.state, health.since) == (State.UP, 101.0)


def test_a_first_failure_says_so() -> None:
    transition = Health(Timing(), since=0).handle(failed(), 0.0)
    assert transition is not None
    assert transition.sentence == "the first check failed: connection refused (L4) after 0.3 ms"


def test_fall_failures_in_a_row_take_an_adopted_server_out_with_the_reason() -> None:
    health = Health(Timing(fall=3), since=5.0, adopted=True)
    assert (health.state, health.since, health.sentence) == (State.UP, 5.0, ADOPTED)
    assert [health.handle(failed(), 0.0), health.handle(failed(), 0.0)] == [None, None]
    assert health.outlook == "down after 3 failures in a row, 2 so far"
    transition = health.handle(failed(at=9.0), 9.0)
    assert transition is not None
    assert transition.sentence == (
        "3 failures in a row, the last: connection refused (L4) after 0.3 ms"
    )
    assert health.outlook == "up after 2 passes in a row, 0 so far"


def test_a_pass_in_between_starts_the_count_anew() -> None:
    health = Health(Timing(fall=2), since=0, adopted=True)
    for result in (failed(), passed(), failed(), passed(), failed()):
        assert health.handle(result, 0.0) is None
    assert (health.state, health.failures) == (State.UP, 1)


def test_rise_and_fall_of_one_are_singular() -> None:
    health = Health(Timing(rise=1, fall=1), since=0, adopted=True)
    assert health.outlook == "down after 1 failure, 0 so far"
    down = health.handle(failed(), 0.0)
    up = health.handle(passed(), 0.0)
    assert down is not None
    assert up is not None
    assert down.sentence == "1 failure: connection refused (L4) after 0.3 ms"
    assert up.sentence == "1 pass: connected in 0.2 ms"


def test_a_revised_definition_keeps_the_state_and_counts_from_zero() -> None:
    health = Health(Timing(fall=3), since=0, adopted=True)
    health.handle(failed(), 0.0)
    health.revise(Timing(fall=2))
    assert (health.state, health.failures) == (State.UP, 0)
    assert health.handle(failed(), 0.0) is None
    assert health.handle(failed(), 0.0) is not None


def reference(history: list[bool], rise: int, fall: int, adopted: bool) -> list[str]:
    """The definition, written a second time by looking back over the whole history."""
    state = "up" if adopted else "unknown"
    states = []
    for end in range(1, len(history) + 1):
        seen = history[:end]
        if state == "unknown":
            state = "up" if seen[-1] else "down"
        elif state == "up" and end >= fall and not any(seen[-fall:]):
            state = "down"
        elif state == "down" and end >= rise and all(seen[-rise:]):
            state = "up"
        states.append(state)
    return states


@given(
    history=st.lists(st.booleans(), max_size=60),
    rise=st.integers(1, 5),
    fall=st.integers(1, 5),
    adopted=st.booleans(),
)
def test_every_history_ends_as_defined(
    history: list[bool], rise: int, fall: int, adopted: bool
) -> None:
    health = Health(Timing(rise=rise, fall=fall), since=0, adopted=adopted)
    expected = reference(history, rise, fall, adopted)
    for at, healthy in enumerate(history):
        before = health.state
        transition = health.handle(passed(at) if healthy else failed(at), at)
        assert health.state.value == expected[at]
        check_transition(transition, before, health, at)
        assert (health.passes > 0) is healthy
        assert (health.failures > 0) is not healthy


def check_transition(
    transition: Transition | None, before: State, health: Health, at: float
) -> None:
    """A transition is reported exactly when the state changed, and tells it correctly."""
    assert (transition is not None) == (health.state is not before)
    if transition is not None:
        assert (transition.before, transition.after, transition.at) == (before, health.state, at)
        assert health.since == at
        assert health.sentence == transition.sentence


def test_it_comes_back_after_its_passes_and_its_time() -> None:
    health = Health(Timing(rise=2, up_after=5.0, fall=1), since=0, adopted=True)
    assert health.handle(failed(), 10.0) is not None
    assert [health.handle(passed(), at) for at in (11.0, 12.0, 15.9)] == [None, None, None]
    assert health.outlook == "up after 2 passes in a row over 5 s, 3 so far"
    assert health.handle(failed(), 16.0) is None  # the time begins anew
    assert [health.handle(passed(), at) for at in (17.0, 21.9)] == [None, None]
    assert health.handle(passed(), 22.0) is not None


def test_a_configured_beginning() -> None:
    up, down = (Health(Timing(initial=word), since=0) for word in ("up", "down"))
    assert (up.state, down.state) == (State.UP, State.DOWN)
    assert "`initial: up`" in up.sentence
    assert up.handle(failed(), 0.0) is None
    assert [down.handle(passed(), 0.0) is None for _ in range(2)] == [True, False]
    assert Health(Timing(initial="down"), since=0, adopted=True).state is State.UP


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from((0.1, 1.0, 7.0)), st.booleans())),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from((None, 5.0)),
    st.booleans(),
)
def test_no_history_breaks_the_promises(
    steps: list[tuple[bool, float, bool]],
    rise: int,
    fall: int,
    up_after: float | None,
    manual_resume: bool,
) -> None:
    """Rise, fall, the time and the hold: no transition comes earlier than all of them allow."""
    timing = Timing(rise=rise, fall=fall, up_after=up_after, manual_resume=manual_resume)
    health = Health(timing, since=0, adopted=True)
    now, run, run_since, held = 0.0, 0, 0.0, False
    last: bool | None = None
    for healthy, later, resumes in steps:
        now += later
        run, run_since = (run + 1, run_since) if healthy is last else (1, now)
        last = healthy
        before = health.state
        health.handle(passed(now) if healthy else failed(now), now)
        if before is State.UP and health.state is State.DOWN:
            assert not healthy
            assert run >= fall
            held = manual_resume
        if before is State.DOWN and health.state is State.UP:
            assert healthy
            assert run >= rise
            assert now - run_since >= (up_after or 0.0)
            assert not held
        assert (health.held_since is not None) == held
        assert health.passes + health.failures == run
        if resumes:
            health.resume(passed(now) if healthy else failed(now), now)
            held = False
