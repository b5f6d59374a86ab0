"""Makes the kernel's table what the pools ask for: one function for every occasion.

A start, a reload, a change of health, an audit and a retry are the same turn: read the table,
compare it with what the pools want, apply the difference, say in one sentence what was done. The
kernel is the truth, so a turn begins with a fresh read, unless it is known which services changed
since the last one (`Changes`: of health, by hand, in the file): such a turn looks at these alone,
by the last reading and what was done since, so that it costs one exchange with the kernel, however
large the table is. If the kernel then refuses a step, or after any doubt, it is read after all; and
the audit reads in any case. What already matches is adopted without a write.

What differs from how the last turn left the table was changed by somebody else. That is *drift*;
by the policy of its service it is repaired in the same turn, left and journaled, or just left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hadirector.departures import AT_ONCE, Departures, Drain, Leave, Leaving
from hadirector.drift import Drift, Finding, as_left, tolerate
from hadirector.ipvs.dataplane import Dataplane
from hadirector.ipvs.model import Entry, ServiceKey, Table
from hadirector.ipvs.steps import Step
from hadirector.journal import Journal
from hadirector.plan import Plan, Undeclared, after, plan
from hadirector.pool import Pool, desired_table

HEALTH = "health"  # why a turn is taken: checks have changed their verdict
STEPS_TOLD_MAX = 20  # of a turn, in a sentence of the journal; the rest is counted
FINDINGS_PER_EVENT = 100  # what others did is journaled whole, so many to an event
_COMPARED_PER_TURN = 32  # services; then other tasks get a turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one turn found and did."""

    why: str
    at: float  # unix time, seconds
    steps: tuple[str, ...]
    drift: tuple[str, ...]  # what others did, and was repaired
    failures: tuple[str, ...]
    kept: tuple[str, ...]  # services that somebody else has in the table
    oddities: tuple[str, ...]
    sentence: str
    reported: tuple[str, ...] = ()  # what others did, and was left so
    findings: tuple[Finding, ...] = ()  # all that others did, whatever became of it


