"""Firewall marks in the lab: which packets carry them, since the file does not say. Pure.

The problem: a service on a firewall mark takes what some firewall marked, by rules that are no part
of the file. The approach: the lab's own rule marks TCP to one virtual address and port, on every
director, where packets come in; there its clients ask. It is a filter of `tc`, which comes with the
`ip` that the lab needs anyway, and which leaves a firewall of the host alone.

It must never take packets that another service of the file listens for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from hadirector.config.model import Config, Service
from hadirector.ipvs.model import Address, FirewallMark, Protocol, ServiceKey, VirtualAddress

PORT: Final = 80
"""Where neither a server nor its check says one."""


@dataclass(frozen=True, slots=True)
class Marking:
    """What comes in by this interface for this address and port gets the mark."""

    interface: str
    mark: int
    at: VirtualAddress

    @property
    def lines(self) -> tuple[str, str]:
        """For `tc -batch`."""
        address = self.at.address
        version, family = address.version, "ip" if address.version == 4 else "ipv6"
        return (
            f"qdisc replace dev {self.interface} clsact",
            (
                f"filter add dev {self.interface} ingress protocol {family} prio {version} flower "
                f"ip_proto {self.at.protocol} dst_ip {address} dst_port {self.at.port} "
                f"action skbedit mark {self.mark}"
            ),
        )


def marked(config: Config) -> Mapping[FirewallMark, VirtualAddress]:
    """Where clients ask the service of each mark; without those that have no address left."""
    taken: set[ServiceKey] = {key for each in config.services for key in each.listens}
    found: dict[FirewallMark, VirtualAddress] = {}
    for service in config.services:
        for key in service.listens:
            if not isinstance(key, FirewallMark):
                continue
            port = _port_of(service)
            places = (VirtualAddress(Protocol.TCP, one, port) for one in _virtual(config, key))
            place = next((place for place in places if place not in taken), None)
            if place is not None:
                found[key] = place
                taken.add(place)
    return found


def addresses_of(
    service: Service, marks: Mapping[FirewallMark, VirtualAddress]
) -> Mapping[Address, None]:
    """The addresses at which clients ask a service, each once."""
    places = (marks.get(key) if isinstance(key, FirewallMark) else key for key in service.listens)
    return dict.fromkeys(place.address for place in places if place is not None)


def _virtual(config: Config, key: FirewallMark) -> Iterator[Address]:
    for router in config.virtual_routers:
        for interface in router.all_addresses:
            if interface.version == key.version and not interface.is_link_local:
                yield interface.ip


def _port_of(service: Service) -> int:
    """With dr and tun the servers see the client's port, so it is theirs."""
    for server in service.servers:
        check = server.check or service.check
        if port := server.port or check.options.port:
            return port
    return PORT
