"""A server that comes back gets its share of the clients little by little. Pure.

The problem: a server that has just started has cold caches, and a scheduler that counts connections
gives it every new client at once. The approach: from its return on, its weight grows in equal steps
from a twentieth of what it is due to all of it: with time, or with the checks that it passes, so
that one which answers haltingly gets its clients haltingly. Time comes in as an argument.

Must never give a server that is due clients the weight 0, nor more than it is due.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

STEPS = 20  # so many writes to the kernel for one return, at most


@dataclass(frozen=True, slots=True)
class SlowStart:
    """How a server grows: over so many seconds, or with so many passes; at most one is above 0."""

    over_s: float = 0.0
    passes: int = 0


AT_ONCE = SlowStart()


@dataclass(frozen=True, slots=True)
class Back:
    """A server that was away: how long ago it came back, and how many checks it passed since."""

    for_s: float
    passes: int = 0


@dataclass(frozen=True, slots=True)
class Grown:
    """A weight for now, in how many seconds it grows (None: by no time), and a word on it."""

    weight: int
    next_in_s: float | None = None
    told: str = ""


def grown(due: int, how: SlowStart, back: Back) -> Grown:
    """What a server gets of the weight that it is due."""
    over, done = (how.passes, back.passes) if how.passes else (how.over_s, back.for_s)
    weight, next_at = ramped(due, over_s=over, elapsed_s=done)
    if next_at is None:
        return Grown(due)
    if how.passes:
        by = f"with {how.passes} passes, {back.passes} so far"
        return Grown(weight, None, f"; slow start {by}: weight {weight} of {due} for now")
    told = f"; slow start over {how.over_s:g} s: weight {weight} of {due} for now"
    return Grown(weight, next_at - back.for_s, told)


def ramped(weight: int, *, over_s: float, elapsed_s: float) -> tuple[int, float | None]:
    """The weight after this time, and when it is next to be looked at; None: it has grown up.

    `over_s`: how long it grows; both times in seconds since the server's return.
    """
    elapsed_s = max(elapsed_s, 0.0)
    if weight == 0 or elapsed_s >= over_s:
        return weight, None
    # A hair more, so that who looks again exactly when told finds the next step done.
    done = int(elapsed_s / over_s * STEPS + 1e-6)
    grown = max(1, weight * (done + 1) // STEPS)
    return (weight, None) if grown >= weight else (grown, over_s * (done + 1) / STEPS)


class Returns:
    """When each server came back that had been away, and what it has passed since."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        self._passes: dict[str, int] = {}

    def note(self, key: str, *, came_back: bool, now: float) -> None:
        """The verdict on a server has changed: it came back, or it did not."""
        self._at.pop(key, None)
        self._passes.pop(key, None)
        if came_back:
            self._at[key] = now
            self._passes[key] = 0

    def passed(self, key: str, *, at_most: int) -> bool:
        """A check of a server was passed; whether that counts, which so many do at most."""
        if self._passes.get(key, at_most) >= at_most:
            return False
        self._passes[key] += 1
        return True

    def back(self, key: str, now: float) -> Back | None:
        """How long it has been back; None: it was never away, or is away now."""
        at = self._at.get(key)
        return None if at is None else Back(now - at, self._passes[key])

    def forget(self, keys: Iterable[str]) -> None:
        """These servers are not configured any more."""
        for key in keys:
            self._at.pop(key, None)
            self._passes.pop(key, None)
