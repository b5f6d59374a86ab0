"""What is told of servers that left the file and are in the table for their clients only. Pure.

One of them has no pool and no check any more: it is known by the kernel's service that it is
behind, and called by the name of the file's service where that one is still there.
"""

from __future__ import annotations

from collections.abc import Iterable

from hadirector.departures import Leaving
from hadirector.ipvs.model import Counters, Table
from hadirector.pool import Pool
from hadirector.router_answers import Json

REASON = "left the file: weight 0, and removed once its connections have ended"
NEEDED = "left the file: serves until another server of the service has passed its checks"


def departures_told(leaving: Iterable[Leaving], actual: Table, pools: Iterable[Pool]) -> list[Json]:
    """Each with its connections by the last reading of the table; `leaving` in Unix time."""
    leaving = tuple(leaving)
    if not leaving:
        return []
    names = {key: pool.service.name for pool in pools for key in pool.service.listens}
    told: list[Json] = []
    for one in leaving:
        entry = actual.get(one.service)
        counted = Counters() if entry is None else entry.counters.get(one.server, Counters())
        there = None if entry is None else entry.destinations.get(one.server)
        weight = 0 if there is None else there.weight
        service = names.get(one.service, str(one.service))
        told.append(
            {
                "name": f"{service}/{one.server}",
                "service": service,
                "listen": str(one.service),
                "server": str(one.server),
                "weight": weight,
                "reason": NEEDED if weight else REASON,
                "since": one.since,
                "until": one.until,
                "connections": {
                    "active": counted.active,
                    "inactive": counted.inactive,
                    "persistent": counted.persistent,
                },
            }
        )
    return told


def departure_explained(told: Json, drain_removed_s: float) -> Json:
    """The answer to `explain` about one of these."""
    because = [
        f"in the table with weight {told['weight']}",
        str(told["reason"]),
        f"at the latest {drain_removed_s:g} s after that, by drain_removed of the file",
    ]
    return {"kind": "server", "state": "leaving", "because": because, **told}
