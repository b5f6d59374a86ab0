"""Ends the drains that end by themselves: the order to disable is given when its time has come.

Looked at after each turn of the table, and a turn that reads it is asked for every second while
such a drain is under way. The decision is `timed_drain`'s; the order is kept as any other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from hadirector import limits
from hadirector.config.model import Config
from hadirector.ipvs.model import Table
from hadirector.overrides import Command, OverrideStore
from hadirector.pool import Order
from hadirector.timed_drain import connections_of, is_over, timed

LOOK = "timed drain"


class Drains:
    """The drains of one director. For one task at a time."""

    def __init__(
        self,
        overrides: OverrideStore,
        touch: Callable[[str], None],
        ask: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`touch` names a server whose orders changed, `ask` asks for a turn of the table."""
        self._overrides = overrides
        self._touch = touch
        self._ask = ask
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
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if goes_on:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(limits.DRAIN_LOOK_S, self._ask, LOOK)
