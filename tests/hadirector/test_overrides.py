"""Orders by hand: what each does to those held, and that they are kept, dropped and told."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadirector.journal import Journal
from hadirector.overrides import FILE_NAME, WEIGHT_MAX, Command, OrderError, OverrideStore
from hadirector.pool import Order, Override, Overrides

KEY = "web/198.51.100.21:80"
COMMANDS = st.one_of(
    st.sampled_from([Command("drain"), Command("disable"), Command("enable"), Command("weight")]),
    st.builds(lambda weight: Command("weight", weight), st.integers(0, 9)),
)


def store(directory: Path, journal: Journal | None = None) -> OverrideStore:
    return OverrideStore(directory, journal or Journal(None), clock=lambda: 12.5)


def override(order: Order, weight: int | None = None) -> Override:
    return Override(order=order, weight=weight, by="root", since=12.5)


DRAINED, DISABLED = override(Order.DRAIN), override(Order.DISABLE)
HEAVY = override(Order.WEIGHT, 5)


@pytest.mark.parametrize(
    ("held", "command", "after"),
    [
        ((), Command("drain"), (DRAINED,)),
        ((DRAINED,), Command("disable"), (DISABLED,)),
        ((DRAINED, HEAVY), Command("enable"), (HEAVY,)),
        ((HEAVY,), Command("disable"), (DISABLED, HEAVY)),
        ((DRAINED,), Command("weight", 5), (DRAINED, HEAVY)),
        ((DRAINED, HEAVY), Command("weight"), (DRAINED,)),
        ((HEAVY,), Command("weight", 0), (override(Order.WEIGHT, 0),)),
        ((), Command("enable"), ()),
    ],
)
def test_an_order_replaces_its_own_kind_only(
    held: Overrides, command: Command, after: Overrides
) -> None:
    assert command.on(held, by="root", now=12.5) == after


@given(st.lists(COMMANDS, max_size=8))
def test_whatever_is_ordered_at_most_one_of_each_kind_is_held(commands: list[Command]) -> None:
    held: Overrides = ()
    for command in commands:
        held = command.on(held, by="root", now=1.0)
        assert command.on(held, by="other", now=2.0) == held  # twice is once, and by the first
    weights = [one for one in held if one.order is Order.WEIGHT]
    assert len(weights) <= 1
    assert len(held) - len(weights) <= 1


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "٣", str(WEIGHT_MAX + 1), "9" * 5000])
def test_what_is_no_weight_is_refused(text: str) -> None:
    with pytest.raises(OrderError, match="is no weight"):
        Command.parse("weight", text)


def test_orders_are_kept_told_and_taken_back(tmp_path: Path) -> None:
    journal = Journal(None)
    kept = store(tmp_path, journal)
    assert kept.give(KEY, Command("drain"), by="root") == (True, f"{KEY}: drained by hand (root)")
    assert kept.give(KEY, Command("drain"), by="bob") == (
        False,
        f"{KEY}: nothing to change: drained by hand (root)",
    )
    kept.give(KEY, Command("weight", 5), by="root")
    again = store(tmp_path)
    assert again.held == kept.held == {KEY: (DRAINED, HEAVY)}
    assert again.drained == {KEY}
    assert again.give(KEY, Command("enable"), by="root") == (
        True,
        f"{KEY}: taken back: drained by hand (root); still weight 5 by hand (root)",
    )
    changed, sentence = again.give(KEY, Command("enable"), by="root")
    assert not changed
    assert sentence.endswith(f"by hand (root) (`hadirector weight {KEY} default` takes it back)")
    assert again.give(KEY, Command("weight"), by="root")[0]
    assert store(tmp_path).held == {}
    assert [event.kind for event in journal.newest(9)] == ["override", "override"]
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_a_server_that_leaves_the_file_takes_its_overrides_along(tmp_path: Path) -> None:
    journal = Journal(None)
    kept = store(tmp_path, journal)
    kept.give(KEY, Command("disable"), by="root")
    kept.keep_only({KEY})
    kept.keep_only({"web/198.51.100.22:80"})
    assert store(tmp_path).held == {}
    assert journal.newest(1)[0].sentence == (
        f"{KEY} is not configured any more; forgotten: disabled by hand (root)"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"a": 5}',
        '{"a": [5]}',
        '{"a": [{}]}',
        json.dumps({"a": [{"order": "stop", "weight": None, "by": "root", "since": 1}]}),
        json.dumps({"a": [{"order": "drain", "weight": 5, "by": "root", "since": 1}]}),
        json.dumps({"a": [{"order": "weight", "weight": None, "by": "root", "since": 1}]}),
        json.dumps({"a": [{"order": "drain", "weight": None, "by": "root", "since": "now"}]}),
    ],
)
def test_a_broken_file_is_told_and_stops_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    kept = store(tmp_path)
    assert kept.held == {}
    assert kept.trouble is not None
    kept.give(KEY, Command("drain"), by="root")
    assert kept.trouble is None


def test_what_cannot_be_written_holds_and_is_trouble(tmp_path: Path) -> None:
    kept = store(tmp_path / "absent")
    kept.give(KEY, Command("drain"), by="root")
    assert kept.held == {KEY: (DRAINED,)}
    assert "a restart forgets" in str(kept.trouble)
