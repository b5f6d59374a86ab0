"""One timer for a deadline that mostly moves on before it is reached.

A backup's deadline moves with every advertisement, and is hardly ever reached. To set a timer anew
each time would be half of the work of a backup. So the timer stays where it is: it runs out early,
is not told to anybody, and is set anew then.

This module never decides what is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """Calls `ring` when a deadline is reached, in seconds of the clock `now`."""

    def __init__(
        self,
        now: Callable[[], float],
        ring: Callable[[float], None],
        woken: Callable[[float], None],
    ) -> None:
        """`ring` is given the time; `woken` hears at each wake-up how many seconds late it is."""
        self._now = now
        self._ring = ring
        self._woken = woken
        self._deadline: float | None = None
        self._stands_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def set(self, deadline: float | None) -> None:
        """Ring at this time and not at another one; None: not at all."""
        self._deadline = deadline
        if deadline is None:
            self.cancel()
        elif self._timer is None or deadline < self._stands_at:
            self.cancel()
            self._deadline = self._stands_at = deadline
            delay_s = max(0.0, deadline - self._now())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._run_out)

    def cancel(self) -> None:
        """Do not ring."""
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run_out(self) -> None:
        self._timer = None
        now = self._now()
        self._woken(now - self._stands_at)
        if self._deadline is not None and self._deadline <= now:
            self._ring(now)
        else:
            self.set(self._deadline)
