"""Large tables, and the files that ask for them: ours as people write them, block by block."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from ipaddress import IPv4Address

from hadirector.ipvs.model import (
    Destination,
    DestinationKey,
    Protocol,
    Service,
    Table,
    VirtualAddress,
)

_VIP = IPv4Address("10.0.0.0")
_SERVER = IPv4Address("10.128.0.0")

# The file is not there, so every server is up at once: checks are no part of what is measured here.
HEAD = """\
nodes: {lb1: {address: 192.0.2.11, priority: 254}, lb2: {address: 192.0.2.12, priority: 253}}
virtual_routers: []
audit: 1h
defaults:
  forward: nat
  check: {type: file, file: /drained-by-nobody, interval: 1h}
services:
"""


def make_table(services: int, servers: int) -> Table:
    """So many services with so many servers each, all addresses different."""
    entries = []
    for index in range(services):
        key = VirtualAddress(Protocol.TCP, _VIP + index, 80)
        first = index * servers
        keys = (DestinationKey(_SERVER + first + place, 8080) for place in range(servers))
        entries.append((Service(key), [Destination(each) for each in keys]))
    return Table.of(*entries)


def blocks(table: Table) -> str:
    """The table as a configuration file."""
    lines = []
    for number, (key, entry) in enumerate(table.items()):
        assert isinstance(key, VirtualAddress)
        lines += [f"- name: s{number}", f"  listen: tcp://{key.address}:{key.port}", "  servers:"]
        for server in entry.destinations.values():
            if server.weight == 1:
                lines.append(f"  - {server.key}")
            else:
                lines += [f"  - address: {server.key}", f"    weight: {server.weight}"]
    return HEAD + "\n".join(lines) + "\n"


def spread(values: Sequence[float], unit: str = "ms") -> str:
    """The median and the range."""
    return f"{statistics.median(values):.0f} ({min(values):.0f}-{max(values):.0f}) {unit}"
