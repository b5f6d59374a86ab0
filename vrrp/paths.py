"""Routes and rules that move with a virtual router: what an operator may write.

A director that becomes active may need more than addresses: the way to a network through the other
side, or a rule that sends replies from a virtual address through another table. They are there
while the virtual router is active, and only then.

This module only holds what is written in the configuration; `kernel_paths` does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Annotated, Final

from annotated_types import Ge, Le, doc

TABLE_MAX: Final = 2**32 - 1
TABLE_MAIN: Final = 254


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route on the virtual router's interface, there while the virtual router is active."""

    to: Annotated[str, doc("The network it leads to; `0.0.0.0/0` or `::/0` is the default route.")]
    via: Annotated[
        IPv4Address | IPv6Address | None,
        doc("The next router; without it the network is on the link itself."),
    ] = None
    source: Annotated[
        IPv4Address | IPv6Address | None,
        doc("Address that this host sends from on this way, a virtual one for instance."),
    ] = None
    table: Annotated[int, Ge(1), Le(TABLE_MAX), doc("Number of the routing table.")] = TABLE_MAIN
    metric: Annotated[
        int, Ge(0), Le(TABLE_MAX), doc("Of several routes to a network the least counts.")
    ] = 0

    def __post_init__(self) -> None:
        network = _network("to", self.to)
        for name, address in (("via", self.via), ("source", self.source)):
            if address is not None and address.version != network.version:
                raise ValueError(f"{name}: the network is IPv{network.version}, so is the address")

    @property
    def network(self) -> IPv4Network | IPv6Network:
        """The network it leads to."""
        return ip_network(self.to)

    def __str__(self) -> str:
        """As `ip route` would say it."""
        return f"route {self.to}" + (f" via {self.via}" if self.via else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """A rule of policy routing, there while the virtual router is active."""

    priority: Annotated[
        int, Ge(1), Le(32765), doc("Its place: rules of lower numbers are asked first.")
    ]
    table: Annotated[int, Ge(1), Le(TABLE_MAX), doc("The table it leads to.")]
    source: Annotated[str | None, doc("Only packets from this network.")] = None
    to: Annotated[str | None, doc("Only packets to this network.")] = None
    fwmark: Annotated[
        int | None, Ge(1), Le(TABLE_MAX), doc("Only packets that the firewall marked so.")
    ] = None

    def __post_init__(self) -> None:
        networks = [
            _network(name, text)
            for name, text in (("source", self.source), ("to", self.to))
            if text is not None
        ]
        if len({network.version for network in networks}) > 1:
            raise ValueError("to: one of the networks is IPv4, the other IPv6")
        if not networks and self.fwmark is None:
            raise ValueError("a rule says for which packets: source, to or fwmark")

    @property
    def version(self) -> int:
        """The version of IP it is for; 4 where only a mark is named."""
        text = self.source or self.to
        return 4 if text is None else ip_network(text).version

    def __str__(self) -> str:
        """As people call it."""
        return f"rule {self.priority} to table {self.table}"


Path = Route | PolicyRule


def _network(name: str, text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(f'{name}: "{text}" is no network; write it as 198.51.100.0/24') from None
