"""What is known of the peer: heard or absent, since when, how it differs, what was refused.

The problem: a channel that fails must be seen, by its cause and how often, without filling the
journal when somebody knocks a thousand times. The approach: every refusal is counted; a cause is
journaled when it is new, and not again while nothing else has happened. Connections that come and
go too often are told of as a flapping channel.

Pure; times are seconds of any clock that never goes back, and Unix time where it says so.
"""

from __future__ import annotations

from collections import Counter, deque

from hadirector import limits
from hadirector.peer.link import Cause
from hadirector.peer.messages import Hello, State


class Standing:
    """The peer of this director, as seen from here."""

    def __init__(self, peer: str, now: float) -> None:
        self.peer = peer
        self.connected = False
        self.since: float | None = None
        """Unix time of the last change between heard and not; None: not heard yet."""
        self.software = ""
        self.state: State | None = None
        """What it said last, while it is connected."""
        self.refused: Counter[Cause] = Counter()
        self._began = now
        self._why = "nothing has come yet"
        self._met_at: deque[float] = deque(maxlen=limits.PEER_FLAPS_MAX + 1)
        self._told: deque[float] = deque(maxlen=limits.PEER_CAUSES_TOLD_MAX)
        self._last: tuple[Cause, str] | None = None

    def met(self, hello: Hello, now: float, wall: float) -> str:
        """It is there; returns what to journal, empty for nothing."""
        was, self.connected = self.connected, True
        self.software = hello.software
        self._met_at.append(now)
        self._last = None
        if was:
            return ""
        self.since = wall
        return f"the peer channel to {self.peer} (version {hello.software[:40]}) is there"

    def heard(self, state: State) -> None:
        """It said how it is."""
        self.state = state

    def ended(self, cause: Cause, sentence: str, *, met: bool, now: float, wall: float) -> str:
        """A connection ended, or did not come about; returns what to journal, or nothing."""
        self.refused[cause] += 1
        if met:
            self.connected, self.state, self.since = False, None, wall
            self._why = sentence
            if cause is Cause.LEFT:
                return sentence
            return f"the peer channel to {self.peer} is lost ({cause}): {sentence}"
        if not self.connected:
            self._why = sentence
        if (cause, sentence) == self._last or not self._may_tell(now):
            return ""
        self._last = (cause, sentence)
        return f"no peer channel ({cause}): {sentence}"

    def absence(self, now: float) -> str:
        """What to say where it is not heard; empty where it is, or where it may yet come."""
        if self.connected or (
            self.since is None and now - self._began < limits.PEER_ABSENT_AFTER_S
        ):
            return ""
        return f"{self.peer} is not heard on the peer channel: {self._why}"

    def flapping(self, now: float) -> str:
        """What to say of a channel that comes and goes; empty: it does not."""
        full = len(self._met_at) == limits.PEER_FLAPS_MAX + 1
        if not full or now - self._met_at[0] > limits.PEER_FLAPS_WITHIN_S:
            return ""
        within_s = now - self._met_at[0]
        return f"the peer channel flaps: {len(self._met_at)} connections in {within_s:.0f} s"

    def _may_tell(self, now: float) -> bool:
        within_s = limits.PEER_FLAPS_WITHIN_S
        full = len(self._told) == limits.PEER_CAUSES_TOLD_MAX
        if full and now - self._told[0] < within_s:
            return False
        self._told.append(now)
        return True
