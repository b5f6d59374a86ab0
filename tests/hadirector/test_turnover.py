"""What left and what is fresh from one configuration to the next, by identity."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hadirector.turnover import Turnover, keys_of, turnover
from tests.hadirector.test_pools import SERVICES

PLAIN = replace(SERVICES[0], name="a")
NAMES = st.lists(st.sampled_from("abcdefg"), unique=True)


def test_a_start_is_all_fresh_and_the_same_again_is_nothing() -> None:
    first = turnover({}, SERVICES)
    assert (first.fresh, first.left, first.gone) == (tuple(SERVICES), (), [])
    assert first.reordered
    again = turnover(first.services, SERVICES)
    assert (again.fresh, again.left, again.gone, again.reordered) == ((), (), [], False)


def test_one_that_changed_left_and_is_fresh() -> None:
    before = turnover({}, SERVICES).services
    changed = replace(SERVICES[1], scheduler="rr")
    found = turnover(before, [SERVICES[0], changed, SERVICES[2]])
    assert (found.left, found.fresh, found.gone) == ((SERVICES[1],), (changed,), [])
    assert not found.reordered
    assert keys_of(found.left) == keys_of(found.fresh)


@given(NAMES, NAMES, st.sets(st.sampled_from("abcdefg")))
def test_what_stays_is_neither(before: list[str], after: list[str], changed: set[str]) -> None:
    old = {name: replace(PLAIN, name=name) for name in before}
    new = [
        old[name] if name in old and name not in changed else replace(PLAIN, name=name)
        for name in after
    ]
    found = turnover(old, new)
    assert list(found.services.values()) == new
    moved = changed | (set(before) ^ set(after))
    assert [one.name for one in found.left] == [name for name in before if name in moved]
    assert [one.name for one in found.fresh] == [name for name in after if name in moved]
    assert set(found.gone) == set(before) - set(after)
    assert found.reordered == (before != after)


def test_of_nothing() -> None:
    assert turnover({}, []) == Turnover({}, (), (), reordered=False)
