"""What the worker says without being asked: that it lives, how well it keeps its time, its reports.

Changes of state are told at once, by the routers themselves. Counters change with every packet, so
they are told now and then, and the routers take turns: no advert has to wait for hundreds of
reports.

This module never decides anything, and never waits for the supervisor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from vrrp.lateness import Lateness
from vrrp.messages import Heartbeat, Message, Timing
from vrrp.router import Router

REPORT_INTERVAL_S: Final = 1.0
"""How often a router tells of its counters, as long as there are not very many routers."""
REPORTS_AT_ONCE: Final = 10
REPORT_PAUSE_S: Final = 0.5
"""So many routers report in one turn, and then there is a pause: at most 20 in a second."""
TIMING_INTERVAL_S: Final = 5.0


class Pulse:
    """The signs of life of one worker."""

    def __init__(
        self,
        now: Callable[[], float],
        tell: Callable[[Message], None],
        routers: Callable[[], Collection[Router]],
    ) -> None:
        self._now = now
        self._tell = tell
        self._routers = routers
        self._lateness = Lateness()
        self._since_beat_s = 0.0  # the worst lateness since the last heartbeat
        self.heartbeat_s = 1.0
        """The supervisor's patience."""
        self.refused: tuple[str, ...] = ()
        """What the kernel has not granted, as sentences."""

    def woken(self, late_s: float) -> None:
        """Note how late a timer was."""
        self._since_beat_s = max(self._since_beat_s, late_s)
        self._lateness.note(late_s, self._now())

    async def beat(self) -> None:
        """Tell the supervisor that this process is alive, and how late it was at worst."""
        while True:
            period_s = self.heartbeat_s / 4
            due = self._now() + period_s
            await asyncio.sleep(period_s)
            self.woken(self._now() - due)
            self._tell(Heartbeat(lateness_ms=round(max(0.0, self._since_beat_s) * 1000, 3)))
            self._since_beat_s = 0.0

    async def report(self) -> None:
        """Tell about counters that changed, a few routers at a time, and about the timing."""
        timing_at = self._now() + TIMING_INTERVAL_S
        while True:
            routers = list(self._routers())
            starts = range(0, max(len(routers), 1), REPORTS_AT_ONCE)
            pause_s = max(REPORT_INTERVAL_S / len(starts), REPORT_PAUSE_S)
            for start in starts:
                await asyncio.sleep(pause_s)
                for router in routers[start : start + REPORTS_AT_ONCE]:
                    router.report()
            if self._now() >= timing_at:
                timing_at = self._now() + TIMING_INTERVAL_S
                self._tell_timing()

    def _tell_timing(self) -> None:
        self._tell(
            Timing(
                wakes=self._lateness.wakes,
                within_ms=self._lateness.within(),
                worst_ms=round(self._lateness.worst_ms, 3),
                lately_ms=round(self._lateness.lately_ms(self._now()), 3),
                refused=self.refused,
            )
        )
