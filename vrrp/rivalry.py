"""Evidence of two active routers, as seen by one of them.

The problem. A weaker active router that hears us steps back at once. One that goes on does not hear
us, or throws away what it hears, and its clients see two hosts with one address. Operators find out
by complaints, unless somebody writes down who it was and since when.

The approach. An active router notes whom it hears, once it has been active for an interval: sooner,
that is the last word of the one it has replaced. The first advertisement tells that there were two
(a partition has just healed, say); one more after longer than an interval tells that there
still are; and when the other one has been silent for as long as would make it dead, or has said
goodbye, the survivor announces its addresses again, for the other's announcements may have been the
last ones.

This module never changes who is active, never reads a clock and never does I/O.
"""

from __future__ import annotations

from vrrp.events import Announce, Effect, Heard, Rival, RivalGone
from vrrp.packet import PRIORITY_LEAVING, IPAddress

_INTERVALS_OF_SILENCE = 4
"""Three intervals and any skew."""


class Rivalry:
    """What one active router knows of another one."""

    def __init__(self, router: str) -> None:
        self._router = router
        self._began_at = float("-inf")
        self._forget()

    def _forget(self) -> None:
        self._source: IPAddress | None = None
        self._since = self._heard_at = self._interval_s = 0.0
        self._persists = False

    @property
    def source(self) -> IPAddress | None:
        """The address of the other one, once it is certain that it does not step back."""
        return self._source if self._persists else None

    @property
    def since(self) -> float:
        """When it was heard first."""
        return self._since

    def next_deadline(self) -> float | None:
        """When the other one counts as gone if it is not heard again."""
        if self._source is None:
            return None
        return self._heard_at + _INTERVALS_OF_SILENCE * self._interval_s

    def begin(self, now: float) -> None:
        """We have just become active."""
        self._began_at = now

    def hear(self, heard: Heard, now: float, own_interval_s: float) -> list[Effect]:
        """Take in what an active router hears of a weaker one, or of one that leaves."""
        advertisement = heard.advertisement
        if advertisement.priority == PRIORITY_LEAVING:
            return self._end(now) if heard.source == self._source else []
        if self._source is None:
            if now - self._began_at < max(own_interval_s, advertisement.interval_cs / 100):
                return []
            self._source, self._since = heard.source, now
            self._note(heard, now)
            return [Rival(self._router, heard.source, advertisement.priority, 0.0, persists=False)]
        if heard.source != self._source:
            return []  # one at a time; the next one is noted when this one is gone
        self._note(heard, now)
        lasted_s = now - self._since
        if self._persists or lasted_s <= max(own_interval_s, self._interval_s):
            return []
        self._persists = True
        return [Rival(self._router, heard.source, advertisement.priority, lasted_s, persists=True)]

    def tick(self, now: float) -> list[Effect]:
        """Return what follows when time has passed."""
        deadline = self.next_deadline()
        return self._end(now) if deadline is not None and now >= deadline else []

    def step_back(self) -> None:
        """We are not active any more: the rivalry is over, and we have not won it."""
        self._forget()

    def _note(self, heard: Heard, now: float) -> None:
        self._heard_at, self._interval_s = now, heard.advertisement.interval_cs / 100

    def _end(self, now: float) -> list[Effect]:
        assert self._source is not None
        gone = RivalGone(self._router, self._source, now - self._since, persisted=self._persists)
        self._forget()
        return [Announce(self._router), gone]
