"""The health-collapse brake: when much of a pool fails at once, ask first whose fault it is. Pure.

The problem: a director whose own link breaks sees every server fail, and takes them all out of the
table; when the link is back, clients find the fallback page, or nothing, until the checks have
passed again. The approach: one machine per service.

    ready    --more than `share` % of the serving ones fail within `window`--> asking
    asking   --the control probe passes--> ready    it is the servers: they are believed
    asking   --it fails, too--> holding             it is our own link
    holding  --it passes--> settling                the checks get `settle` to see the servers
    settling --it fails again--> holding
    settling --`settle` is over--> ready            what has not come back is believed
    any      --no held server is left, `hold` is over, or an operator says so--> ready

Held are the servers that failed within the window, and those that fail while the brake is on. One
failure alone never counts, however small the pool; so what it delays is a collapse only.

A control probe is believed only if it passed within the last `hold`: one that never passed proves
nothing, and neither does one that fails for longer than anything is held. Times are seconds of one
monotonic clock and come in as arguments. Must never decide a weight, a quorum or an election, read
a clock, or hold anything for longer than `hold`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """What the brake of a service is doing; in all but `ready` servers may be held."""

    READY = "ready"
    ASKING = "asking"
    HOLDING = "holding"
    SETTLING = "settling"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When the brake comes on and how long it may stay; times in seconds."""

    share: int = 50  # percent of the servers that served at the beginning of the window
    window: float = 10.0
    hold: float = 300.0
    settle: float = 10.0


FAILURES_MIN = 2
"""So many servers must fail within the window: a single failure is no collapse."""


class Brake:
    """The brake of one service. Each method that may change something returns what is news."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.phase = Phase.READY
        self.since = 0.0  # of the clock: when it came on
        self._recent: dict[str, float] = {}  # when each failed that has not come back
        self._held: dict[str, None] = {}  # in the order they failed
        self._passed_at: float | None = None  # the start of the control probe that passed last
        self._settled_at = 0.0

    @property
    def held(self) -> Collection[str]:
        """The servers that keep their weight although they failed."""
        return self._held.keys()

    @property
    def due(self) -> float | None:
        """When `tick` is to be called at the latest; None: not at all."""
        if self.phase is Phase.READY:
            return None
        ends_at = self.since + self.limits.hold
        return min(ends_at, self._settled_at) if self.phase is Phase.SETTLING else ends_at

    def resume(self, held: Collection[str], *, since: float, now: float) -> str | None:
        """Go on holding these, as another process of this director did for our own link."""
        left_s = since + self.limits.hold - now
        if not held or since > now or left_s <= 0:
            return None
        self.phase, self.since = Phase.HOLDING, since
        self._held = dict.fromkeys(held)
        return (
            f"the weights of {len(held)} servers are held as before the restart, "
            f"for {left_s:.0f} s more at most"
        )

    def failed(self, key: str, now: float, *, serving: int) -> str | None:
        """A server that served has failed; `serving` more do."""
        self._recent = {one: at for one, at in self._recent.items() if self._within(at, now)}
        self._recent[key] = now
        if self.phase is not Phase.READY:
            self._held[key] = None
            return None
        count, total = len(self._recent), len(self._recent) + serving
        if count < FAILURES_MIN or 100 * count <= self.limits.share * total:
            return None
        if self._passed_at is None or now - self._passed_at >= self.limits.hold:
            return None
        self.phase, self.since = Phase.ASKING, now
        self._held = dict.fromkeys(self._recent)
        return (
            f"{count} of {total} servers failed within {self.limits.window:g} s: their weights are "
            "held until the control probe tells whether it is our own link"
        )

    def recovered(self, key: str) -> str | None:
        """The checks of a server hold it for up again."""
        self._recent.pop(key, None)
        return self._left([key], "all that were held have come back: nothing is held any more")

    def keep_only(self, keys: Collection[str]) -> str | None:
        """Forget the servers that are not configured any more."""
        self._recent = {key: at for key, at in self._recent.items() if key in keys}
        gone = [key for key in self._held if key not in keys]
        return self._left(gone, "none of those that were held is configured any more")

    def control(self, *, passed: bool, began: float, now: float) -> str | None:
        """The control probe that `began` then has passed or failed.

        One that began before the collapse says nothing about it.
        """
        if passed:
            self._passed_at = began
        if self.phase is Phase.READY or began < self.since:
            return None
        if self.phase is Phase.ASKING and passed:
            count = len(self._held)
            self._release()
            return f"the control probe passes: the failures of {count} servers are believed"
        if self.phase is Phase.HOLDING and passed:
            self.phase, self._settled_at = Phase.SETTLING, now + self.limits.settle
            return (
                f"the control probe passes again: the servers have {self.limits.settle:g} s to "
                "come back before their failures are believed"
            )
        if self.phase is not Phase.HOLDING and not passed:
            self.phase = Phase.HOLDING
            return (
                f"the control probe fails, too: it is our own link; the weights of "
                f"{len(self._held)} servers are held, for {self.limits.hold:g} s at most"
            )
        return None

    def tick(self, now: float) -> str | None:
        """Time has gone by."""
        due = self.due
        if due is None or now < due:
            return None
        count, settled = len(self._held), self.phase is Phase.SETTLING
        self._release()
        if settled:
            return f"{count} servers have not come back with our link: their failures are believed"
        return (
            f"held for {self.limits.hold:g} s, which is the most: the failures of {count} servers "
            "are believed, as are all until the control probe has passed again"
        )

    def believe(self) -> str | None:
        """An operator knows that the servers failed; nothing is held until the control passes."""
        if self.phase is Phase.READY:
            return None
        count = len(self._held)
        self._release()
        self._passed_at = None
        return f"the failures of {count} servers are believed by order"

    def _within(self, at: float, now: float) -> bool:
        return now - at < self.limits.window

    def _left(self, keys: Collection[str], news: str) -> str | None:
        for key in keys:
            self._held.pop(key, None)
        if self.phase is Phase.READY or self._held:
            return None
        self._release()
        return news

    def _release(self) -> None:
        self.phase = Phase.READY
        self._held = {}
        self._recent = {}
