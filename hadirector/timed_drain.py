"""When a drain is over: few enough connections are left, or its time is up.

The problem: a server drained for maintenance should leave the table by itself once nobody needs it,
even if whoever ordered that has gone home and the daemon was restarted meanwhile. The approach: the
condition is a part of the order, which is kept on disk; here it is decided, from the kernel's last
counts, whether it holds. Clients whom persistence would bring back count as well, unless the kernel
ignores it for drained servers (``expire_quiescent_template``). Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from hadirector.config.model import Config, Server, Service
from hadirector.departures import Drain, awaited
from hadirector.ipvs.model import Counters, DestinationKey, ServiceKey, Table
from hadirector.pool import Order, Overrides, server_key

QUIESCENT = "expire_quiescent_template"


def timed(orders: Overrides) -> bool:
    """Whether one of these orders ends by itself."""
    return any(one.until_connections is not None or one.deadline is not None for one in orders)


def is_over(orders: Overrides, connections: int | None, now: float) -> str | None:
    """Why a drain is over; None while it goes on. `connections` None: nobody has counted yet."""
    for one in orders:
        if one.order is not Order.DRAIN:
            continue
        wanted = one.until_connections
        if wanted is not None and connections is not None and connections <= wanted:
            return f"{connections} connections left"
        if one.deadline is not None and now >= one.deadline:
            left = "" if connections is None else f", {connections} connections left"
            return f"its time is up{left}"
    return None


def connections_of(config: Config, actual: Table, key: str) -> int | None:
    """The connections that a drain waits for; None where the server was not seen in the table."""
    drain = drain_of(config)
    counted = [
        awaited(listen, counters, drain)
        for listen, counters in _counters(config.services, actual, key)
    ]
    return sum(counted) if counted else None


def listens_of(config: Config, keys: Collection[str]) -> Iterator[ServiceKey]:
    """What the services listen on that have one of these servers."""
    wanted = set(keys)
    for service in config.services if wanted else ():
        if any(server_key(service, server) in wanted for server in service.servers):
            yield from service.listens


def drain_of(config: Config) -> Drain:
    """How what leaves this file is removed."""
    return Drain(config.drain_removed, config.settings.get(QUIESCENT) == "1")


def _counters(
    services: Iterable[Service], actual: Table, key: str
) -> Iterable[tuple[ServiceKey, Counters]]:
    for service in services:
        for server in service.servers:
            if server_key(service, server) != key:
                continue
            yield from _of_server(service, server, actual)


def _of_server(
    service: Service, server: Server, actual: Table
) -> Iterable[tuple[ServiceKey, Counters]]:
    for listen in service.listens:  # not what its probes go through
        entry = actual.get(listen)
        if entry is None:
            continue
        for found, counters in entry.counters.items():
            if found == DestinationKey(server.address, server.port or found.port):
                yield listen, counters
