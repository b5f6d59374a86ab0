"""How many connections are too young for the peer to have heard of: those of the last window.

The problem: of connections that come and go within a second, the active director's kernel counts
dozens that the backup's has not been told of and never needs. Compared by number alone, a backup
would never be in step. The approach: the kernel counts every connection that begins; what began
within the sync window may be missing, and no more.

Times are seconds of any clock that never goes back.
"""

from __future__ import annotations

from collections import deque

from hadirector.connection_sync import SYNC_WINDOW_S

SAMPLES_MAX = 64
"""One is taken with every state that is told, at most ten a second."""


class Young:
    """The counter of connections of one kernel, over the last moments."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES_MAX)

    def note(self, total: int, now: float) -> int:
        """Take in how many have begun ever; returns how many within the window, at most."""
        self._samples.append((now, total))
        while len(self._samples) > 1 and self._samples[1][0] <= now - SYNC_WINDOW_S:
            self._samples.popleft()
        return max(0, total - self._samples[0][1])


def begun(text: str) -> int:
    """How many connections have begun, by the text of /proc/net/ip_vs_stats (in hexadecimal)."""
    for line in text.splitlines()[2:3]:
        return int(line.split()[0], 16)
    return 0
