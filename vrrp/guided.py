"""What two directors have agreed beside the elections, as one group of virtual routers has it.

The problem. A director may know more than its advertisements say: that it shall yield to the other
one for an hour's work, that it reaches fewer servers, that the other one is active although nothing
of it is heard. The approach. Caps on priorities, which the elections then go by, and a bar,
which keeps a group from being active. A bar is dangerous where whoever said it is gone (nobody
would be active any more), so it is a lease: unsaid for too long, it ends.

This module never decides who is active.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from vrrp.messages import Guidance
from vrrp.priority import Sum, capped


class Guided:
    """The guidance of one group. `bar` is called with why nobody of it may be active, or empty."""

    def __init__(self, bar: Callable[[str], None]) -> None:
        self._bar = bar
        self._guidance = Guidance()
        self._lease: asyncio.TimerHandle | None = None
        self._barred = False

    def take(self, guidance: Guidance, members: Collection[str]) -> None:
        """Go by this from now on."""
        self._guidance = guidance
        self.stop()
        bars = [guidance.bars[name] for name in members if name in guidance.bars]
        if bars:
            loop = asyncio.get_running_loop()
            self._lease = loop.call_later(guidance.lease_s, self._end)
        if bars or self._barred:
            self._barred = bool(bars)
            self._bar(bars[0] if bars else "")

    def capped(self, found: Sum, members: Collection[str]) -> Sum:
        """Return a priority with the bounds that hold for the group."""
        for name in members:
            if (cap := self._guidance.caps.get(name)) is not None:
                found = capped(found, cap.at_most, cap.because)
        return found

    def stop(self) -> None:
        """Let no timer run any more."""
        if self._lease is not None:
            self._lease.cancel()
            self._lease = None

    def _end(self) -> None:
        """Nobody has said it again: whoever did may be gone, and so may the active peer."""
        self._barred, self._lease = False, None
        self._bar("")
