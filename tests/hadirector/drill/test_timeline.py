"""The course of a scenario: one axis from the fault on, whatever lies outside is cut."""

from hadirector.drill.timeline import Kind, all_held, make

Held = dict[str, list[list[tuple[float, float | None]]]]


def test_moments_and_spans_are_told_from_the_beginning_on_and_cut_to_it() -> None:
    course = make(
        began_at=100.0,
        ended_at=102.0,
        moments=[
            (101.0, "seen", Kind.SEEN), (100.5, "done", Kind.DONE), (99.0, "before", Kind.DONE),
        ],
        active=[("lb1", 50.0, 100.5), ("lb2", 101.0, None), ("lb1", 10.0, 20.0)],
        outage=(100.5, 0.25),
    )  # fmt: skip
    assert course.length_ms == 2000
    assert [(moment.at_ms, moment.text) for moment in course.moments] == [
        (500, "done"),
        (1000, "seen"),
    ]
    assert [(span.name, span.begin_ms, span.end_ms) for span in course.active] == [
        ("lb1", 0, 500),
        ("lb2", 1000, 2000),
    ]
    assert course.outage is not None
    assert (course.outage.begin_ms, course.outage.end_ms) == (500, 750)
    assert course.to_json()["outage"] == {"name": "outage", "begin_ms": 500, "end_ms": 750}


def test_a_machine_is_active_while_it_holds_every_address() -> None:
    held: Held = {
        "lb1": [[(0.0, 5.0)], [(1.0, 4.0)]],
        "lb2": [[(4.5, None)], [(5.0, None)]],
        "lb3": [],
    }
    assert all_held(held, now=9.0) == [("lb1", 1.0, 4.0), ("lb2", 5.0, None)]


def test_without_power_nobody_holds_anything_until_it_comes_back() -> None:
    held: Held = {"lb1": [[(0.0, 6.0), (7.0, None)]]}
    assert all_held(held, now=9.0, dark=[("lb1", 3.0), ("lb2", 1.0)]) == [
        ("lb1", 0.0, 3.0),
        ("lb1", 7.0, None),
    ]
