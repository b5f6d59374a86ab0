"""Stories of two virtual routers that move together, as the two sides of NAT must."""

from ipaddress import IPv4Address

import pytest

from tests.vrrp.stories import heard, kinds, reasons, sent, settings
from vrrp.events import Down, Effect, HandOver, LocalProtocolError, Send, State, Take, Up
from vrrp.group import Group

FRONT_OURS, FRONT_THEIRS = IPv4Address("192.0.2.11"), IPv4Address("192.0.2.12")
# On the back side the addresses are in the other order.
BACK_OURS, BACK_THEIRS = IPv4Address("198.51.100.12"), IPv4Address("198.51.100.11")
BACK_VIP = "198.51.100.1"


def pair(priority: int = 100, *, now: float = 0.0) -> Group:
    group = Group("web")
    group.add(settings("front", group="web", priority=priority))
    group.add(settings("back", vrid=52, group="web", priority=priority, address=f"{BACK_VIP}/24"))
    group.handle("front", Up(FRONT_OURS), now)
    group.handle("back", Up(BACK_OURS), now)
    return group


def active_pair(priority: int = 100) -> Group:
    """A pair that became active at time 0."""
    group = pair(priority, now=-100)
    group.tick(0.0)
    assert states(group) == [State.ACTIVE, State.ACTIVE]
    return group


def states(group: Group) -> list[State]:
    return [machine.state for machine in group.members.values()]


def on_front(group: Group, priority: int, now: float) -> list[Effect]:
    return group.handle("front", heard(priority, FRONT_THEIRS), now)


def on_back(group: Group, priority: int, now: float) -> list[Effect]:
    packet = heard(priority, BACK_THEIRS, vrid=52, address=BACK_VIP)
    return group.handle("back", packet, now)


def test_starts_when_every_interface_can_be_used() -> None:
    group = Group("web")
    group.add(settings("front", group="web"))
    group.add(settings("back", vrid=52, group="web"))
    assert group.handle("front", Up(FRONT_OURS), 0.0) == []
    assert states(group) == [State.INIT, State.INIT]
    group.handle("back", Up(BACK_OURS), 1.0)
    assert states(group) == [State.BACKUP, State.BACKUP]


def test_both_sides_move_in_phases() -> None:
    group = pair()
    due = group.next_deadline()
    assert due is not None
    effects = group.tick(due)
    assert kinds(effects) == [
        "Send", "Send", "Take", "Take", "Announce", "Announce", "Changed", "Changed",
    ]  # fmt: skip
    assert {effect.router for effect in effects[:2]} == {"front", "back"}


def test_one_side_that_hears_the_active_router_holds_both_back() -> None:
    group = pair()
    for second in range(1, 20):
        assert group.tick(float(second)) == []
        on_front(group, 200, float(second))
    assert states(group) == [State.BACKUP, State.BACKUP]


def test_a_goodbye_on_one_side_counts_for_both() -> None:
    group = pair(253)
    on_front(group, 254, 1.0)
    on_back(group, 254, 1.0)
    on_front(group, 0, 1.5)
    due = group.next_deadline()
    assert due == pytest.approx(1.5 + 3 / 256)
    effects = group.tick(due or 0)
    assert states(group) == [State.ACTIVE, State.ACTIVE]
    assert reasons(effects) == [
        "heard priority 0 from 192.0.2.12; no other router for 12 ms",
        "front heard priority 0 from 192.0.2.12; no other router for 12 ms",
    ]


def test_yields_on_both_sides_at_the_first_advertisement_and_does_not_flap() -> None:
    group = active_pair()
    effects = on_front(group, 200, 0.5)
    assert kinds(effects) == ["Send", "Release", "Release", "Changed", "Changed"]
    assert reasons(effects)[1] == (
        "group web: front stepped back: heard priority 200 from 192.0.2.12; ours is 100"
    )
    assert on_back(group, 200, 0.501) == []
    assert states(group) == [State.BACKUP, State.BACKUP]


def test_one_fault_takes_both_down_and_both_come_back() -> None:
    group = active_pair()
    effects = group.handle("back", Down("link eth1 has no carrier"), 0.5)
    assert states(group) == [State.FAULT, State.FAULT]
    assert sent(effects) == [0, 0]
    assert group.members["front"].reason == (
        "group web: back cannot take part: link eth1 has no carrier"
    )
    assert group.next_deadline() is None
    assert group.handle("front", Up(FRONT_OURS), 1.0) == []
    group.handle("back", Up(BACK_OURS), 2.0)
    assert states(group) == [State.BACKUP, State.BACKUP]


def test_lateness_of_one_is_lateness_of_all() -> None:
    group = active_pair()
    effects = group.tick(3.5)
    assert sent(effects) == []
    assert states(group) == [State.BACKUP, State.BACKUP]


