"""How large the kernel's connection table is, what it takes, and whether it is large enough.

The problem: its size is fixed when the kernel's module is loaded (``conn_tab_bits``), for all
network namespaces together; with too few buckets every packet looks through a long list, unseen.
The approach: numbers that others have read, as words, and advice where lists have become long.

Never: I/O, or a number that nobody read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hadirector.ipvs.model import Table

BUCKET_BYTES = struct.calcsize("P")  # struct hlist_head
PER_BUCKET_MAX = 4
"""Connections that a packet may have to look through before it is worth a word."""
BITS_MIN, BITS_MAX = 8, 20
"""What every kernel takes (``ip_vs_conn.c``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionTable:
    """``connections`` and templates of this network namespace, ``object_bytes`` each.

    None: the kernel does not tell.
    """

    buckets: int
    connections: int | None = None
    object_bytes: int | None = None

    def __str__(self) -> str:
        told = f"connection table: {self.buckets} buckets ({self.buckets_bytes // 1024} KiB)"
        if self.connections is None:
            return told
        plural = "s" * (self.connections != 1)
        told += f"; of this network namespace {self.connections} connection{plural}"
        if self.connections_bytes is None:
            return f"{told}, whose size this kernel does not tell"
        return f"{told} ({-(-self.connections_bytes // 1024)} KiB)"

    @property
    def buckets_bytes(self) -> int:
        """What the buckets take, whether used or not."""
        return self.buckets * BUCKET_BYTES

    @property
    def connections_bytes(self) -> int | None:
        """What the connections take."""
        if self.connections is None or self.object_bytes is None:
            return None
        return self.connections * self.object_bytes

    @property
    def advice(self) -> str:
        """What to do about lists that have become long; "" where they have not."""
        each = (self.connections or 0) / self.buckets
        bits = min(max(((self.connections or 1) - 1).bit_length(), BITS_MIN), BITS_MAX)
        if each <= PER_BUCKET_MAX or 1 << bits <= self.buckets:
            return ""
        return (
            f"the connection table is small: a packet looks through {each:.0f} connections; write "
            f"`options ip_vs conn_tab_bits={bits}` to /etc/modprobe.d/ip_vs.conf: it holds from "
            "when ip_vs is loaded next"
        )

    @property
    def document(self) -> dict[str, int]:
        """The same for programs; what is not known is left out."""
        found = {
            "buckets": self.buckets,
            "buckets_bytes": self.buckets_bytes,
            "connections": self.connections,
            "connections_bytes": self.connections_bytes,
        }
        return {name: number for name, number in found.items() if number is not None}


def connections_in(table: Table) -> int:
    """All connections and persistence templates of its servers."""
    return sum(
        counted.active + counted.inactive + counted.persistent
        for entry in table.values()
        for counted in entry.counters.values()
    )
