"""The watch over a child: silence, deaths and the delay before the next start."""

import pytest

from hadirector.limits import HEARTBEAT_GRACE_S
from hadirector.watch import GOOD_RUN_S, RESTART_DELAY_MAX_S, Patience, Watch


def watch() -> Watch:
    return Watch(Patience(start_s=10, heartbeat_s=2, stop_s=3))


def test_a_starting_child_has_longer_than_a_running_one() -> None:
    child = watch()
    child.started(100)
    assert not child.is_frozen(109)
    assert child.is_frozen(110)
    child.heard(105)
    assert not child.is_frozen(106.9)
    assert child.is_frozen(107)


def test_a_child_asked_to_stop_has_its_own_bound() -> None:
    child = watch()
    child.started(0)
    child.heard(1)
    child.stopping(2)
    assert not child.is_frozen(4.9)
    assert child.is_frozen(5)


def test_the_first_death_costs_no_delay_and_repeated_ones_ever_more() -> None:
    child = watch()
    delays = []
    for second in range(12):
        child.started(second)
        delays.append(child.died(second + 0.5))
    assert delays[:4] == [0, 0.5, 1, 2]
    assert delays == sorted(delays)
    assert delays[-1] == RESTART_DELAY_MAX_S
    assert child.restarts == 12


def test_a_good_run_clears_the_record() -> None:
    child = watch()
    for second in range(5):
        child.started(second)
        child.died(second + 0.5)
    child.started(100)
    assert child.died(100 + GOOD_RUN_S) == 0


def test_a_dead_child_is_not_frozen() -> None:
    child = watch()
    child.started(0)
    child.died(1)
    assert not child.is_frozen(1e9)


def test_who_was_held_up_waits_as_long_for_the_other_within_bounds() -> None:
    child = watch()
    child.started(0)
    child.heard(10)  # due again at 12
    assert child.grace_s(12.001) == HEARTBEAT_GRACE_S
    assert child.grace_s(12.7) == pytest.approx(0.7)
    assert child.grace_s(60) == 2


def patience(heartbeat_s: float) -> Patience:
    return Patience(start_s=10, heartbeat_s=heartbeat_s, stop_s=3)


def test_more_patience_holds_from_the_next_heartbeat_on() -> None:
    child = watch()
    child.started(0)
    child.change_patience(patience(50), 0)
    child.heard(1)
    assert not child.is_frozen(50)
    assert child.is_frozen(51)


def test_less_patience_holds_once_the_child_can_know_of_it() -> None:
    child = watch()  # a heartbeat every 2 s at the latest
    child.started(0)
    child.heard(10)
    child.change_patience(patience(0.1), 10)
    child.heard(10.001)  # said before the child heard of it; the next may come at the old pace
    assert not child.is_frozen(12)
    child.heard(11.9)
    assert not child.is_frozen(13.8)
    child.heard(12)  # by now it beats faster
    assert child.is_frozen(12.1)


def test_a_new_child_knows_the_new_patience_from_its_start() -> None:
    child = watch()
    child.started(0)
    child.change_patience(patience(0.1), 1)
    child.died(1)
    child.started(1.1)
    child.heard(1.2)
    assert child.is_frozen(1.3)