def test_a_tie_is_decided_by_the_first_member_alone() -> None:
    # By address front would yield (.12 > .11) and back would stay: the first one decides.
    group = active_pair()
    on_front(group, 100, 0.5)
    assert states(group) == [State.BACKUP, State.BACKUP]
    # Here front stays; back would yield by address, but front hears the peer.
    group = active_pair()
    lower = IPv4Address("192.0.2.2")
    group.handle("front", heard(100, lower), 0.5)
    group.handle("back", heard(100, IPv4Address("198.51.100.99"), vrid=52), 0.5)
    assert states(group) == [State.ACTIVE, State.ACTIVE]


def test_a_tie_only_the_second_member_can_see_is_decided_there() -> None:
    # Found by the simulation: decided at once, on each side by whichever member hears first, both
    # sides stepped back, and again after every takeover. So the first member gets its chance.
    group = active_pair()
    higher = heard(100, IPv4Address("198.51.100.99"), vrid=52, address=BACK_VIP)
    for at in (0.5, 1.0, 2.0, 3.0, 3.6):
        group.handle("back", higher, at)
        group.tick(at)
        assert states(group) == [State.ACTIVE, State.ACTIVE]
    group.handle("back", higher, 3.7)  # three intervals and a skew since it became active
    assert states(group) == [State.BACKUP, State.BACKUP]


def test_who_decides_a_tie_does_not_depend_on_what_was_added_when() -> None:
    # Found by the simulation: a reload without the first member and one with it left two directors
    # with different first members, and each decided for the other one, for ever.
    group = active_pair()
    gone = group.remove("front", "not in the configuration any more", 1.0, others_stay=True)
    assert "Release" not in kinds(gone)
    group.add(settings("front", group="web"))
    group.arrange(["front", "back"], 1.0)
    group.handle("front", Up(FRONT_OURS), 1.0)
    assert states(group) == [State.ACTIVE, State.ACTIVE]
    # By address back would yield; but front, which has not listened for long, decides.
    group.handle("back", heard(100, IPv4Address("198.51.100.99"), vrid=52), 1.5)
    assert states(group) == [State.ACTIVE, State.ACTIVE]
    on_front(group, 100, 1.6)
    assert states(group) == [State.BACKUP, State.BACKUP]


def test_a_goodbye_of_somebody_else_on_one_side_does_not_count_for_both() -> None:
    group = pair()
    on_front(group, 200, 1.0)
    on_back(group, 200, 1.0)
    before = group.next_deadline()
    group.handle("front", heard(0, IPv4Address("192.0.2.99")), 1.5)
    assert group.next_deadline() == before


def test_a_member_added_to_an_active_group_joins_in() -> None:
    group = active_pair()
    group.add(settings("third", vrid=53, group="web"))
    assert states(group) == [State.ACTIVE, State.ACTIVE, State.INIT]
    assert sent(group.tick(1.0)) == [100, 100]
    effects = group.handle("third", Up(IPv4Address("203.0.113.11")), 1.5)
    assert states(group) == [State.ACTIVE] * 3
    assert [e.router for e in effects if isinstance(e, Send)] == ["third"]


def test_a_removed_member_hands_over_and_the_others_stay() -> None:
    group = active_pair()
    assert kinds(group.remove("back", "not configured any more", 0.5)) == ["HandOver", "Changed"]
    assert states(group) == [State.ACTIVE]


def test_a_member_removed_from_a_group_that_stays_active_leaves_without_a_goodbye() -> None:
    # A goodbye on one side counts for both, so the peer would take over the side that stays.
    [leave, _] = active_pair().remove("back", "not configured any more", 0.5, others_stay=True)
    assert leave == HandOver("back", quietly=True)
    group = pair()  # a backup has nothing to leave
    assert kinds(group.remove("back", "not configured any more", 0.5, others_stay=True)) == [
        "Changed"
    ]


def test_removing_the_faulty_member_lets_the_others_take_part() -> None:
    group = pair()
    group.handle("back", Down("interface eth1 is missing"), 0.5)
    group.remove("back", "not configured any more", 1.0, others_stay=True)
    assert states(group) == [State.BACKUP]


def test_removing_all_of_a_faulty_group_lets_none_begin() -> None:
    group = pair()
    group.handle("back", Down("interface eth1 is missing"), 0.5)
    assert not any(isinstance(e, Take) for e in group.remove("back", "gone", 1.0))
    assert states(group) == [State.FAULT]


def test_an_owner_that_joins_a_group_in_waiting_waits_as_well() -> None:
    group = Group("web")
    group.add(settings("front", group="web", priority=254))
    group.handle("front", Up(IPv4Address("192.0.2.11")), 0.0)
    group.add(settings("back", group="web", priority=255))
    group.handle("back", Up(IPv4Address("198.51.100.11")), 0.1)
    assert states(group) == [State.BACKUP, State.BACKUP]


def test_a_name_is_used_once() -> None:
    group = pair()
    with pytest.raises(LocalProtocolError):
        group.add(settings("front", group="web"))


def test_stop_hands_over_all_members() -> None:
    effects = active_pair().stop("stopped by hand", 0.5)
    assert kinds(effects) == ["HandOver", "HandOver", "Changed", "Changed"]
