"""Servers and services that left the file: weight 0 first, removed once their clients have gone.

The problem: the kernel forgets where a removed server's connections went, so a reload that removes
one cuts off everybody who is being served. The approach: what we had put into the table and the
file no longer has stays in the desired table with weight 0, until the kernel counts no connection
of it any more or its time is over. Nothing of this is kept on disk: an interrupted removal finds
the server with weight 0 in the table and goes on. A server that a check or an order by hand takes
out is still in the file, and goes at once as ever; so does one whose new clients would be turned
away by its scheduler meanwhile (`Service.turns_away_from_drained`). Where the file has a service
with other servers, and none of them has passed its checks yet, those that left keep their weight
until one has, or until their time is over: a reload leaves no service without servers.

Time (seconds of one monotonic clock) comes in as an argument. Never: I/O; a server of others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from hadirector import limits
from hadirector.ipvs.model import (
    Counters,
    Destination,
    DestinationKey,
    Entry,
    FirewallMark,
    Protocol,
    ServiceKey,
    Table,
)
from hadirector.ipvs.steps import (
    DeleteDestination,
    DeleteService,
    SetDestination,
    SetService,
    Step,
)
from hadirector.pool import Pool


@dataclass(frozen=True, slots=True)
class Drain:
    """How what left the file is removed: after `time_s` at the latest, 0: at once.

    `ignores_persistence`: the kernel sends nobody back to a drained server, so that clients whom
    persistence remembers need not be waited for (``expire_quiescent_template``).
    """

    time_s: float = 0.0
    ignores_persistence: bool = False


AT_ONCE = Drain()


@dataclass(frozen=True, slots=True)
class Leaving:
    """A server that is in the table only for its clients: `since` when, `until` when at the latest.

    Both by one clock, seconds: that of the turns, or Unix time where it is told.
    """

    service: ServiceKey
    server: DestinationKey
    since: float
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """By what a turn goes: the pools it is about, what is there, and what was wanted last time.

    `left` None: not known. `about`: the services, None: the whole table. `counted`: those whose
    counters in `actual` were just read.
    """

    pools: Iterable[Pool]
    actual: Table
    left: Table | None
    declared: Collection[ServiceKey]
    about: Collection[ServiceKey] | None
    counted: Collection[ServiceKey]


class Departures:
    """What is leaving, each until when. For one task at a time."""

    def __init__(self) -> None:
        self._held: dict[tuple[ServiceKey, DestinationKey], Leaving] = {}
        self._looks = 0  # since something began to leave

    def __bool__(self) -> bool:
        return bool(self._held)

    @property
    def leaving(self) -> tuple[Leaving, ...]:
        """What is leaving, by the clock of the turns."""
        return tuple(self._held.values())

    def look_again_in_s(self) -> float | None:
        """In how many seconds the connections are to be counted anew; None: nothing leaves."""
        if not self._held:
            self._looks = 0
            return None
        self._looks += 1
        # Much may leave at once, so that a long drain is looked at less and less often.
        doubled = limits.DRAIN_LOOK_S * float(1 << min(self._looks - 1, 16))
        return min(doubled, limits.DEPARTURE_LOOK_MAX_S)

    def hold(self, wanted: Table, leave: Leave, drain: Drain, now: float) -> Table:
        """The wanted table, with what is leaving and still has its time, at weight 0."""
        if drain.time_s <= 0:
            self._held.clear()
            return wanted
        entries = dict(wanted.entries)
        seen: set[tuple[ServiceKey, DestinationKey]] = set()
        for key, servers in _leaving(wanted, leave):
            entry = leave.actual[key]
            needed = _is_bare(wanted.entries.get(key))
            held = {}
            for server in servers:
                place = (key, server.key)
                known = self._held.get(place)
                leaving = known or Leaving(key, server.key, now, now + drain.time_s)
                counted = entry.counters.get(server.key) if key in leave.counted else None
                gone = not server.usable and counted is not None
                if now >= leaving.until or (gone and not awaited(key, counted, drain)):
                    continue
                self._held[place] = leaving
                seen.add(place)
                held[server.key] = server if needed else replace(server, weight=0)
            if held:
                stays = entries.get(key, Entry(entry.service, {}))
                together = {**stays.destinations, **held}
                entries[key] = replace(stays, destinations=together)
        for place in self._held.keys() - seen:
            if leave.about is None or place[0] in leave.about:
                del self._held[place]
        return Table(entries, wanted.oddities)


def awaited(key: ServiceKey, counters: Counters | None, drain: Drain) -> int:
    """How many of a server's connections are worth waiting for."""
    if counters is None:
        return 0
    # To the kernel, every connection but one of TCP or SCTP is inactive all its life.
    states = not isinstance(key, FirewallMark) and key.protocol is not Protocol.UDP
    persistent = 0 if drain.ignores_persistence else counters.persistent
    return counters.active + persistent + (0 if states else counters.inactive)