@dataclass(frozen=True, slots=True)
class Changes:
    """What is not as it was at the last turn: pools decided anew, and services that are gone."""

    pools: tuple[Pool, ...] = ()
    gone: frozenset[ServiceKey] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a turn is to bring about: these pools, from this table, with others left as they are."""

    why: str
    pools: Sequence[Pool]
    undeclared: Undeclared
    actual: Table
    left: Table | None  # as the last turn wanted it
    others: Mapping[ServiceKey, Entry]  # what this turn is not about, as the last one wanted it
    drain: Drain
    about: Collection[ServiceKey] | None  # None: the whole table
    counted: Collection[ServiceKey]  # the services that were just read


class Reconciler:
    """Owns the table. For one task at a time."""

    def __init__(
        self,
        dataplane: Dataplane,
        journal: Journal,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dataplane = dataplane
        self._journal = journal
        self._clock = clock
        self._monotonic = monotonic
        self._left: Table | None = None  # the table as the last turn wanted it
        self._built: dict[str, tuple[Pool, Mapping[ServiceKey, Entry]]] = {}
        self.departures = Departures()
        self.declared: set[ServiceKey] = set()  # by this configuration or an earlier one
        self.actual = Table()  # as last read, with counters, and what was done since
        self.last: Turn | None = None

    def leaving(self) -> tuple[Leaving, ...]:
        """What left the file and is still in the table, in Unix time."""
        ahead = self._clock() - self._monotonic()
        return tuple(
            replace(one, since=one.since + ahead, until=one.until + ahead)
            for one in self.departures.leaving
        )

    async def read(self) -> Table:
        """Read the table; raises DataplaneError. Other tasks get turns, however large it is.

        What is as the last turn left it shares its values, so that the turn after this, which does
        not give way, compares ten thousand servers in no time.
        """
        found, left = await self._dataplane.read(), self._left or Table()
        entries: dict[ServiceKey, Entry] = {}
        for number, (key, entry) in enumerate(found.entries.items()):
            entries[key] = as_left(entry, left.entries.get(key))
            if number % _COMPARED_PER_TURN == 0:
                await asyncio.sleep(0)
        self.actual = Table(entries, found.oddities)
        return self.actual

    async def look(self, keys: Collection[ServiceKey]) -> None:
        """Read these services anew; raises DataplaneError."""
        found = await self._dataplane.read_services(keys)
        others = {key: entry for key, entry in self.actual.entries.items() if key not in keys}
        self.actual = Table({**others, **found.entries}, self.actual.oddities)

    async def turn(
        self,
        why: str,
        pools: Iterable[Pool],
        *,
        changes: Changes | None = None,
        undeclared: Undeclared = Undeclared.REPORT,
        drain: Drain = AT_ONCE,
        just_read: bool = False,
        looked_at: Collection[ServiceKey] = (),
    ) -> Turn:
        """Bring the table to what the pools ask for; raises DataplaneError.

        `changes`: all that changed since the last turn; None where that is not known. `drain`: how
        what is in no pool any more leaves. `just_read`: the caller has just called `read`;
        `looked_at`: it has called `look` for these services, and the turn is about them, too. A
        step that the kernel refuses is in `failures`; the other steps are done all the same.
        """
        tried: tuple[str, ...] = ()
        wanted = tuple(pools)
        if changes is not None and self._left is not None:
            if looked_at:
                changes = _with(changes, wanted, looked_at)
            part = self._part(why, changes, undeclared=undeclared, drain=drain, counted=looked_at)
            drift = self._drift(self.actual.only(looked_at), self._left.only(looked_at))
            turn = await self._reach(part, drift=drift, known=self.last)
            if not turn.failures:
                return self._finish(turn, undeclared)
            tried = turn.steps  # the table is not what it was: look, and plan again
        if not self.reads(wanted, undeclared):
            return self._nothing_of_ours(why)
        actual = self.actual if just_read else await self.read()
        asked = _Asked(
            why=why,
            pools=wanted,
            undeclared=undeclared,
            actual=actual,
            left=self._left,
            others={},
            drain=drain,
            about=None,
            counted=actual.keys(),
        )
        self._built = {p.service.name: b for p in wanted if (b := self._built.get(p.service.name))}
        turn = await self._reach(asked, drift=self._drift(actual, self._left))
        return self._finish(replace(turn, steps=(*tried, *turn.steps)), undeclared)

    def _part(
        self,
        why: str,
        changes: Changes,
        *,
        undeclared: Undeclared,
        drain: Drain,
        counted: Collection[ServiceKey],
    ) -> _Asked:
        """A turn about some services only; the rest of the table is taken for what it was."""
        left = self._left or Table()
        about = changes.gone.union(*(pool.service.kernel_keys for pool in changes.pools))
        others = dict(left.entries)
        for key in about:
            others.pop(key, None)
        return _Asked(
            why=why,
            pools=changes.pools,
            undeclared=undeclared,
            actual=self.actual.only(about),
            left=left.only(about),
            others=others,
            drain=drain,
            about=about,
            counted=counted,
        )

    def reads(self, pools: Collection[object], undeclared: Undeclared) -> bool:
        """Whether there is anything for which to read the table."""
        return bool(pools or self.declared or undeclared is Undeclared.REMOVE)

    def _nothing_of_ours(self, why: str) -> Turn:
        """A director that only keeps addresses needs no table, and perhaps has no IPVS."""
        self.last = self.left_alone(why, "no services, so the table is not looked at")
        return self.last

    def left_alone(self, why: str, because: str) -> Turn:
        """A turn that looks at nothing and writes nothing; the next one has to read the table."""
        return Turn(
            why=why,
            at=self._clock(),
            steps=(),
            drift=(),
            failures=(),
            kept=(),
            oddities=(),
            sentence=f"{why}: {because}",
        )

    async def _reach(
        self, asked: _Asked, *, drift: tuple[Step, ...] = (), known: Turn | None = None
    ) -> Turn:
        """Plan and apply; `known` has what was told of the services that this is not about."""
        services = [p.service for p in asked.pools if p.service.drift is not Drift.REPAIR]
        policies = {key: service.drift for service in services for key in service.kernel_keys}
        wanted = self._with_departures(self._desired(asked.pools), asked)
        desired = wanted
        if asked.left is not None and policies:
            desired = tolerate(wanted, left=asked.left, actual=asked.actual, policies=policies)
        ahead = plan(
            desired, asked.actual, undeclared=asked.undeclared, declared_before=self.declared
        )
        # From here on until all is known to be done, a difference is no proof of somebody else.
        self._left = None
        self.declared |= set(wanted)
        failures: tuple[str, ...] = ()
        if ahead:
            report = await self._dataplane.apply(ahead.steps)
            failures = tuple(str(failure) for failure in report.failures)
        if not failures:
            self._left = Table({**asked.others, **wanted.entries})
            self.declared = set(self._left.entries)
            self.actual = after(self.actual, ahead.steps)
        reported = _under(drift, policies, Drift.REPORT)
        kept = tuple(str(key) for key in ahead.kept)
        found = tuple(Finding.of(s, policies.get(s.key, Drift.REPAIR)) for s in drift)
        return Turn(
            why=asked.why,
            at=self._clock(),
            steps=tuple(str(step) for step in ahead.steps),
            drift=_under(drift, policies, Drift.REPAIR),
            reported=reported if known is None else known.reported,
            findings=found,
            failures=failures,
            kept=kept if known is None else known.kept,
            oddities=asked.actual.oddities,
            sentence=_sentence(asked.why, ahead, len(failures)),
        )

    def _desired(self, pools: Iterable[Pool]) -> Table:
        """What the pools ask for; of those that are as they were, it is known."""
        entries: dict[ServiceKey, Entry] = {}
        for pool in pools:
            name = pool.service.name
            built = self._built.get(name)
            if built is None or built[0] is not pool:
                built = self._built[name] = (pool, desired_table([pool]).entries)
            entries |= built[1]
        return Table(entries)

    def _with_departures(self, wanted: Table, asked: _Asked) -> Table:
        leave = Leave(
            pools=asked.pools,
            actual=asked.actual,
            left=asked.left,
            declared=self.declared,
            about=asked.about,
            counted=asked.counted,
        )
        return self.departures.hold(wanted, leave, asked.drain, self._monotonic())

    def _finish(self, turn: Turn, undeclared: Undeclared) -> Turn:
        self._tell(turn, undeclared)
        self.last = turn
        return turn

    def _drift(self, actual: Table, left: Table | None) -> tuple[Step, ...]:
        """What would have to be done for the table to be as we left it."""
        if left is None:
            return ()
        return plan(left, actual, declared_before=self.declared).steps

    def _tell(self, turn: Turn, undeclared: Undeclared) -> None:
        # What was refused is tried again with each audit, and told once.
        refused = self.last if self.last is not None and self.last.failures else None
        steps = tuple(s for s in turn.steps if refused is None or s not in refused.steps)
        if turn.drift:
            what = "another program changed the table; repaired: " + _listed(turn.drift)
            self._tell_findings("repair", what, turn, Drift.REPAIR)
        elif steps:
            self._journal.add("table", f"{turn.sentence}: {_listed(steps)}")
        if turn.reported and (self.last is None or self.last.reported != turn.reported):
            what = "another program changed the table; it is left so, and this would undo it: "
            self._tell_findings("drift", what + _listed(turn.reported), turn, Drift.REPORT)
        for failure in turn.failures:
            if refused is None or failure not in refused.failures:
                self._journal.add("table", failure)
        told = self.last is not None and self.last.kept == turn.kept
        if turn.kept and undeclared is Undeclared.REPORT and not told:
            self._journal.add(
                "table", "left alone, since nobody declared them here: " + _listed(turn.kept)
            )

    def _tell_findings(self, kind: str, sentence: str, turn: Turn, policy: Drift) -> None:
        """Each with before and after: the first in the event of the sentence, others in more."""
        found = [
            {"about": one.about, "before": one.before, "after": one.after}
            for one in turn.findings
            if one.policy is policy
        ]
        steps = list((turn.drift if policy is Drift.REPAIR else turn.reported)[:STEPS_TOLD_MAX])
        self._journal.add(kind, sentence, steps=steps, findings=found[:FINDINGS_PER_EVENT])
        for first in range(FINDINGS_PER_EVENT, len(found), FINDINGS_PER_EVENT):
            part = found[first : first + FINDINGS_PER_EVENT]
            told = f"findings {first + 1} to {first + len(part)} of {len(found)} of this {turn.why}"
            self._journal.add(kind, told, findings=part)


def _with(changes: Changes, pools: Iterable[Pool], looked_at: Collection[ServiceKey]) -> Changes:
    """The changes, with the services that were looked at, although nothing changed there."""
    known, about = {pool.service.name for pool in changes.pools}, frozenset(looked_at)
    more = [
        pool
        for pool in pools
        if pool.service.name not in known and not about.isdisjoint(pool.service.kernel_keys)
    ]
    return Changes((*changes.pools, *more), changes.gone | about)


def _under(
    steps: Iterable[Step], policies: Mapping[ServiceKey, Drift], policy: Drift
) -> tuple[str, ...]:
    """The steps on services that have this policy."""
    return tuple(str(step) for step in steps if policies.get(step.key, Drift.REPAIR) is policy)


def _sentence(why: str, ahead: Plan, failures: int) -> str:
    refused = f", {failures} refused by the kernel" if failures else ""
    return f"{why}: {ahead.summary}{refused}"


def _listed(sentences: tuple[str, ...]) -> str:
    shown = "; ".join(sentences[:STEPS_TOLD_MAX])
    more = len(sentences) - STEPS_TOLD_MAX
    return f"{shown}; and {more} more" if more > 0 else shown
