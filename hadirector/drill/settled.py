"""Whether the virtual addresses are where they should be once all is well. Pure.

The problem: in an active/active pair each director is the preferred one for something, so "the
active director holds everything" is no measure. The approach: what changes sides together
(`elections.units`) is judged by itself: one director has all of it, nobody else any, and it is the
preferred one wherever that director may preempt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from hadirector import elections
from hadirector.config.model import Config
from hadirector.lab.spares import Interface
from vrrp.config import VirtualRouter

Holds: TypeAlias = Callable[[str, Interface], bool]
"""Whether a director, by name, holds an address."""


def holders(config: Config, routers: Iterable[VirtualRouter], holds: Holds) -> list[str]:
    """The directors that hold all addresses of these virtual routers."""
    wanted = [address for router in routers for address in router.all_addresses]
    return [name for name in config.nodes if all(holds(name, each) for each in wanted)]


def is_settled(config: Config, holds: Holds) -> bool:
    """Whether each address is on one director: the preferred one, where that one may preempt."""
    for together in elections.units(config):
        found = holders(config, together, holds)
        touched = {
            name
            for name in config.nodes
            for router in together
            for address in router.all_addresses
            if holds(name, address)
        }
        if len(found) != 1 or touched != set(found):
            return False
        best = elections.preferred(config, together[0])
        if all(elections.outranks(config, router, best, found[0]) for router in together):
            return False
    return True
