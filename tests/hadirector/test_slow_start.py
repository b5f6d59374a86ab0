"""The weight of a server that has come back: bounds, growth, and when to look again."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadirector import pool
from hadirector.slow_start import STEPS, Back, SlowStart, ramped
from tests.hadirector.test_pool import DRAIN, FIRST, SECOND, UP, WEB, WEIGHT, server

SLOW = replace(WEB, servers=(server(21, 100), server(22, 100)), slow_start=SlowStart(10.0))
BACK = pool.Health(True, "2 passes in a row", back=Back(4.9))


@pytest.mark.parametrize(
    ("elapsed_s", "weight", "next_s"),
    [
        (0.0, 5, 0.5),
        (4.9, 50, 5.0),
        (5.0, 55, 5.5),
        (9.4, 95, 9.5),
        (9.5, 100, None),
        (10.0, 100, None),
    ],
)
def test_it_grows_in_equal_steps(elapsed_s: float, weight: int, next_s: float | None) -> None:
    assert ramped(100, over_s=10.0, elapsed_s=elapsed_s) == (weight, next_s)


@given(
    weight=st.integers(0, 70_000),
    over_s=st.floats(0, 3600),
    times=st.lists(st.floats(-1, 4000), min_size=2, max_size=2),
)
def test_it_never_shrinks_is_never_none_and_never_too_much(
    weight: int, over_s: float, times: list[float]
) -> None:
    early, late = (ramped(weight, over_s=over_s, elapsed_s=at)[0] for at in sorted(times))
    assert min(weight, 1) <= early <= late <= weight


@given(weight=st.integers(1, 70_000), over_s=st.floats(0.001, 3600))
def test_looking_again_when_told_ends_within_the_steps(weight: int, over_s: float) -> None:
    at: float | None = 0.0
    for _ in range(2 * STEPS):  # rounding may make it look twice at a step, never more
        assert at is not None
        now, at = ramped(weight, over_s=over_s, elapsed_s=at)
        if at is None:
            break
    assert (now, at) == (weight, None)


def test_a_server_that_was_never_away_has_all_of_its_weight() -> None:
    built = pool.build(SLOW, {FIRST: UP, SECOND: BACK})
    assert [member.weight for member in built.members] == [100, 50]
    assert built.members[0].grows_in_s is None
    assert built.members[1].grows_in_s == pytest.approx(0.1)
    assert built.members[1].reason == (
        "2 passes in a row; slow start over 10 s: weight 50 of 100 for now"
    )


@pytest.mark.parametrize(("order", "weight"), [(DRAIN, 0), (WEIGHT, 5)])
def test_what_is_ordered_by_hand_holds_at_once(order: pool.Override, weight: int) -> None:
    built = pool.build(SLOW, {FIRST: UP, SECOND: BACK}, {SECOND: (order,)})
    assert (built.members[1].weight, built.members[1].grows_in_s) == (weight, None)
