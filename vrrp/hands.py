"""What the wiring can do in the world, as an interface.

The worker has real hands (sockets, netlink); tests have others. So the wiring itself can be tested
without privileges, and nobody needs to patch anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from vrrp.config import IPInterface, Scope
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

    def obstacle(self, interface: str, family: int) -> str | None:
        """Say why advertisements cannot be exchanged over IP version `family`; None: they can."""
        ...

    def send(
        self, interface: str, payload: bytes, source: IPAddress, destination: IPAddress
    ) -> None:
        """Send an advertisement. Raises OSError."""
        ...

    def announce(self, interface: str, addresses: Iterable[IPAddress], count: int) -> None:
        """Tell the neighbours so many times where addresses are. Raises OSError."""
        ...

    async def add(
        self, interface: str, address: IPInterface, *, scope: Scope, label: str | None
    ) -> None:
        """Put an address on an interface. Raises AddressError."""
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
