"""Whether enough of a service is up for it to count as working. Pure.

The problem: one figure for "enough" makes a service that is just at it come and go with every
server, and the VRRP priority with it. The approach, keepalived's: a quorum with hysteresis. It is
lost below `need - hysteresis` and met again at `need + hysteresis`; in between it is what it was.

Must never decide anything from a figure that it does not show.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """What is counted."""

    SERVERS = "servers"
    WEIGHT = "weight"  # the sum of the weights that those up are due, slow start left aside
    SHARE = "share"  # of the servers, in percent


class WhenLost(StrEnum):
    """What becomes of the servers that are still up."""

    SERVE = "serve"
    FALLBACK = "fallback"  # weight 0, as soon as a fallback server can serve instead


@dataclass(frozen=True, slots=True, kw_only=True)
class Quorum:
    """How much must be up; `need` and `hysteresis` are in `unit`."""

    need: int = 1
    unit: Unit = Unit.SERVERS
    hysteresis: int = 0
    when_lost: WhenLost = WhenLost.SERVE

    def __str__(self) -> str:
        """`2`, `weight 150 +/- 20`, `60 %`."""
        return self._told(f"{self.need}{f' +/- {self.hysteresis}' if self.hysteresis else ''}")

    def counted(self, due: Iterable[int], servers: int) -> int:
        """What there is, by the weights that the servers up are due, of so many servers in all."""
        weights = list(due)
        if self.unit is Unit.WEIGHT:
            return sum(weights)
        if self.unit is Unit.SHARE:
            return 100 * len(weights) // servers if servers else 0
        return len(weights)

    def is_met(self, there: int, before: bool | None) -> bool:
        """Whether so much is enough; `before`: whether it was, None at first."""
        if before is None:
            return there >= self.need
        return there >= self.need + (-self.hysteresis if before else self.hysteresis)

    def servers_needed(self, weights: Collection[int]) -> int:
        """How many of the servers of these weights it takes at least."""
        if self.unit is Unit.SERVERS:
            return self.need
        if self.unit is Unit.SHARE:
            return -(-self.need * len(weights) // 100)
        descending = sorted(weights, reverse=True)
        for count in range(1, len(descending) + 1):
            if sum(descending[:count]) >= self.need:
                return count
        return len(descending)

    def told(self, there: int, *, met: bool) -> str:
        """Whether it is met, and what would change that where it does not go without saying."""
        verdict = f"quorum {self} {'met' if met else 'not met'}"
        if self.unit is Unit.SERVERS and not self.hysteresis:
            return verdict
        return f"{verdict} ({self.turns(there, met=met)})"

    def turns(self, there: int, *, met: bool) -> str:
        """What would change the verdict, in words."""
        turn = self.need + (-self.hysteresis if met else self.hysteresis)
        has = "" if self.unit is Unit.SERVERS else f"{self._told(str(there))} now, "
        return f"{has}{'lost below' if met else 'met again at'} {self._told(str(turn))}"

    def _told(self, figure: str) -> str:
        if self.unit is Unit.SHARE:
            return f"{figure} %"
        return f"weight {figure}" if self.unit is Unit.WEIGHT else figure


ONE_SERVER = Quorum()
