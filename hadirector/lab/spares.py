"""Spare addresses: those the world needs and the file does not name.

The problem: the file names the virtual addresses, the servers and one address per director, but a
world also needs the directors' addresses on their other networks and a client's. The approach:
count down from the top of each subnet and skip whatever the file names, so that the same file gives
the same world. Never hand out one address twice, and never one the file names.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_interface,
    ip_network,
)
from typing import Final, TypeAlias

from hadirector.lab.errors import LabError

Address: TypeAlias = IPv4Address | IPv6Address
Interface: TypeAlias = IPv4Interface | IPv6Interface
Subnet: TypeAlias = IPv4Network | IPv6Network

USUAL_PREFIX: Final = {4: 24, 6: 64}
"""The subnet of an address whose prefix the file does not tell."""


def subnet_of(address: Address | Interface) -> Subnet:
    """The subnet an address lies in; a lone address (/32, /31, /128) counts as in a usual one."""
    version = address.version
    length = USUAL_PREFIX[version]
    if isinstance(address, IPv4Interface | IPv6Interface):
        host_bits = address.network.max_prefixlen - address.network.prefixlen
        if host_bits >= 2:
            return address.network
        return ip_network(f"{address.ip}/{length}", strict=False)
    return ip_network(f"{address}/{length}", strict=False)


class Spares:
    """Hands out addresses of a subnet that nobody uses yet."""

    def __init__(self, taken: Iterable[Address]) -> None:
        self._taken = set(taken)

    def take(self, subnet: Subnet) -> Interface:
        """The highest free host address of the subnet. Raises LabError when there is none."""
        top = int(subnet.broadcast_address) - 1
        lowest = int(subnet.network_address) + 1
        # Bounded: past this many, everything tried is in `taken`.
        for number in range(top, max(lowest - 1, top - len(self._taken) - 1), -1):
            address = type(subnet.network_address)(number)
            if address not in self._taken:
                self._taken.add(address)
                return ip_interface(f"{address}/{subnet.prefixlen}")
        raise LabError(
            f"no spare address left in {subnet}: the lab needs one for each director and the client"
        )
