"""The interfaces of virtual MACs: made, switched on and off, removed.

The problem. A virtual MAC needs a macvlan above the real interface, and a kernel that keeps the two
apart: asked on the real interface for a virtual address, it would answer with the real hardware
address, and both directors' switches would learn the virtual one from an address test or a router
solicitation that nobody asked for.

The approach. The interface is there as long as its virtual router is configured, so that a takeover
only has to switch it on, and so that one that cannot be made is a fault before it is needed. It is
switched on only while the virtual router is active: two hosts never hold the same hardware address
on a link that works. What it carries, besides the addresses, is a mark (`virtual_mac`).

* Mode VEPA: of a multicast frame whose sender has *our* hardware address, that is, of a rival's
  advertisement, private mode would leave nothing to the real interface, where we listen
  (drivers/net/macvlan.c, macvlan_handle_frame).
* Addresses come without a route to their network: what this host sends leaves by the real interface
  as before, and only answers to ARP and neighbour solicitations come from the virtual MAC.
* The real interface answers ARP only for addresses of its own (arp_ignore), and names only such as
  sender (arp_announce). Both are put back when the last virtual MAC above it is gone.

Reference: Documentation/networking/ip-sysctl.rst. This module never decides who is active.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final

from vrrp import sysctl
from vrrp.addresses import Interfaces
from vrrp.config import RouterSettings
from vrrp.hands import AddressError, Interface
from vrrp.messages import DeviceWill
from vrrp.virtual_mac import BELOW, is_marked, mark, switches_before

KIND: Final = "macvlan"
_MODE: Final = "vepa"
_ABOVE_IPV6: Final = {
    "addr_gen_mode": 1,  # no address of its own, which both directors would have
    "accept_ra": 0,
    "autoconf": 0,
    "accept_dad": 0,
}


class Devices:
    """The interfaces of virtual MACs in this network namespace."""

    def __init__(self, interfaces: Interfaces, tell: Callable[[str, str], None]) -> None:
        """`tell` gets the kind and the sentence of an event."""
        self._interfaces = interfaces
        self._tell = tell
        self._wills: dict[str, DeviceWill] = {}
        self._prepared: dict[str, tuple[int, bool]] = {}
        """By name, which index has its switches set, and whether with IPv6."""

    @property
    def wills(self) -> tuple[DeviceWill, ...]:
        """What is to be removed if this process ends."""
        return tuple(self._wills[name] for name in sorted(self._wills))

    @property
    def names(self) -> frozenset[str]:
        """The interfaces that are there, or were when last looked at."""
        return frozenset(self._wills)

    async def see_to(self, settings: RouterSettings, *, up: bool) -> bool:
        """Have the interface of a virtual router there, on or off; tell whether it was made.

        Raises AddressError: it cannot be, and the sentence says why.
        """
        name, below = settings.device, self._interfaces[settings.interface]
        found = self._interfaces[name]
        if found.index and not is_marked(found.alias):
            self._wills.pop(name, None)
            what = f"a {found.kind} interface" if found.kind else "an interface"
            raise AddressError(
                f"{name} is {what} of somebody else: remove it, or write another virtual_mac_name"
            )
        if not below.index:
            if found.index and found.switched_on:  # the one below was renamed
                await self._switch(found, on=False)
            return False
        made = not _fits(found, settings, below)
        if made:
            found = await self._make(settings, found, below)
        self._note(settings, found)
        if up:
            self._see_below(settings.interface, found.name)
        self._prepare(settings, found)
        if found.switched_on != up:
            await self._switch(found, on=up)
        return made

    async def sweep(self, wanted: Collection[str]) -> None:
        """Delete those that are ours and wanted no more, left over from a former life included.

        Raises AddressError.
        """
        for name in await self._interfaces.marked():
            if name in wanted:
                continue
            known = self._wills.pop(name, None)
            self._prepared.pop(name, None)
            await self._interfaces.delete_link(name)
            if known is None:
                self._tell("device-leftover", f"{name} was left over and is deleted")
            elif all(known.below != other.below for other in self._wills.values()):
                with suppress(OSError):  # the interface may be gone
                    sysctl.restore(known.below, known.switches, BELOW)

    async def _make(
        self, settings: RouterSettings, found: Interface, below: Interface
    ) -> Interface:
        """Make the interface, in place of one that does not fit."""
        name, hardware_address = settings.device, settings.hardware_address
        assert hardware_address is not None
        if found.index:
            await self._interfaces.delete_link(name)
        alias = mark(below.name, self._before(settings))
        await self._interfaces.add_macvlan(
            name, below=below.index, mode=_MODE, hardware_address=hardware_address
        )
        try:
            await self._interfaces.set_alias(name, alias)
        except AddressError:
            await self._interfaces.delete_link(name)  # unmarked, it would be a stranger's
            raise
        return self._interfaces[name]

    def _before(self, settings: RouterSettings) -> dict[str, int]:
        """What the switches of the real interface were before the first of ours stood on it."""
        for known in self._wills.values():
            if known.below == settings.interface:
                return known.switches
        try:
            return {key: sysctl.read(settings.interface, key) for key in BELOW}
        except OSError as error:
            raise AddressError(
                f"cannot read arp_ignore of {settings.interface}: {error}"
            ) from error

    def _note(self, settings: RouterSettings, found: Interface) -> None:
        """Know how to remove it. What a former life has changed stands in the mark."""
        self._wills[found.name] = DeviceWill(
            name=found.name, below=settings.interface, switches=switches_before(found.alias)
        )

    def _see_below(self, interface: str, device: str) -> None:
        """Keep the real interface from answering for what is above it. Raises AddressError."""
        try:
            for key, least in BELOW.items():
                if sysctl.read(interface, key) < least:
                    sysctl.write(interface, key, least)
        except OSError as error:
            text = f"{interface} would answer ARP for {device}: {error.strerror or error}"
            raise AddressError(text) from error

    def _prepare(self, settings: RouterSettings, found: Interface) -> None:
        """Set the switches of the macvlan itself, once. Raises AddressError."""
        has_ipv6 = any(address.version == 6 for address in settings.all_addresses)
        if self._prepared.get(found.name) == (found.index, has_ipv6):
            return
        try:
            sysctl.write(found.name, "arp_ignore", 1)
            sysctl.write(found.name, "arp_announce", 2)
            # The greater one of this and `all` counts. The way back to a client is by the real
            # interface, so a strict filter (1) would drop everything: a loose one (2), or none.
            sysctl.write(found.name, "rp_filter", 2 if sysctl.read("all", "rp_filter") == 1 else 0)
            _copy_forwarding(settings.interface, found.name, 4)
            if sysctl.has_ipv6():
                sysctl.write(found.name, "disable_ipv6", 0 if has_ipv6 else 1, 6)
                for key, value in _ABOVE_IPV6.items() if has_ipv6 else ():
                    sysctl.write(found.name, key, value, 6)
                if has_ipv6:
                    _copy_forwarding(settings.interface, found.name, 6)
        except OSError as error:
            text = f"cannot set the switches of {found.name}: {error.strerror or error}"
            raise AddressError(text) from error
        self._prepared[found.name] = (found.index, has_ipv6)

    async def _switch(self, found: Interface, *, on: bool) -> None:
        if on:
            await self._interfaces.switch_on(found.name)
        else:
            await self._interfaces.switch_off(found.name)


def _fits(found: Interface, settings: RouterSettings, below: Interface) -> bool:
    """Tell whether an interface of ours is what the virtual router needs."""
    return (
        found.kind == KIND
        and found.below == below.index
        and found.hardware_address == settings.hardware_address
    )


def _copy_forwarding(below: str, above: str, family: int) -> None:
    """Traffic to be forwarded arrives above now, where it arrived below."""
    wanted = sysctl.read(below, "forwarding", family)
    if sysctl.read(above, "forwarding", family) != wanted:
        sysctl.write(above, "forwarding", wanted, family)
