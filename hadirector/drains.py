"""Ends the drains that end by themselves: the order to disable is given when its time has come.

Looked at after each turn of the table, and a turn that reads the services concerned is asked for
every second while such a drain is under way; less often while what left the file is waited for
(`departures`). The decision is `timed_drain`'s; the order is kept as any other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from hadirector import limits
from hadirector.config.model import Config
from hadirector.departures import Departures
from hadirector.ipvs.model import ServiceKey, Table
from hadirector.overrides import Command, OverrideStore
from hadirector.pool import Order
from hadirector.timed_drain import connections_of, is_over, listens_of, timed

LOOK = "timed drain"


class Drains:
    """The drains of one director, and of what left its file. For one task at a time."""

    def __init__(
        self,
        overrides: OverrideStore,
        touch: Callable[[str], None],
        ask: Callable[[str], None],
        *,
        departures: Departures,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`touch` names a server whose orders changed, `ask` asks for a turn of the table.

        `departures` has what left the file and is waited for.
        """
        self._overrides = overrides
        self._touch = touch
        self._ask = ask
        self._departures = departures
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None

    def look(self, config: Config, actual: Table, *, fresh: bool) -> None:
        """End what is over by this reading of the table; have it read again while any is not.

        Not `fresh`: its counts may be from before the drain, so only the time is looked at.
        """
        goes_on = False
        for key, orders in list(self._overrides.held.items()):
            if not timed(orders):
                continue
            connections = connections_of(config, actual, key) if fresh else None
            why = is_over(orders, connections, self._clock())
            if why is None:
                goes_on = True
                continue
            by = next(one.by for one in orders if one.order is Order.DRAIN)
            self._overrides.give(key, Command(Order.DISABLE), by=f"drain of {by}: {why}")
            self._touch(key)
            self._ask(Order.DISABLE)
        self._look_again(ordered=goes_on)

    def services(self, config: Config) -> frozenset[ServiceKey]:
        """The services whose connections have to be counted for what is being drained."""
        drained = [key for key, orders in self._overrides.held.items() if timed(orders)]
        leaving = (one.service for one in self._departures.leaving)
        return frozenset([*leaving, *listens_of(config, drained)])

    def _look_again(self, *, ordered: bool) -> None:
        """Have the table read when it is due; a turn for another reason puts nothing off."""
        if self._timer is not None and (ordered or self._departures):
            return
        due_s = limits.DRAIN_LOOK_S if ordered else self._departures.look_again_in_s()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_s is not None:
            self._timer = asyncio.get_running_loop().call_later(due_s, self._due)

    def _due(self) -> None:
        self._timer = None
        self._ask(LOOK)
