"""The timetable: even spread, the same places after a restart, never two at once, bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers import limits
from checkers.timetable import Timetable, phase


def test_many_checks_are_spread_evenly() -> None:
    tenths = [0] * 10
    for number in range(10_000):
        tenths[int(phase(f"web/10.0.{number // 256}.{number % 256}:80") * 10)] += 1
    assert min(tenths) > 850
    assert max(tenths) < 1150


def run(table: Timetable, start: float, end: float) -> list[tuple[float, str]]:
    """Take what comes due from `start` to `end`; every probe ends at once."""
    probes = []
    while (due := table.next_due()) is not None and due <= end:
        now = max(due, start)
        for key in table.take(now, 1000):
            probes.append((now, key))
            table.done(key, now)
    return probes


def test_the_places_on_the_grid_outlive_a_restart() -> None:
    keys = [f"check {number}" for number in range(50)]
    first, second = Timetable(), Timetable()
    for key in keys:
        first.add(key, 2.0, now=100.0)
        second.add(key, 2.0, now=103.7)
    run(first, 100.0, 106.7)
    run(second, 103.7, 106.7)
    expected = sorted((key, round(at, 6)) for at, key in run(first, 106.7, 116.7))
    assert sorted((key, round(at, 6)) for at, key in run(second, 106.7, 116.7)) == expected


def test_the_first_probe_comes_soon_and_the_second_not_at_once() -> None:
    table = Timetable()
    for number in range(100):
        table.add(str(number), 60.0, now=1000.0)
    probes: dict[str, list[float]] = {}
    for at, key in run(table, 1000.0, 1200.0):
        probes.setdefault(key, []).append(at)
    assert len(probes) == 100
    for times in probes.values():
        assert times[0] <= 1000.0 + limits.FIRST_ROUND_S
        assert 30.0 <= times[1] - times[0] <= 91.0
        assert times[2] - times[1] == pytest.approx(60.0)


def test_a_taken_check_is_not_due_until_it_is_handed_back() -> None:
    table = Timetable()
    table.add("slow", 1.0, now=0.0)
    assert table.take(5.0, 10) == ["slow"]
    assert table.next_due() is None
    assert table.take(50.0, 10) == []
    table.done("slow", now=50.0)
    due = table.next_due()
    assert due is not None
    assert 50.0 < due <= 51.0
    with pytest.raises(ValueError, match="was not taken"):
        table.done("slow", now=50.0)


def test_a_removed_check_never_comes_up_again() -> None:
    table = Timetable()
    table.add("gone", 1.0, now=0.0)
    table.add("stays", 1.0, now=0.0)
    table.remove("gone")
    assert {key for _, key in run(table, 0.0, 20.0)} == {"stays"}


def test_entering_and_moving_for_ever_leaves_nothing_behind() -> None:
    table = Timetable()
    for number in range(1000):
        table.add("same", 3600.0, now=float(number))
    assert len(table) == 1
    (key,) = table.take(1000.0, 2)
    table.done(key, 1000.0)
    for number in range(1000):
        table.pace("same", 1000.0, 3600.0 + number % 2)
    assert table._entries == sum(map(len, table._rows.values())) < 100
    assert len(table._moments) == len(table._rows) < 100
    due = table.next_due()
    assert due is not None
    assert table.take(due, 9) == ["same"]


def test_a_check_may_be_had_out_of_turn_and_its_grid_stays() -> None:
    table = Timetable()
    table.add("a", 10.0, now=100.0)
    (key,) = table.take(102.0, 1)
    assert not table.hasten("a", 103.0)  # it is under way
    table.done(key, 102.0)
    turn = table.next_due()
    assert turn is not None
    assert not table.hasten("a", turn + 1)
    assert table.hasten("a", 103.0)
    assert table.take(103.0, 9) == ["a"]
    table.done("a", 103.0)
    again = table.next_due()
    assert again is not None
    assert (again - turn) % 10.0 in (0.0, 10.0)


@given(
    intervals=st.lists(st.floats(0.05, 60.0), min_size=1, max_size=8),
    durations=st.lists(st.floats(0.0, 5.0), min_size=1, max_size=20),
)
def test_probes_of_one_check_keep_their_distance(
    intervals: list[float], durations: list[float]
) -> None:
    """Slow probes delay only the next of the same check, which is again on the grid."""
    table = Timetable()
    for number, interval in enumerate(intervals):
        table.add(str(number), interval, now=0.0)
    ends: dict[str, float] = {}
    for duration in durations:
        due = table.next_due()
        assert due is not None
        (key,) = table.take(due, 1)
        interval = intervals[int(key)]
        if key in ends:
            assert due >= ends[key] - 1e-6
            assert due - ends[key] <= 1.5 * interval + 1e-6
        ends[key] = due + duration
        table.done(key, ends[key])


@pytest.mark.parametrize("late_s", [0.0, 0.004, 0.2])
def test_a_pace_told_afterwards_is_as_if_it_had_come_with_the_result(late_s: float) -> None:
    here, elsewhere = Timetable(), Timetable()
    for table in (here, elsewhere):
        table.add("a", 2.0, now=0.0)
    due = here.next_due()
    assert due is not None
    assert here.take(due, 1) == elsewhere.take(due, 1) == ["a"]
    here.done("a", due, 0.5)
    elsewhere.done("a", due)
    elsewhere.pace("a", due + late_s, 0.5)
    sooner, told = here.next_due(), elsewhere.next_due()
    assert sooner is not None
    assert told is not None
    assert sooner == pytest.approx(told) or (told - sooner == pytest.approx(0.5) and late_s > 0)
    assert told > due + late_s


def test_a_pace_moves_neither_a_first_probe_nor_one_under_way() -> None:
    table = Timetable()
    table.add("a", 60.0, now=100.0)
    first = table.next_due()
    table.pace("a", 100.0, 10.0)
    assert table.next_due() == first
    assert first is not None
    assert table.take(first, 1) == ["a"]
    table.pace("a", first, 5.0)
    assert table.next_due() is None
    table.done("a", first)
    again = table.next_due()
    assert again is not None
    assert 2.5 <= again - first <= 7.5


def test_checks_entered_together_begin_in_their_order_and_go_on_by_their_phases() -> None:
    table, keys = Timetable(), [f"check {number}" for number in range(100)]
    for number, key in enumerate(keys):
        table.add(key, 2.0, 1000.0, turn=number / len(keys))
    first = run(table, 1000.0, 1000.0 + limits.FIRST_ROUND_S)
    assert [key for _, key in first] == keys
    later = run(table, 1000.0 + limits.FIRST_ROUND_S, 1004.0)
    places = {key: at % 2.0 for at, key in later}
    assert places.keys() == set(keys)
    for key, place in places.items():
        assert phase(key) * 2.0 - limits.TIMER_GRAIN_S - 1e-9 <= place <= phase(key) * 2.0


def test_many_checks_share_few_moments_and_none_comes_late() -> None:
    table = Timetable()
    for number in range(1000):
        table.add(str(number), 1.0, now=10.0)
    probes = run(table, 10.0, 12.0)
    at = [moment for moment, _ in probes if moment > 11.0]
    assert len(at) >= 990
    assert len(set(at)) <= 1 / (limits.TIMER_GRAIN_SHARE * 1.0) + 1
    for moment, key in probes[-900:]:
        assert (moment - phase(key)) % 1.0 >= 1 - limits.TIMER_GRAIN_S - 1e-9 or (
            moment - phase(key)
        ) % 1.0 < 1e-9
