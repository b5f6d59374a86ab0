"""The short memory of one check: bounded, failures kept longest, order kept."""

from hypothesis import given
from hypothesis import strategies as st

from checkers import limits
from checkers.base import Reason, Result
from checkers.history import History


def result(number: int, healthy: bool) -> Result:
    reason = Reason.OK if healthy else Reason.L4_TIMEOUT
    return Result(healthy=healthy, reason=reason, sentence="", latency_ms=number, at=0.0)


def test_a_failure_outlives_a_thousand_passes() -> None:
    history = History()
    history.add(result(0, healthy=False))
    for number in range(1, 1001):
        history.add(result(number, healthy=True))
    kept = [entry.latency_ms for entry in history.results()]
    assert kept == [0, 997, 998, 999, 1000]
    assert (history.passed, history.failed) == (1000, 1)


@given(st.lists(st.booleans(), max_size=100))
def test_it_is_bounded_in_order_and_ends_with_the_newest(outcomes: list[bool]) -> None:
    history = History()
    for number, healthy in enumerate(outcomes):
        history.add(result(number, healthy))
    kept = [entry.latency_ms for entry in history.results()]
    assert kept == sorted(kept)
    assert len(kept) <= limits.HISTORY_FAILURES_MAX + limits.HISTORY_PASSES_MAX
    newest = history.last()
    assert (newest is None) == (not outcomes)
    if newest is not None:
        assert newest.latency_ms == len(outcomes) - 1 == kept[-1]
