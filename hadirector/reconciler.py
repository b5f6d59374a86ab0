"""Makes the kernel's table what the pools ask for: one function for every occasion.

A start, a reload, a change of health, an audit and a retry are the same turn: read the table,
compare it with what the pools want, apply the difference, say in one sentence what was done. The
kernel is the truth, so every turn begins with a fresh read; what already matches is adopted
without a write.

What differs from how the last turn left the table was changed by somebody else. That is *drift*;
it is journaled as such, with what was found, and repaired in the same turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hadirector.ipvs.dataplane import Dataplane
from hadirector.ipvs.model import ServiceKey, Table
from hadirector.journal import Journal
from hadirector.plan import Plan, plan
from hadirector.pool import Pool, desired_table

STEPS_TOLD_MAX = 20  # of a turn, in the journal; the rest is counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one turn found and did."""

    why: str
    at: float  # unix time, seconds
    steps: tuple[str, ...]
    drift: tuple[str, ...]
    failures: tuple[str, ...]
    kept: tuple[str, ...]  # services that somebody else has in the table
    oddities: tuple[str, ...]
    sentence: str


class Reconciler:
    """Owns the table. For one task at a time."""

    def __init__(
        self, dataplane: Dataplane, journal: Journal, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._dataplane = dataplane
        self._journal = journal
        self._clock = clock
        self._left: Table | None = None  # the table as the last turn wanted it
        self.declared: set[ServiceKey] = set()  # by this configuration or an earlier one
        self.actual = Table()  # as last read, with counters
        self.last: Turn | None = None

    async def read(self) -> Table:
        """Read the table; raises DataplaneError."""
        self.actual = await self._dataplane.read()
        return self.actual

    async def turn(self, why: str, pools: Iterable[Pool]) -> Turn:
        """Bring the table to what the pools ask for; raises DataplaneError.

        A step that the kernel refuses is in `failures`; the other steps are done all the same.
        """
        desired = desired_table(pools)
        if not desired and not self.declared:
            return self._nothing_of_ours(why)
        actual = await self.read()
        drift = self._drift(actual)
        ahead = plan(desired, actual, declared_before=self.declared)
        # From here on until all is known to be done, a difference is no proof of somebody else.
        self._left = None
        self.declared |= set(desired)
        failures: tuple[str, ...] = ()
        if ahead:
            report = await self._dataplane.apply(ahead.steps)
            failures = tuple(str(failure) for failure in report.failures)
        if not failures:
            self._left = desired
            self.declared = set(desired)
        turn = Turn(
            why=why,
            at=self._clock(),
            steps=tuple(str(step) for step in ahead.steps),
            drift=drift,
            failures=failures,
            kept=tuple(str(key) for key in ahead.kept),
            oddities=actual.oddities,
            sentence=_sentence(why, ahead, len(failures)),
        )
        self._tell(turn)
        self.last = turn
        return turn

    def _nothing_of_ours(self, why: str) -> Turn:
        """A director that only keeps addresses needs no table, and perhaps has no IPVS."""
        self.last = Turn(
            why=why,
            at=self._clock(),
            steps=(),
            drift=(),
            failures=(),
            kept=(),
            oddities=(),
            sentence=f"{why}: no services, so the table is not looked at",
        )
        return self.last

    def _drift(self, actual: Table) -> tuple[str, ...]:
        if self._left is None:
            return ()
        back = plan(self._left, actual, declared_before=self.declared)
        return tuple(str(step) for step in back.steps)

    def _tell(self, turn: Turn) -> None:
        # What was refused is tried again with each audit, and told once.
        refused = self.last if self.last is not None and self.last.failures else None
        steps = tuple(s for s in turn.steps if refused is None or s not in refused.steps)
        if turn.drift:
            self._journal.add(
                "repair",
                "another program changed the table; repaired: " + _listed(turn.drift),
                steps=list(turn.drift[:STEPS_TOLD_MAX]),
            )
        elif steps:
            self._journal.add("table", f"{turn.sentence}: {_listed(steps)}")
        for failure in turn.failures:
            if refused is None or failure not in refused.failures:
                self._journal.add("table", failure)
        if turn.kept and (self.last is None or self.last.kept != turn.kept):
            self._journal.add(
                "table", "left alone, since nobody declared them here: " + _listed(turn.kept)
            )


def _sentence(why: str, ahead: Plan, failures: int) -> str:
    refused = f", {failures} refused by the kernel" if failures else ""
    return f"{why}: {ahead.summary}{refused}"


def _listed(sentences: tuple[str, ...]) -> str:
    shown = "; ".join(sentences[:STEPS_TOLD_MAX])
    more = len(sentences) - STEPS_TOLD_MAX
    return f"{shown}; and {more} more" if more > 0 else shown
