"""What the wiring can do in the world, as an interface.

The worker has real hands (sockets, netlink); tests have others. So the wiring itself can be tested
without privileges, and nobody needs to patch anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from vrrp.config import IPInterface, RouterSettings
from vrrp.messages import Message, RouterWill, RunHooks
from vrrp.packet import IPAddress
from vrrp.paths import Path
from vrrp.priority import Reading
from vrrp.tracked import Tracker


class AddressError(Exception):
    """The kernel refused to change an address; the sentence says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """What is known of an interface."""

    name: str
    index: int = 0
    """0 while there is no such interface."""
    problem: str | None
    """Why it cannot be used, as a sentence; None: it can."""
    hardware_address: bytes = b""
    addresses: tuple[IPInterface, ...] = ()
    """In the kernel's order: the first one is what the host itself uses."""
    tentative: frozenset[IPInterface] = frozenset()
    """Those of IPv6 that the kernel still tests for duplicates, or found to be one."""
    switched_on: bool = False
    kind: str = ""
    """`macvlan` and the like; empty for hardware."""
    below: int = 0
    """The index of the interface it stands on; 0: on none."""
    alias: str = ""
    present: frozenset[IPInterface] = field(init=False, repr=False, compare=False)
    """The addresses once more: hundreds of virtual routers ask whether theirs is there."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "present", frozenset(self.addresses))


class Hands(Protocol):
    """What a router can do in the world; the worker has real ones, tests have others."""

    def now(self) -> float:
        """Return a time in seconds that never goes back."""
        ...

    def interface(self, name: str) -> Interface:
        """Return what is known of an interface."""
        ...

    def virtual_addresses(self, interface: str) -> frozenset[IPAddress]:
        """Return the addresses that any virtual router manages on an interface."""
        ...

    def obstacle(self, settings: RouterSettings) -> str | None:
        """Say why a virtual router cannot be run here as it is configured; None: it can."""
        ...

    def remark(self, settings: RouterSettings) -> str:
        """Say what of a virtual router's configuration is not in force; empty: everything is."""
        ...

    def send(
        self, settings: RouterSettings, payload: bytes, source: IPAddress, destination: IPAddress
    ) -> None:
        """Send an advertisement. Raises OSError."""
        ...

    def announce(self, settings: RouterSettings) -> None:
        """Tell the neighbours where the addresses are, as often as configured. Raises OSError."""
        ...

    async def see_to_device(self, settings: RouterSettings, *, up: bool) -> bool:
        """Have the interface of the virtual MAC there, switched on or off.

        Tells whether it had to be made. Does nothing without a virtual MAC. Raises AddressError.
        """
        ...

    async def add(self, settings: RouterSettings, address: IPInterface) -> None:
        """Put an address where a virtual router has them. Raises AddressError."""
        ...

    async def remove(self, interface: str, address: IPInterface) -> None:
        """Take an address off an interface. Raises AddressError."""
        ...

    def add_path(self, interface: str, path: Path) -> bool:
        """Add a route or rule; tell whether it was missing. Raises AddressError."""
        ...

    def remove_path(self, interface: str, path: Path) -> None:
        """Remove a route or rule of ours; fine if it is gone. Raises AddressError."""
        ...

    def reading(self, tracker: Tracker) -> Reading:
        """Return what is known of something that a priority depends on."""
        ...

    def run_hooks(self, told: RunHooks) -> None:
        """Have somebody else run the hooks of a virtual router, without waiting."""
        ...

    def tell(self, message: Message) -> None:
        """Send a message to the supervisor."""
        ...

    def wills_changed(self) -> None:
        """Have the last will written anew, before any address is taken."""
        ...

    def hand_over(self, will: RouterWill) -> None:
        """Leave a virtual router in good order, in the background."""
        ...

    def woken(self, late_s: float) -> None:
        """Note how late a timer was."""
        ...
