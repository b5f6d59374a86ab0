"""The wiring of a group: what becomes of a virtual router that a reload takes away."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface

import pytest

from tests.vrrp.memory_hands import VIP, MemoryHands
from vrrp.config import RouterSettings
from vrrp.events import State
from vrrp.holding import settle
from vrrp.messages import Message, RouterWill, RunHooks
from vrrp.packet import IPAddress
from vrrp.router import Router

FRONT = RouterSettings(
    name="front",
    vrid=51,
    interface="eth0",
    addresses=(VIP,),
    priority=254,
    source=IPv4Address("192.0.2.11"),
)


@dataclass
class Hands(MemoryHands):
    """As for addresses, and what is sent and left is recorded as well."""

    sent: int = 0
    left: list[RouterWill] = field(default_factory=list)

    def send(
        self, settings: RouterSettings, payload: bytes, source: IPAddress, destination: IPAddress
    ) -> None:
        self.sent += 1

    def hand_over(self, will: RouterWill) -> None:
        self.left.append(will)

    def run_hooks(self, told: RunHooks) -> None: ...
    def tell(self, message: Message) -> None: ...


async def active(hands: Hands) -> Router:
    """A router that is active and holds its address."""
    router = Router("front", hands)
    router.configure([FRONT])
    router.interface_changed("eth0")
    hands.time += 3.5
    router._on_time(hands.now())
    [member] = router._members.values()
    assert member.machine.state is State.ACTIVE
    await settle([member.holding], hands, lambda: None)
    assert VIP in hands.present
    return router


@pytest.mark.asyncio
async def test_an_active_one_hands_over_with_a_goodbye() -> None:
    hands = Hands()
    router = await active(hands)
    router.configure([])
    [will] = hands.left
    assert will.goodbyes
    assert will.addresses == (VIP,)
    router.stop()


@pytest.mark.asyncio
async def test_one_that_steps_back_in_that_moment_leaves_no_address_behind() -> None:
    """It was too late, so a peer has taken over: nothing is said, but the address has to go."""
    hands = Hands()
    router = await active(hands)
    hands.time += 60
    router.configure([])
    [will] = hands.left
    assert will.goodbyes == ()
    assert will.addresses == (VIP,)
    router.stop()


@pytest.mark.asyncio
async def test_a_backup_has_nothing_to_leave() -> None:
    hands = Hands(present=[IPv4Interface("192.0.2.11/24")])
    router = Router("front", hands)
    router.configure([FRONT])
    router.interface_changed("eth0")
    router.configure([])
    assert hands.left == []
    router.stop()


@pytest.mark.asyncio
async def test_members_stand_as_in_the_configuration_whatever_came_when() -> None:
    router = Router("web", Hands())
    front, back = (replace(FRONT, name=name, vrid=vrid) for name, vrid in (("f", 51), ("b", 52)))
    for wanted in ([front, back], [back], [front, back]):
        router.configure(wanted)
    assert list(router._group.members) == ["f", "b"]
    router.stop()
