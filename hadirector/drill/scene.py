"""The frame of a scenario: its promises, and what was done and seen, with the time of each.

It knows neither directors nor clients; the stage adds those.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hadirector.drill.timeline import Kind

POLL_S = 0.05
WATCH_MS = 1000.0


class BrokenPromiseError(Exception):
    """A promise was not kept, and the scenario cannot go on; the sentence says which."""


class Scene:
    """What a scenario promises and notes, from its beginning on."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.faults: list[str] = []
        self.moments: list[tuple[float, str, Kind]] = []
        """What was done and seen in this scenario, with its time on the monotonic clock."""
        self._began_at = 0.0
        self._began_unix = 0.0

    def begin(self) -> None:
        """Forget the scenario before."""
        self.notes, self.faults, self.moments = [], [], []
        self._began_at, self._began_unix = time.monotonic(), time.time()

    def note(self, sentence: str) -> None:
        """Say something that the report shall show."""
        self.notes.append(sentence)

    def _done(self, sentence: str) -> None:
        self.moments.append((time.monotonic(), sentence, Kind.DONE))

    def expect(self, kept: bool, otherwise: str) -> None:
        """Note a fault unless the promise is kept; the scenario goes on."""
        if not kept:
            self.faults.append(otherwise)

    def within(self, bound_ms: float, what: str, is_true: Callable[[], bool]) -> float:
        """Wait until something is true; return the ms it took; raises BrokenPromiseError."""
        started = time.monotonic()
        while True:
            true = is_true()
            took_ms = (time.monotonic() - started) * 1000
            if true and took_ms <= bound_ms + POLL_S * 1000:
                self.moments.append((time.monotonic(), what, Kind.SEEN))
                return took_ms
            if took_ms > bound_ms:
                raise BrokenPromiseError(f"not within {bound_ms:.0f} ms: {what}")
            time.sleep(POLL_S)

    def watch_clients(self, ms: float = WATCH_MS) -> None:
        """Let the client go on asking for a while, so that what comes after is measured too."""
        time.sleep(ms / 1000)
