"""A server as the kernel's schedulers see it, and which of several has the least load. Pure.

Sources: ``net/ipv4/ip_vs.h`` (``ip_vs_dest_conn_overhead``), ``ip_vs_core.c`` and the schedulers
``ip_vs_lc.c``, ``ip_vs_wlc.c``, ``ip_vs_sed.c``, ``ip_vs_nq.c`` of Linux 6.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hadirector.ipvs.model import Counters, Destination, Entry

_IDLE = Counters()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A server with its counters."""

    destination: Destination
    counted: Counters

    @property
    def weight(self) -> int:
        """Its weight; 0 takes no new connections."""
        return self.destination.weight

    @property
    def total(self) -> int:
        """What its thresholds are compared with."""
        return self.counted.active + self.counted.inactive

    @property
    def overloaded(self) -> bool:
        """Above its upper threshold; between the marks it depends on the past."""
        upper = self.destination.upper
        return bool(upper) and self.total >= upper

    @property
    def doubtful(self) -> bool:
        """Between the marks: overloaded if it was, and the kernel does not show it."""
        upper, lower = self.destination.upper, self.destination.lower
        if not upper or self.overloaded:
            return False
        return self.total >= lower if lower else self.total * 4 >= upper * 3

    @property
    def available(self) -> bool:
        """Whether the schedulers may choose it."""
        return self.weight > 0 and not self.overloaded

    @property
    def connections(self) -> int:
        """``ip_vs_dest_conn_overhead``: an inactive connection is 1/256 of an active one."""
        return self.counted.active * 256 + self.counted.inactive


def loaded(entry: Entry) -> list[Loaded]:
    """The servers of a service, in the kernel's order."""
    return [
        Loaded(destination, entry.counters.get(key, _IDLE))
        for key, destination in entry.destinations.items()
    ]


def least_loaded(
    servers: Iterable[Loaded], load: Callable[[Loaded], int], *, weighted: bool = True
) -> Loaded | None:
    """The available server with the least load, for its weight; the first of several."""
    least: Loaded | None = None
    for server in servers:
        if not server.available:
            continue
        if least is None:
            least = server
        elif weighted:
            if load(server) * least.weight < load(least) * server.weight:
                least = server
        elif load(server) < load(least):
            least = server
    return least


def connections(server: Loaded) -> int:
    """The load that `lc`, `wlc`, `lblc`, `lblcr` and `twos` go by."""
    return server.connections
