"""Who is concerned: which virtual router a packet is for, and which addresses are virtual.

A host may run hundreds of virtual routers on one link, and each packet is for one of them. So the
questions that come with every packet are answered from indexes, made anew by each configuration.

This module never looks into the state of a router.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from vrrp import packet
from vrrp.config import RouterSettings
from vrrp.events import Heard
from vrrp.packet import Datagram, IPAddress
from vrrp.router import Router

Key = tuple[str, str]
"""Under which a group, or a virtual router without one, is kept."""


def key_of(settings: RouterSettings) -> Key:
    """Return under which key the group of a virtual router is kept."""
    if settings.group is None:
        return "router", settings.name
    return "group", settings.group


class Directory:
    """Indexes over all routers of this host."""

    def __init__(self) -> None:
        self._by_vrid: dict[tuple[str, int, int], Router] = {}
        self._by_address: dict[tuple[str, IPAddress], Router] = {}
        self._first: dict[tuple[str, int], Router] = {}
        self._virtual: dict[str, frozenset[IPAddress]] = {}

    def configure(self, settings: Iterable[RouterSettings], routers: Mapping[Key, Router]) -> None:
        """Make the indexes for these virtual routers; `routers` are those at work."""
        self._by_vrid, self._by_address, self._first = {}, {}, {}
        for one in settings:
            link, router = (one.interface, one.family), routers[key_of(one)]
            self._by_vrid[*link, one.vrid] = router
            self._by_address |= dict.fromkeys(
                [(one.interface, address) for address in one.plain_addresses], router
            )
            self._first.setdefault(link, router)
        virtual: dict[str, set[IPAddress]] = {}
        for router in routers.values():
            for interface, address in router.managed_addresses:
                virtual.setdefault(interface, set()).add(address)
        self._virtual = {name: frozenset(addresses) for name, addresses in virtual.items()}

    def virtual_addresses(self, interface: str) -> frozenset[IPAddress]:
        """Return the addresses that any virtual router manages on an interface."""
        return self._virtual.get(interface, frozenset())

    def receive(self, interface: str, datagram: Datagram) -> None:
        """Hand an advertisement to its router; one for nobody here is only overheard."""
        router = self._by_vrid.get((interface, datagram.source.version, datagram.vrid or 0))
        if router is not None:
            router.receive(interface, datagram)
            return
        with suppress(packet.PacketError):
            source = datagram.source
            advertisement, form = packet.decode(datagram.payload, source, datagram.destination)
            about = {self._by_address.get((interface, one)) for one in advertisement.addresses}
            about.discard(None)
            # One about nobody's addresses is counted once: there may be hundreds of routers.
            for router in about or {self._first.get((interface, source.version))}:
                if router is not None:
                    router.overhear(interface, Heard(advertisement, source, form))