def lowered(steps: Sequence[Step], actual: Table) -> tuple[SetDestination, ...]:
    """What a plan's removals are to be preceded by: the weight of all that goes to 0."""
    found: list[SetDestination] = []
    undrained = _undrained(steps, actual)
    for step in steps:
        if isinstance(step, DeleteDestination):
            going: Iterable[Destination] = () if step.key in undrained else (step.before,)
        elif isinstance(step, DeleteService) and step.key in actual:
            going = actual[step.key].destinations.values()
        else:
            continue
        found += (SetDestination(step.key, replace(s, weight=0), s) for s in going if s.usable)
    return tuple(found)


def parted(steps: Iterable[Step]) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """A plan's steps that give and lower, and those that remove."""
    first: list[Step] = []
    last: list[Step] = []
    for step in steps:
        (last if isinstance(step, DeleteDestination | DeleteService) else first).append(step)
    return tuple(first), tuple(last)


def awaited_of(steps: Sequence[Step], actual: Table, drain: Drain) -> int:
    """How many connections the servers that these steps remove still have."""
    total = 0
    undrained = _undrained(steps, actual)
    for step in steps:
        entry = actual.get(step.key)
        if entry is None:
            continue
        if isinstance(step, DeleteDestination) and step.key not in undrained:
            total += awaited(step.key, entry.counters.get(step.before.key), drain)
        elif isinstance(step, DeleteService):
            total += sum(awaited(step.key, each, drain) for each in entry.counters.values())
    return total


def _undrained(steps: Iterable[Step], actual: Table) -> set[ServiceKey]:
    """The services whose servers are removed at once, by the scheduler that they will have."""
    found = {key for key, entry in actual.items() if entry.service.turns_away_from_drained}
    for step in steps:
        if isinstance(step, SetService):
            (found.add if step.service.turns_away_from_drained else found.discard)(step.key)
    return found


def _leaving(wanted: Table, leave: Leave) -> Iterator[tuple[ServiceKey, list[Destination]]]:
    """What is ours, in the kernel, and in the file no more."""
    pools = {key: pool for pool in leave.pools for key in pool.service.listens}
    for key, entry in leave.actual.entries.items():
        stays = wanted.entries.get(key)
        if stays is None and key not in leave.declared:
            continue
        found = entry.destinations
        if stays is not None and (
            found is stays.destinations or found.keys() <= stays.destinations.keys()
        ):
            continue  # the usual, and there may be thousands
        pool = pools.get(key)
        if stays is not None and pool is None:
            continue  # what probes go through
        if stays is not None and stays.service.turns_away_from_drained and not _is_bare(stays):
            continue  # its clients must not wait for it to drain
        named = set() if stays is None or pool is None else _members(pool, key)
        before = None if leave.left is None else leave.left.get(key)
        ours = found if before is None else before.destinations
        servers = [server for at, server in found.items() if at not in named and at in ours]
        if servers:
            yield key, servers


def _is_bare(stays: Entry | None) -> bool:
    """Whether this is a service of the file, and none of its servers takes clients."""
    return stays is not None and not stays.usable


def _members(pool: Pool, key: ServiceKey) -> set[DestinationKey]:
    """The servers that the file has behind this key, in the table or not."""
    service = pool.service
    return {server.behind(key) for server in (*service.servers, *service.fallbacks)}
