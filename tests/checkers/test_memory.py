"""What is kept of a check across a restart: nothing lost, nothing made up, nothing trusted."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers import limits
from checkers.base import Reason, Result
from checkers.health import Health, State
from checkers.memory import Memory, MemoryFault, from_json, recall, to_json
from checkers.timing import Timing

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.integers(min_value=0, max_value=10**9)
RESULTS = st.builds(
    Result,
    healthy=st.booleans(),
    reason=st.sampled_from(Reason),
    sentence=st.text(max_size=100),
    latency_ms=NUMBERS,
    at=NUMBERS,
)


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    passes, failures = draw(st.tuples(COUNTS, st.just(0)) | st.tuples(st.just(0), COUNTS))
    return Memory(
        digest=draw(st.text("0123456789abcdef", min_size=32, max_size=32)),
        state=draw(st.sampled_from(State)),
        since=draw(NUMBERS),
        sentence=draw(st.text(max_size=100)),
        passes=passes,
        failures=failures,
        held_since=draw(st.none() | NUMBERS),
        passed=draw(COUNTS),
        failed=draw(COUNTS),
        results=tuple(draw(st.lists(RESULTS, max_size=limits.RESULTS_REMEMBERED_MAX))),
    )


@given(memories())
def test_a_memory_comes_back_as_it_was(memory: Memory) -> None:
    assert from_json(json.loads(json.dumps(to_json(memory)))) == memory


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(JSON, memories(), st.data())
def test_damage_is_a_fault_and_nothing_else(
    junk: object, memory: Memory, data: st.DataObject
) -> None:
    damaged = to_json(memory)
    damaged[data.draw(st.sampled_from(sorted(damaged)))] = junk
    for one in (junk, damaged):
        with suppress(MemoryFault):
            assert isinstance(from_json(one), Memory)  # junk that happens to fit


def remembered(state: State, **more: object) -> Memory:
    facts: dict[str, object] = {
        "digest": "d",
        "state": state,
        "since": 5.0,
        "sentence": "as before",
        "passes": 0,
        "failures": 2,
        "held_since": None,
        "passed": 9,
        "failed": 2,
    }
    return Memory(**{**facts, **more})  # type: ignore[arg-type]


def result(*, healthy: bool) -> Result:
    reason = Reason.OK if healthy else Reason.L4_REFUSED
    return Result(healthy=healthy, reason=reason, sentence="so", latency_ms=1.0, at=50.0)


def test_one_that_was_down_needs_its_passes_after_a_restart() -> None:
    health = Health(Timing(rise=2), since=100.0)
    recall(health, remembered(State.DOWN))
    assert (health.state, health.since, health.sentence) == (State.DOWN, 5.0, "as before")
    assert health.handle(result(healthy=True), 0.0) is None
    assert health.handle(result(healthy=True), 1.0) is not None


def test_one_about_to_fall_goes_on_counting() -> None:
    health = Health(Timing(fall=3), since=100.0, adopted=True)
    recall(health, remembered(State.UP))
    transition = health.handle(result(healthy=False), 0.0)
    assert transition is not None
    assert transition.after is State.DOWN


def test_one_that_was_up_and_is_not_in_the_table_is_unknown() -> None:
    health = Health(Timing(), since=100.0)
    recall(health, remembered(State.UP))
    assert health.state is State.UNKNOWN


def test_one_that_was_down_and_was_put_into_the_table_since_stays() -> None:
    health = Health(Timing(), since=100.0, adopted=True)
    recall(health, remembered(State.DOWN))
    assert health.state is State.UP


@pytest.mark.parametrize("adopted", [False, True])
def test_one_that_is_held_stays_held(adopted: bool) -> None:
    health = Health(Timing(manual_resume=True), since=100.0, adopted=adopted)
    recall(health, remembered(State.DOWN, held_since=7.0))
    assert (health.state, health.held_since) == (State.DOWN, 7.0)
    for second in range(10):
        assert health.handle(result(healthy=True), float(second)) is None
    assert "waits for manual resume since 1970-01-01 00:00:07 UTC" in health.outlook


def test_how_long_passes_had_come_is_counted_anew() -> None:
    health = Health(Timing(rise=2, up_after=10.0), since=100.0)
    recall(health, remembered(State.DOWN, passes=50, failures=0))
    assert health.handle(result(healthy=True), 1000.0) is None
    assert health.handle(result(healthy=True), 1009.0) is None
    assert health.handle(result(healthy=True), 1010.0) is not None
