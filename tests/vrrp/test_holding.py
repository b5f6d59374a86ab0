"""Addresses follow the election, whatever else happens to them; on hands that only remember."""

from dataclasses import replace
from ipaddress import IPv4Interface, ip_interface

import pytest

from tests.vrrp.memory_hands import OWN, VIP, MemoryHands, holding, nothing
from tests.vrrp.stories import heard, settings
from vrrp.choices import OnLoss
from vrrp.events import Down, Tick
from vrrp.hands import AddressError
from vrrp.holding import Holding, settle
from vrrp.machine import Machine
from vrrp.paths import Route


@pytest.mark.asyncio
async def test_takes_then_announces_once() -> None:
    hands, member = MemoryHands(), holding(active=True)
    await settle([member], hands, nothing)
    await settle([member], hands, nothing)
    assert hands.done == ["add 192.0.2.100/24", "announce 192.0.2.100"]
    assert hands.events == []


@pytest.mark.asyncio
async def test_releases_when_it_stepped_back() -> None:
    hands, member = MemoryHands(), holding(active=True)
    await settle([member], hands, nothing)
    member.machine.handle(heard(200), 11.0)
    await settle([member], hands, nothing)
    assert hands.present == [OWN]
    assert hands.events == []


@pytest.mark.asyncio
async def test_removes_what_a_former_life_left() -> None:
    hands = MemoryHands(present=[OWN, VIP])
    await settle([holding(active=False)], hands, nothing)
    assert hands.present == [OWN]
    assert hands.events == ["address-leftover"]


@pytest.mark.asyncio
async def test_the_only_address_of_a_host_is_not_taken_for_a_left_over_one() -> None:
    hands = MemoryHands(present=[VIP])
    member = Holding(Machine(settings()), managed={VIP})
    await settle([member], hands, nothing)
    assert hands.present == [VIP]


@pytest.mark.asyncio
async def test_an_ipv6_address_does_not_make_the_only_ipv4_address_a_left_over_one() -> None:
    hands = MemoryHands(present=[VIP, ip_interface("fe80::11/64")])
    await settle([Holding(Machine(settings()), managed={VIP})], hands, nothing)
    assert VIP in hands.present


@pytest.mark.asyncio
async def test_the_address_we_send_from_is_never_removed() -> None:
    hands = MemoryHands(present=[OWN, VIP])
    member = Holding(Machine(replace(settings(), source=VIP.ip)), managed={VIP})
    await settle([member], hands, nothing)
    assert hands.done == []


@pytest.mark.asyncio
async def test_what_we_put_there_goes_even_when_nothing_else_is_left() -> None:
    hands, member = MemoryHands(), holding(active=True)
    await settle([member], hands, nothing)
    hands.present.remove(OWN)
    member.machine.handle(Down("eth0 has no address of its own"), 11.0)
    await settle([member], hands, nothing)
    assert hands.present == []


@pytest.mark.asyncio
async def test_a_lost_address_is_restored_reported_and_announced_but_not_in_a_storm() -> None:
    hands, member = MemoryHands(), holding(active=True)
    await settle([member], hands, nothing)
    hands.done.clear()
    hands.present.remove(VIP)
    await settle([member], hands, nothing)
    assert hands.done == ["add 192.0.2.100/24", "announce 192.0.2.100"]
    assert hands.events == ["address-lost", "address-restored"]
    hands.present.remove(VIP)
    await settle([member], hands, lambda: None)  # too soon: asks for another turn later
    assert VIP not in hands.present
    hands.time += 0.2
    await settle([member], hands, nothing)
    assert VIP in hands.present


@pytest.mark.asyncio
async def test_a_list_that_became_another_one_moves_without_a_change_of_state() -> None:
    hands, member = MemoryHands(), holding(active=True)
    await settle([member], hands, nothing)
    other = IPv4Interface("192.0.2.101/32")
    member.machine.configure(settings(address=str(other)), 11.0)
    member.managed.add(other)
    await settle([member], hands, nothing)
    assert hands.present == [OWN, other]
    assert member.managed == {other}


@pytest.mark.asyncio
async def test_stepping_back_while_an_address_is_added_takes_it_off_again() -> None:
    hands, member = MemoryHands(), holding(active=True)
    hands.meanwhile = lambda: member.machine.handle(heard(200), 11.0)
    await settle([member], hands, nothing)
    assert hands.done == ["add 192.0.2.100/24", "remove 192.0.2.100/24"]


@pytest.mark.asyncio
async def test_becoming_active_while_an_address_is_removed_asks_for_another_turn() -> None:
    hands, member = MemoryHands(present=[OWN, VIP]), holding(active=False)
    hands.meanwhile = lambda: member.machine.handle(Tick(), 11.0)
    turns: list[None] = []
    await settle([member], hands, lambda: turns.append(None))
    assert len(turns) == 1
    await settle([member], hands, nothing)
    assert VIP in hands.present


