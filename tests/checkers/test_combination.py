"""Several verdicts together, against the definition and against every order of arrival."""

from hypothesis import given
from hypothesis import strategies as st

from checkers.combination import combined, explained
from checkers.health import State

U, P, D = State.UNKNOWN, State.UP, State.DOWN
STATES = st.lists(st.sampled_from(State), min_size=1, max_size=6)


def test_all_any_and_two_of_three() -> None:
    assert combined([P, P, D], 0) is D
    assert combined([P, P, U], 0) is U
    assert combined([P, P, P], 0) is P
    assert combined([D, D, P], 1) is P
    assert combined([D, D, U], 1) is U
    assert combined([D, D, D], 1) is D
    assert combined([P, U, P], 2) is P
    assert combined([P, D, D], 2) is D
    assert combined([P, D, U], 2) is U


@given(STATES, st.integers(min_value=0, max_value=6))
def test_unknown_ones_decide_nothing_and_what_is_decided_stays_so(
    states: list[State], require: int
) -> None:
    require = min(require, len(states))
    verdict = combined(states, require)
    # However the unknown ones turn out, a verdict that is there already holds.
    outcomes = {combined([s if s is not U else each for s in states], require) for each in (P, D)}
    assert verdict is U or outcomes == {verdict}
    if verdict is U:
        assert outcomes == {P, D}


@given(STATES, st.integers(min_value=0, max_value=6))
def test_one_more_that_is_up_never_takes_a_server_out(states: list[State], require: int) -> None:
    require = min(require, len(states))
    order = {D: 0, U: 1, P: 2}
    before = order[combined(states, require)]
    for place in range(len(states)):
        better = [*states[:place], P, *states[place + 1 :]]
        assert order[combined(better, require)] >= before


def test_the_sentence_names_those_that_are_not_up() -> None:
    sentences = {"http": (P, "fine"), "db": (D, "refused")}
    assert explained(sentences, 0) == "1 of 2 checks up, 2 needed; db is down: refused"
    assert explained(sentences, 1) == "1 of 2 checks up, 1 needed; db is down: refused"
