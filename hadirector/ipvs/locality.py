"""`lblc` and `lblcr`: the schedulers that remember where an address was sent. Pure.

Both send the packets for one address (the packet's destination: with a firewall mark, any; else the
service's own) to the server that had it, until that one is overloaded. What they remember is shown
nowhere, so a model can be exact only from a state that is known: that of a service just configured.

Not modelled: `lblc` forgets an address unused for ``lblc_expiration`` (a day), and `lblcr` takes a
server out of an address's set after ``lblcr_expiration`` (a day) without a change of the set.

Sources: ``net/netfilter/ipvs/ip_vs_lblc.c`` and ``ip_vs_lblcr.c`` of Linux 6.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from hadirector.ipvs.loads import Loaded, connections, least_loaded
from hadirector.ipvs.model import Address, DestinationKey


class Locality:
    """What `lblc` (``replicated``: `lblcr`) remembers of each address; at first nothing."""

    def __init__(self, *, replicated: bool) -> None:
        self._replicated = replicated
        self._had: dict[Address, list[DestinationKey]] = {}  # the newest first

    def next(self, servers: Sequence[Loaded], address: Address) -> tuple[Loaded | None, str]:
        """The server of the next connection to this address, and why; it is then remembered."""
        kept = self._kept(servers, self._had.get(address, []))
        if kept is not None and not _busy(kept, servers):
            return kept, "the address was sent there, and it is not overloaded"
        why = "no server that takes connections is remembered for the address"
        if kept is not None:
            why = "the server remembered for the address is overloaded"
        server = least_loaded(servers, connections)
        if server is None:
            return None, "no server takes connections"
        key = server.destination.key
        if self._replicated:
            had = self._had.setdefault(address, [])
            if key not in had:
                had.insert(0, key)
        else:
            self._had[address] = [key]
        return server, f"{why}; this one has the least load for its weight"

    def _kept(self, servers: Sequence[Loaded], had: list[DestinationKey]) -> Loaded | None:
        """The server remembered; `lblc` alone does not look at its upper threshold."""
        by_key = {server.destination.key: server for server in servers}
        present = [by_key[key] for key in had if key in by_key]
        if self._replicated:
            return least_loaded(present, connections)
        return next((server for server in present if server.weight > 0), None)


def _busy(server: Loaded, servers: Sequence[Loaded]) -> bool:
    """``is_overloaded``: more active connections than weight, and another has half as many."""
    return server.counted.active > server.weight and any(
        other.counted.active * 2 < other.weight for other in servers
    )
