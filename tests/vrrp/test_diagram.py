"""What the documentation shows of the transitions is all of them, and has its place."""

import pytest

from vrrp.diagram import BEGIN, END, MEANINGS, with_transitions
from vrrp.transitions import TRANSITIONS, Trigger


def test_every_transition_stands_in_the_table() -> None:
    page = with_transitions(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert page.startswith("before\n")
    assert page.endswith("\nafter\n")
    assert "old" not in page
    assert page.count("| none |") + page.count("\n| ") > len(TRANSITIONS)
    assert with_transitions(page) == page


def test_every_trigger_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Trigger)


def test_a_page_without_the_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        with_transitions("nothing here")
