"""Between the configuration and the checks: what is checked, what counts as up at first, and what
a check's verdict means for a pool. Pure.
"""

from __future__ import annotations

from collections.abc import Collection

from checkers.base import Advice, Check, Target
from checkers.health import State
from checkers.view import CheckView
from hadirector import pool
from hadirector.config.model import Config
from hadirector.ipvs.model import Table


def checks_of(config: Config) -> dict[str, Check]:
    """The checks that a configuration asks for, by server_key."""
    checks: dict[str, Check] = {}
    for service in config.services:
        for server in service.servers:
            asked = server.check or service.check
            key = pool.server_key(service, server)
            target = Target(server.address, server.port)
            checks[key] = Check(key, target, asked.options, asked.timing)
    return checks


def serving(config: Config, actual: Table, drained: Collection[str] = ()) -> set[str]:
    """The servers of a configuration that the kernel sends clients to already.

    Those of `drained` (server keys) have weight 0 by order, and were up when they were drained: to
    hold them for unknown after a restart would cut the connections that a drain is to spare.
    """
    found: set[str] = set()
    for service in config.services:
        entries = [(key, actual[key]) for key in service.listens if key in actual]
        for server in service.servers:
            key = pool.server_key(service, server)
            places = (entry.destinations.get(server.behind(at)) for at, entry in entries)
            if any(each is not None and (each.usable or key in drained) for each in places):
                found.add(key)
    return found


def health_of(
    view: CheckView, advice: Advice | None = None, back_for_s: float | None = None
) -> pool.Health:
    """What a check says, in the words of the pool; `advice` is that of its last pass.

    `back_for_s`: since it came back after it had been away, in seconds.
    """
    up = None if view.state is State.UNKNOWN else view.state is State.UP
    return pool.Health(up, view.sentence, advice, back_for_s)
