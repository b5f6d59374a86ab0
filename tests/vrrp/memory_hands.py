"""Hands that only remember, for one virtual router and its addresses."""

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Interface

from tests.vrrp.stories import OURS, settings
from vrrp.config import IPInterface, RouterSettings
from vrrp.events import Tick, Up
from vrrp.hands import AddressError, Interface
from vrrp.holding import Holding
from vrrp.machine import Machine
from vrrp.messages import Event, Message, RouterWill, RunHooks
from vrrp.packet import IPAddress
from vrrp.paths import Path
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
    refused: set[object] = field(default_factory=set)
    """Addresses and paths that cannot be changed."""
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

    def _may_change(self, what: object) -> None:
        if self.refuse or what in self.refused:
            raise AddressError(f"{what} is not permitted")

    async def add(self, settings: RouterSettings, address: IPInterface) -> None:
        self._may_change(address)
        self.done.append(f"add {address}")
        self.present.append(address)
        if self.meanwhile is not None:
            self.meanwhile()

    async def remove(self, interface: str, address: IPInterface) -> None:
        self._may_change(address)
        self.done.append(f"remove {address}")
        self.present.remove(address)
        if self.meanwhile is not None:
            self.meanwhile()

    def add_path(self, interface: str, path: Path) -> bool:
        self._may_change(path)
        missing = str(path) not in self.paths
        self.paths.append(str(path))
        return missing

    def remove_path(self, interface: str, path: Path) -> None:
        self._may_change(path)
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
