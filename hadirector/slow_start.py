"""A server that comes back gets its share of the clients little by little. Pure.

The problem: a server that has just started has cold caches, and a scheduler that counts connections
gives it every new client at once. The approach: from its return on, its weight grows in equal steps
from a twentieth of what it is due to all of it. Time comes in as an argument.

Must never give a server that is due clients the weight 0, nor more than it is due.
"""

from __future__ import annotations

from collections.abc import Collection

STEPS = 20  # so many writes to the kernel for one return, at most


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
    """When each server came back that had been away."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def note(self, key: str, *, came_back: bool, now: float) -> None:
        """The verdict on a server has changed: it came back, or it did not."""
        self._at.pop(key, None)
        if came_back:
            self._at[key] = now

    def back_for_s(self, key: str, now: float) -> float | None:
        """Seconds since it came back; None: it was never away, or is away now."""
        at = self._at.get(key)
        return None if at is None else now - at

    def keep_only(self, keys: Collection[str]) -> None:
        """Forget the servers that are not configured any more."""
        self._at = {key: at for key, at in self._at.items() if key in keys}
