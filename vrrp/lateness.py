"""How late a process is woken: the worst of all, the worst of the last minute, and how often.

A director that is woken late sends late adverts, and its peers take over for nothing. So every
wake-up is counted, cheaply: into a handful of classes, cumulative as Prometheus has them. Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import Final

BOUNDS_MS: Final = (1, 2, 5, 10, 20, 50, 100, 500)
PERIOD_S: Final = 60.0


class Lateness:
    """The lateness of one process. Times are seconds on any clock that never goes back."""

    def __init__(self) -> None:
        self.worst_ms = 0.0
        self.wakes = 0
        self._counts = [0] * (len(BOUNDS_MS) + 1)  # by class, the last one beyond all bounds
        self._period = 0  # which minute the second value is about
        self._before_ms = 0.0
        self._now_ms = 0.0

    def note(self, late_s: float, now: float) -> None:
        """Count a wake-up that was `late_s` after its time."""
        late_ms = max(0.0, late_s * 1000)
        self._turn(now)
        self._now_ms = max(self._now_ms, late_ms)
        self.worst_ms = max(self.worst_ms, late_ms)
        self.wakes += 1
        self._counts[bisect_left(BOUNDS_MS, late_ms)] += 1

    def lately_ms(self, now: float) -> float:
        """Return the worst of the last one to two minutes."""
        self._turn(now)
        return max(self._before_ms, self._now_ms)

    def within(self) -> dict[str, int]:
        """Return how many wake-ups were at most so many milliseconds late."""
        return dict(zip(map(str, BOUNDS_MS), accumulate(self._counts), strict=False))

    def _turn(self, now: float) -> None:
        period = int(now / PERIOD_S)
        if period == self._period:
            return
        self._before_ms = self._now_ms if period == self._period + 1 else 0.0
        self._now_ms, self._period = 0.0, period
