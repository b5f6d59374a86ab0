"""How late wake-ups were is counted in classes; the worst is remembered for a while."""

from vrrp.lateness import Lateness


def test_wake_ups_are_counted_by_how_late_they_were() -> None:
    lateness = Lateness()
    for late_s in (0.0005, 0.0015, 0.030, 2.0, -0.001):
        lateness.note(late_s, 100.0)
    assert lateness.within() == {
        "1": 2, "2": 3, "5": 3, "10": 3, "20": 3, "50": 4, "100": 4, "500": 4,
    }  # fmt: skip
    assert (lateness.wakes, lateness.worst_ms) == (5, 2000.0)


def test_the_worst_of_lately_is_forgotten_after_two_minutes() -> None:
    lateness = Lateness()
    lateness.note(0.030, 100.0)
    assert lateness.lately_ms(119.0) == 30.0
    lateness.note(0.001, 121.0)
    assert lateness.lately_ms(179.0) == 30.0
    assert lateness.lately_ms(181.0) == 1.0
    assert lateness.lately_ms(400.0) == 0.0
    assert lateness.worst_ms == 30.0
