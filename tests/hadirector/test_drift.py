"""Merging the changes of others with our own: what each policy keeps, for any three tables."""

from hypothesis import given
from hypothesis import strategies as st

from hadirector.drift import Drift, as_left, tolerate
from hadirector.ipvs.memory import MemoryTable
from hadirector.ipvs.model import Table
from hadirector.plan import plan
from tests.hadirector.ipvs.strategies import tables

policies = st.sampled_from(Drift)


@given(tables(), tables(), tables(), policies)
def test_what_comes_out_can_be_reached_and_is_stable(
    wanted: Table, left: Table, actual: Table, policy: Drift
) -> None:
    chosen = dict.fromkeys(wanted, policy)
    desired = tolerate(wanted, left=left, actual=actual, policies=chosen)
    twin = MemoryTable(actual)
    assert all(twin.step(step) == 0 for step in plan(desired, actual).steps)
    again = tolerate(wanted, left=wanted, actual=twin.table, policies=chosen)
    assert policy is Drift.REPAIR or not plan(again, twin.table)


@given(tables(), tables())
def test_without_changes_of_ours_theirs_stay(left: Table, actual: Table) -> None:
    desired = tolerate(left, left=left, actual=actual, policies=dict.fromkeys(left, Drift.REPORT))
    assert not plan(desired, actual)


@given(tables(), tables())
def test_without_changes_of_theirs_ours_are_made(wanted: Table, left: Table) -> None:
    policy = dict.fromkeys(wanted, Drift.IGNORE)
    assert tolerate(wanted, left=left, actual=left, policies=policy) == wanted


@given(tables(), tables(), tables())
def test_where_drift_is_repaired_nothing_of_theirs_counts(
    wanted: Table, left: Table, actual: Table
) -> None:
    assert tolerate(wanted, left=left, actual=actual, policies={}) == wanted


@given(tables(), tables())
def test_what_is_as_it_was_left_is_found_again_with_its_counters(
    left: Table, actual: Table
) -> None:
    for key, found in {**left, **actual}.items():
        told = as_left(found, left.get(key))
        assert (told, told.counters) == (found, found.counters)
        before = left.get(key)
        assert (before is not None and told.destinations is before.destinations) == (
            found == before
        )
