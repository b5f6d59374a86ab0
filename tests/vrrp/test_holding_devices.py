"""The interfaces of virtual MACs follow the election; on hands that only remember."""

from dataclasses import replace

import pytest

from tests.vrrp.memory_hands import OWN, VIP, MemoryHands, holding, nothing
from tests.vrrp.stories import heard
from vrrp.choices import OnLoss
from vrrp.events import Tick
from vrrp.holding import Holding, settle


def with_virtual_mac(*, active: bool) -> Holding:
    member = holding(active=active)
    member.machine.settings = replace(member.settings, virtual_mac=True)
    return member


@pytest.mark.asyncio
async def test_a_backup_has_the_interface_of_its_virtual_mac_ready_but_switched_off() -> None:
    hands, member = MemoryHands(), with_virtual_mac(active=False)
    await settle([member], hands, nothing)
    member.machine.handle(Tick(), 10.0)
    await settle([member], hands, nothing)
    assert hands.done == ["make and switch off", "switch on", "add 192.0.2.100/24"]
    member.machine.handle(heard(200), 11.0)
    await settle([member], hands, nothing)
    assert hands.done[3:] == ["switch off", "remove 192.0.2.100/24"]
    assert hands.events == []


@pytest.mark.asyncio
async def test_a_deleted_interface_comes_back_with_its_addresses_but_not_in_a_storm() -> None:
    hands, member = MemoryHands(), with_virtual_mac(active=True)
    await settle([member], hands, nothing)
    hands.done.clear()
    hands.device, hands.present = None, [OWN]
    await settle([member], hands, nothing)
    assert hands.done == ["make and switch on", "add 192.0.2.100/24", "announce 192.0.2.100"]
    assert hands.events == ["device-restored"]
    hands.device, hands.present = None, [OWN]
    await settle([member], hands, lambda: None)  # too soon: asks for another turn later
    assert hands.device is None
    hands.time += 0.2
    await settle([member], hands, nothing)
    assert VIP in hands.present


@pytest.mark.asyncio
async def test_a_deleted_interface_is_a_reason_to_yield_where_that_is_wanted() -> None:
    hands, member = MemoryHands(), with_virtual_mac(active=True)
    member.machine.settings = replace(member.settings, on_loss=OnLoss.YIELD)
    await settle([member], hands, nothing)
    hands.device, hands.present = None, [OWN]
    await settle([member], hands, nothing)
    assert member.lost == "vrrp4-51 was deleted by another program"
    assert hands.device is None


@pytest.mark.asyncio
async def test_without_its_interface_a_virtual_mac_is_a_fault_and_nothing_is_added() -> None:
    hands, member = MemoryHands(refuse=True), with_virtual_mac(active=True)
    await settle([member], hands, nothing)
    assert member.obstacle == "not permitted"
    assert hands.present == [OWN]
    hands.refuse = False
    await settle([member], hands, nothing)
    assert member.obstacle is None
