"""Addresses follow the election, whatever else happens to them; on hands that only remember."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Interface, ip_interface

import pytest

from tests.vrrp.stories import OURS, heard, settings
from vrrp.choices import OnLoss
from vrrp.config import IPInterface, RouterSettings
from vrrp.events import Down, Tick, Up
from vrrp.hands import AddressError, Interface
from vrrp.holding import Holding, settle
from vrrp.machine import Machine
from vrrp.messages import Event, Message, RouterWill, RunHooks
from vrrp.packet import IPAddress
from vrrp.paths import Path, Route
from vrrp.priority import Reading
from vrrp.tracked import Tracker

OWN = IPv4Interface("192.0.2.11/24")
VIP = IPv4Interface("192.0.2.100/24")


@dataclass
class MemoryHands:
    """An interface called eth0 and a record of what was done to it."""

    present: list[IPInterface] = field(default_factory=lambda: [OWN])
    done: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    time: float = 100.0
    refuse: bool = False
    device: bool | None = None
    """Whether the interface of the virtual MAC is on; None: there is none."""
    meanwhile: Callable[[], object] | None = None
    """What happens while an address is being changed."""

    def now(self) -> float:
        return self.time

    def interface(self, name: str) -> Interface:
        if name == "vrrp4-51":
            index, addresses = (0, ()) if self.device is None else (3, tuple(self.present))
            return Interface(name=name, index=index, problem=None, addresses=addresses)
        return Interface(name=name, index=2, problem=None, addresses=tuple(self.present))

    def virtual_addresses(self, interface: str) -> frozenset[IPAddress]:
        return frozenset({VIP.ip})

    def obstacle(self, settings: RouterSettings) -> str | None:
        return None

    def remark(self, settings: RouterSettings) -> str:
        return ""

    def send(
        self, settings: RouterSettings, payload: bytes, source: IPAddress, destination: IPAddress
    ) -> None:
        raise AssertionError("addresses have nothing to send")

    def announce(self, settings: RouterSettings) -> None:
        self.done += [f"announce {address.ip}" for address in settings.all_addresses]

    async def see_to_device(self, settings: RouterSettings, *, up: bool) -> bool:
        if self.refuse:
            raise AddressError("not permitted")
        made = self.device is None
        if self.device is not up:
            self.done.append(f"{'make and ' if made else ''}switch {'on' if up else 'off'}")
        self.device = up
        return made

    async def add(self, settings: RouterSettings, address: IPInterface) -> None:
        if self.refuse:
            raise AddressError("not permitted")
        self.done.append(f"add {address}")
        self.present.append(address)
        if self.meanwhile is not None:
            self.meanwhile()

    async def remove(self, interface: str, address: IPInterface) -> None:
        self.done.append(f"remove {address}")
        self.present.remove(address)
        if self.meanwhile is not None:
            self.meanwhile()

    def add_path(self, interface: str, path: Path) -> bool:
        missing = str(path) not in self.paths
        self.paths.append(str(path))
        return missing

    def remove_path(self, interface: str, path: Path) -> None:
        self.paths = [one for one in self.paths if one != str(path)]

    def reading(self, tracker: Tracker) -> Reading:
        raise AssertionError("addresses depend on no tracker")

    def run_hooks(self, told: RunHooks) -> None:
        raise AssertionError("addresses have no hooks")

    def tell(self, message: Message) -> None:
        assert isinstance(message, Event)
        self.events.append(message.kind)

    def wills_changed(self) -> None: ...
    def hand_over(self, will: RouterWill) -> None: ...
    def woken(self, late_s: float) -> None: ...


def holding(*, active: bool) -> Holding:
    machine = Machine(settings())
    machine.handle(Up(OURS), 0.0)
    if active:
        machine.handle(Tick(), 10.0)
    return Holding(machine, managed={VIP}, announce=active)


def nothing() -> None:
    raise AssertionError("no other turn is needed")


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


@pytest.mark.asyncio
async def test_all_lost_addresses_come_back_in_one_turn() -> None:
    hands, member = MemoryHands(), holding(active=True)
    more = IPv4Interface("192.0.2.101/24")
    member.machine.settings = replace(member.settings, excluded=(more,))
    await settle([member], hands, nothing)
    hands.present = [OWN]
    await settle([member], hands, nothing)
    assert hands.present == [OWN, VIP, more]