@pytest.mark.asyncio
async def test_a_refusal_is_passed_on() -> None:
    hands = MemoryHands(refuse=True)
    with pytest.raises(AddressError, match="not permitted"):
        await settle([holding(active=True)], hands, nothing)


MORE = IPv4Interface("192.0.2.101/24")
WAY = Route(to="10.0.0.0/8")


def with_more(*, active: bool) -> Holding:
    member = holding(active=active)
    member.machine.settings = replace(member.settings, addresses=(VIP, MORE), routes=(WAY,))
    member.managed.add(MORE)
    return member


@pytest.mark.asyncio
async def test_what_is_refused_keeps_nothing_else_from_being_done() -> None:
    hands, one, other = (
        MemoryHands(refused={VIP, WAY}),
        holding(active=True),
        with_more(active=True),
    )
    with pytest.raises(AddressError) as refused:
        await settle([one, other], hands, nothing)
    assert (
        str(refused.value)
        == f"{VIP} is not permitted; {VIP} is not permitted; {WAY} is not permitted"
    )
    assert MORE in hands.present
    assert hands.done.count(f"announce {MORE.ip}") == 1


@pytest.mark.asyncio
async def test_the_neighbors_are_told_again_once_what_was_refused_is_there() -> None:
    hands, member = MemoryHands(refused={VIP}), with_more(active=True)
    for _ in range(3):
        with pytest.raises(AddressError, match=f"{VIP} is not permitted"):
            await settle([member], hands, nothing)
    assert hands.done == [f"add {MORE}", f"announce {VIP.ip}", f"announce {MORE.ip}"]
    hands.refused.clear()
    for _ in range(2):
        await settle([member], hands, nothing)
    assert hands.done[3:] == [f"add {VIP}", f"announce {VIP.ip}", f"announce {MORE.ip}"]


@pytest.mark.asyncio
async def test_a_backup_gives_up_what_it_can() -> None:
    """One address or route that stays must not make two directors answer for all of them."""
    hands, member = MemoryHands(), with_more(active=True)
    await settle([member], hands, nothing)
    member.machine.handle(heard(200), 11.0)
    hands.refused = {WAY, VIP}
    with pytest.raises(AddressError):
        await settle([member], hands, nothing)
    assert hands.present == [OWN, VIP]
    hands.refused.clear()
    await settle([member], hands, nothing)
    assert (hands.present, hands.paths) == ([OWN], [])


@pytest.mark.asyncio
async def test_excluded_addresses_are_held_and_announced_like_the_others() -> None:
    hands, member = MemoryHands(), holding(active=True)
    more = IPv4Interface("198.51.100.7/32")
    member.machine.settings = replace(member.settings, excluded=(more,))
    await settle([member], hands, nothing)
    assert hands.present == [OWN, VIP, more]
    assert hands.done[-1] == "announce 198.51.100.7"
    assert member.machine.goodbye().addresses == (VIP.ip,)


@pytest.mark.asyncio
async def test_a_lost_address_is_left_alone_where_the_router_shall_yield() -> None:
    hands, member = MemoryHands(), holding(active=True)
    member.machine.settings = replace(member.settings, on_loss=OnLoss.YIELD)
    await settle([member], hands, nothing)
    hands.present.remove(VIP)
    await settle([member], hands, nothing)
    assert hands.present == [OWN]
    assert hands.events == ["address-lost"]
    assert member.lost == "192.0.2.100/24 on eth0 was deleted by another program"


@pytest.mark.asyncio
async def test_routes_come_and_go_with_the_addresses() -> None:
    hands, member = MemoryHands(), holding(active=True)
    member.machine.settings = replace(member.settings, routes=(Route(to="10.0.0.0/8"),))
    await settle([member], hands, nothing)
    assert hands.paths == ["route 10.0.0.0/8"]
    hands.paths.clear()  # another program
    await settle([member], hands, nothing)
    assert hands.paths == ["route 10.0.0.0/8"]
    assert hands.events == ["path-restored"]
    member.machine.handle(heard(200), 11.0)
    await settle([member], hands, nothing)
    assert hands.paths == []


@pytest.mark.asyncio
async def test_all_lost_addresses_come_back_in_one_turn() -> None:
    hands, member = MemoryHands(), holding(active=True)
    more = IPv4Interface("192.0.2.101/24")
    member.machine.settings = replace(member.settings, excluded=(more,))
    await settle([member], hands, nothing)
    hands.present = [OWN]
    await settle([member], hands, nothing)
    assert hands.present == [OWN, VIP, more]
