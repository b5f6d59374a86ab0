"""The three policies: what they do, and what they never do whatever happens."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadirector.peer.link import SILENCE_S
from hadirector.peer.messages import State
from hadirector.peer.policies import (
    ENOUGH_S,
    FEWER_S,
    HOUR_S,
    LOST_S,
    SHARED_S,
    SPLIT_S,
    THIN_AGAIN_S,
    THIN_S,
    Arbiter,
    HealthYield,
    Survivor,
    Thin,
    is_warm,
    may_be_warm,
)
from tests.hadirector.peer.samples import ADDRESSES, router, state

# Warm table


@pytest.mark.parametrize(
    ("held", "of", "warm"), [(0, 0, True), (94, 100, False), (95, 100, True), (3, 4, False)]
)
def test_a_table_is_warm_with_its_share_of_what_stands_on_the_peer(
    held: int, of: int, warm: bool
) -> None:
    assert is_warm(held, of, 95) is warm


def test_only_a_peer_that_sends_can_have_warmed_it() -> None:
    receives = state(daemons=("backup",))
    assert may_be_warm(receives, state(daemons=("active",)))
    assert not may_be_warm(receives, None)
    assert not may_be_warm(receives, state(daemons=("backup",)))
    assert not may_be_warm(receives, state(digest="d2", daemons=("active",)))
    assert not may_be_warm(state(), state(daemons=("active",)))


def counts(held: int, of: int, *, ready: bool = True, paused: bool = False) -> tuple[State, State]:
    """What a backup and the active one count."""
    ours = state(connections=held, daemons=("backup",), ready=ready, paused=paused)
    return ours, state(connections=of, daemons=("active",))


def test_a_backup_that_has_held_too_few_for_long_asks_and_ever_more_seldom() -> None:
    thin, end = Thin(), 4 * int(HOUR_S)
    asked = [now for now in range(end) if thin.look(*counts(94, 100), 95, float(now))]
    assert asked[0] == THIN_S
    waits = [later - earlier for earlier, later in pairwise(asked)]
    assert waits == [min(HOUR_S, THIN_AGAIN_S * 2**each) for each in range(len(waits))]
    assert len(waits) == 8
    now = end + HOUR_S
    assert not thin.look(*counts(95, 100), 95, now)  # that ends it, and the next time is a first
    assert not thin.look(*counts(0, 100), 95, now)
    assert thin.look(*counts(0, 100), 95, now + THIN_S)
    assert not thin.look(*counts(0, 100), 95, now + THIN_S + THIN_AGAIN_S - 1)
    assert thin.look(*counts(0, 100), 95, now + THIN_S + THIN_AGAIN_S)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        counts(100, 100),
        counts(0, 0),
        counts(-1, 100),  # ours is not known
        counts(0, -1),
        counts(0, 100, paused=True),
        counts(0, 100, ready=False),
        (counts(0, 100)[0], None),
        (counts(0, 100)[0], state(connections=100, daemons=("backup",))),
        (state(connections=0, daemons=("active", "backup")), counts(0, 100)[1]),
        (state(connections=0), counts(0, 100)[1]),
    ],
)
def test_nothing_is_asked_where_nothing_is_lacking_or_nobody_could_tell(
    ours: State, theirs: State | None
) -> None:
    thin = Thin()
    assert not any(thin.look(ours, theirs, 95, now) for now in (0.0, THIN_S, 10 * THIN_S))


# Split brain


def active(priority: int) -> State:
    return state(routers={"front": router("active", priority)})


def backup(priority: int, hears: str = "") -> State:
    return state(routers={"front": router("backup", priority, hears=hears)})


def arbiter(node: str) -> Arbiter:
    return Arbiter(node, "lb2" if node == "lb1" else "lb1", ADDRESSES)


def test_of_two_active_ones_the_lower_yields_after_a_while_and_says_why() -> None:
    lb1, lb2 = arbiter("lb1"), arbiter("lb2")
    for now in (0.0, SPLIT_S - 0.1):
        assert not lb2.look(active(253), active(254), now)
    assert lb2.look(active(253), active(254), SPLIT_S)["front"].startswith(
        "split brain: lb1 is active as well, with priority 254 (here 253)"
    )
    assert not lb1.look(active(254), active(253), 0.0)
    assert not lb1.look(active(254), active(253), SPLIT_S)
    assert lb1.splits(SPLIT_S) == ["front"]
    # Barred, and backup now, it stays so as long as the other is active and not heard.
    assert lb2.look(backup(253), active(254), SPLIT_S + 100)
    assert not lb2.look(backup(253, "192.0.2.11"), active(254), SPLIT_S + 101)


@pytest.mark.parametrize("peer", [backup(254), state()])
def test_nobody_is_barred_by_a_peer_that_is_not_active(peer: State | None) -> None:
    lb2 = arbiter("lb2")
    lb2.look(active(253), active(254), 0.0)
    assert lb2.look(active(253), active(254), SPLIT_S)
    assert not lb2.look(backup(253), peer, SPLIT_S + 1)


def test_who_has_yielded_keeps_to_it_while_the_channel_comes_and_goes_and_not_for_ever() -> None:
    lb2 = arbiter("lb2")
    lb2.look(active(253), active(254), 0.0)
    now = SPLIT_S
    assert lb2.look(active(253), active(254), now)
    for _ in range(10):
        assert lb2.look(backup(253), None, now + LOST_S - 0.1)
        now += LOST_S + 1.0
        assert lb2.look(backup(253), active(254), now)
    assert not lb2.look(backup(253), None, now + LOST_S)
    assert not lb2.look(active(253), active(254), now + LOST_S + 1)  # another split, from its start

    lb2.look(active(253), active(254), now + 100)
    assert lb2.look(active(253), active(254), now + 100 + SPLIT_S)
    assert not lb2.look(backup(253, "192.0.2.11"), None, now + 100 + SPLIT_S + 1)  # by VRRP, then


def test_nobody_yields_over_a_channel_that_hangs_or_flaps() -> None:
    assert SPLIT_S > SILENCE_S  # it has ended by then, and with it what the peer said
    lb2 = arbiter("lb2")
    for round_ in range(10):
        now = round_ * (SPLIT_S + 1)
        assert not lb2.look(active(253), active(254), now)
        assert not lb2.look(active(253), active(254), now + SPLIT_S - 0.1)
        assert not lb2.look(active(253), None, now + SPLIT_S)


def test_whoever_stays_after_a_split_is_told_once_and_not_after_a_handover() -> None:
    one = Survivor()
    assert one.look(active(254), active(253), 0.0) == []
    assert one.look(active(254), backup(253), SHARED_S / 2) == []  # a handover
    assert one.look(active(254), active(253), 10.0) == []
    assert one.look(active(254), None, 12.0) == []  # unheard for a moment
    assert one.look(active(254), backup(253), 14.0) == ["front"]
    assert one.look(active(254), backup(253), 15.0) == []
    one.look(active(253), active(254), 20.0)
    assert one.look(backup(253), active(254), 25.0) == []


PRIORITIES = st.integers(1, 254)
ROLES = st.sampled_from(["active", "backup", "fault"])
STEPS = st.lists(st.tuples(ROLES, PRIORITIES, ROLES, PRIORITIES, st.floats(0.1, 10.0)), max_size=20)


@given(STEPS)
def test_never_are_both_barred_and_never_one_whose_peer_is_not_active(
    steps: list[tuple[str, int, str, int, float]],
) -> None:
    lb1, lb2, now = arbiter("lb1"), arbiter("lb2"), 0.0
    barred1: dict[str, str] = {}
    barred2: dict[str, str] = {}
    for role1, priority1, role2, priority2, passes in steps:
        # Who is barred is not active: the VRRP worker sees to that.
        ours, theirs = (
            state(routers={"front": router("backup" if barred else role, priority, hears="")})
            for barred, role, priority in ((barred1, role1, priority1), (barred2, role2, priority2))
        )
        barred1, barred2 = lb1.look(ours, theirs, now), lb2.look(theirs, ours, now)
        assert not (barred1 and barred2)
        assert not (barred1 and theirs.routers["front"].state != "active")
        assert not (barred2 and ours.routers["front"].state != "active")
        now += passes


def test_of_equals_the_higher_address_stays() -> None:
    lb1, lb2 = arbiter("lb1"), arbiter("lb2")
    for now in (0.0, SPLIT_S):
        barred1 = lb1.look(active(100), active(100), now)
        barred2 = lb2.look(active(100), active(100), now)
    assert barred1
    assert not barred2


# Health


def seen(up: int, priority: int, role: str = "backup") -> State:
    return state(up=up, routers={"front": router(role, priority)})


def test_who_reaches_fewer_servers_yields_and_comes_back_when_it_is_over() -> None:
    lb1 = HealthYield("lb1", "lb2", 4)
    lb1.look(seen(1, 254, "active"), seen(2, 253), 0.0)
    lb1.look(seen(1, 254, "active"), seen(2, 253), FEWER_S - 0.1)
    assert not lb1.caps
    lb1.look(seen(1, 254, "active"), seen(2, 253), FEWER_S)
    assert lb1.caps == {"front": 252}
    assert lb1.because == "lb1 reaches 1 servers, lb2 2"
    lb1.look(seen(2, 252), seen(2, 253, "active"), 100.0)
    lb1.look(seen(2, 252), seen(2, 253, "active"), 100.0 + ENOUGH_S - 0.1)
    assert lb1.caps
    lb1.look(seen(2, 252), seen(2, 253, "active"), 100.0 + ENOUGH_S)
    assert not lb1.caps


def test_with_a_peer_that_is_gone_nobody_yields() -> None:
    lb1 = HealthYield("lb1", "lb2", 4)
    for now in (0.0, FEWER_S):
        lb1.look(seen(1, 254), seen(2, 253), now)
    assert lb1.caps
    now = FEWER_S
    for _ in range(10):  # a channel that comes and goes gives nothing back
        lb1.look(seen(1, 252), None, now + LOST_S - 0.1)
        assert lb1.caps
        now += LOST_S + 1.0
        lb1.look(seen(1, 252), seen(2, 253, "active"), now)
    lb1.look(seen(1, 252), None, now + LOST_S)
    assert not lb1.caps


@pytest.mark.parametrize(
    "theirs",
    [
        replace(seen(2, 253), digest="another"),
        replace(seen(2, 253), ready=False),
        replace(seen(2, 253), paused=True),
    ],
)
def test_only_the_same_file_on_two_working_directors_is_compared(theirs: State) -> None:
    lb1 = HealthYield("lb1", "lb2", 4)
    for now in (0.0, FEWER_S, 2 * FEWER_S):
        lb1.look(seen(1, 254), theirs, now)
    assert not lb1.caps


@given(
    st.integers(0, 4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.floats(0.5, 400.0)), max_size=80),
)
def test_moves_are_bounded_in_any_hour_whatever_flaps(
    most: int, steps: list[tuple[int, int, float]]
) -> None:
    lb1, lb2 = HealthYield("lb1", "lb2", most), HealthYield("lb2", "lb1", most)
    now, begun, yields = 0.0, [], False
    for up1, up2, passes in steps:
        lb1.look(seen(up1, 254), seen(up2, 253), now)
        lb2.look(seen(up2, 253), seen(up1, 254), now)
        if lb1.caps and not yields:
            begun.append(now)
        yields = bool(lb1.caps)
        now += passes
    for at in begun:
        assert sum(at - HOUR_S < other <= at for other in begun) <= most


@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 254), st.integers(1, 254))
def test_only_one_of_both_yields_and_stays_below_the_other(
    up1: int, up2: int, priority1: int, priority2: int
) -> None:
    lb1, lb2 = HealthYield("lb1", "lb2", 4), HealthYield("lb2", "lb1", 4)
    for now in (0.0, FEWER_S):
        lb1.look(seen(up1, priority1), seen(up2, priority2), now)
        lb2.look(seen(up2, priority2), seen(up1, priority1), now)
    assert not (lb1.caps and lb2.caps)
    assert bool(lb1.caps) is (up1 < up2)
    assert all(cap < max(priority2, 2) for cap in lb1.caps.values())
