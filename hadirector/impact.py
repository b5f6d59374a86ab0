"""What a plan would do to the clients, estimated from the kernel's counters. Pure.

The problem: "remove 2 servers" may end no connection or thousands. The approach: the steps that
take something away are added up with the connections that the kernel counted when the table was
read; what was read is old a moment later, so this is an estimate and says so by being one. What
else clients notice is told by service: a quorum that is not reached, persistence that forgets them,
a hash that sends them elsewhere. Adding servers or raising weights harms nobody, but with a hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from hadirector.ipvs.model import (
    HASHES,
    Counters,
    Destination,
    DestinationKey,
    Entry,
    Persistence,
    ServiceKey,
    Table,
)
from hadirector.ipvs.schedulers import moved
from hadirector.ipvs.steps import (
    AddDestination,
    AddService,
    DeleteDestination,
    DeleteService,
    SetDestination,
)
from hadirector.plan import Plan

_NONE = Counters()


@dataclass(frozen=True, slots=True)
class Quorum:
    """How many usable servers a service needs, and what people call it."""

    name: str
    needed: int


@dataclass(frozen=True, slots=True)
class Impact:
    """``sentences``: what clients would notice. ``changes``: entries changed or removed."""

    sentences: tuple[str, ...] = ()
    changes: int = 0


def impact(
    ahead: Plan, actual: Table, desired: Table, quorums: Mapping[ServiceKey, Quorum]
) -> Impact:
    """The impact of a plan that leads from ``actual`` to ``desired``."""
    removed: list[Counters] = []
    drained: list[Counters] = []
    changes = 0
    for step in ahead.steps:
        entry = actual.get(step.key)
        if isinstance(step, AddService | AddDestination) or entry is None:
            continue
        changes += 1
        if isinstance(step, DeleteService):
            removed += [_counted(entry, key) for key in entry.destinations]
            changes += len(entry.destinations)
        elif isinstance(step, DeleteDestination):
            removed.append(_counted(entry, step.before.key))
        elif isinstance(step, SetDestination) and _closes(step, _counted(entry, step.before.key)):
            drained.append(_counted(entry, step.before.key))
    sentences = (
        *_sentence("removes", removed),
        *_sentence("takes new connections from", drained),
        *_losses(ahead, actual, desired, quorums),
    )
    # A service of the file may be several of the kernel's, for which the same holds.
    return Impact(tuple(dict.fromkeys(sentences)), changes)


def _closes(step: SetDestination, counted: Counters) -> bool:
    """Whether a server takes no new connections by this: its weight, or a threshold it is at."""
    total = counted.active + counted.inactive

    def takes_some(server: Destination) -> bool:
        return server.usable and not 0 < server.upper <= total

    return takes_some(step.before) and not takes_some(step.destination)


def _counted(entry: Entry, key: DestinationKey) -> Counters:
    return entry.counters.get(key, _NONE)


def _sentence(verb: str, servers: list[Counters]) -> Iterator[str]:
    if not servers:
        return
    active = sum(counted.active for counted in servers)
    persistent = sum(counted.persistent for counted in servers)
    words = f"{verb} {_count(len(servers), 'server')} with {_count(active, 'active connection')}"
    if persistent:
        words += f" and {_count(persistent, 'persistent client')}"
    yield words


def _losses(
    ahead: Plan, actual: Table, desired: Table, quorums: Mapping[ServiceKey, Quorum]
) -> Iterator[str]:
    for key in dict.fromkeys(step.key for step in ahead.steps):
        entry, wanted = actual.get(key), desired.get(key)
        quorum = quorums.get(key, Quorum(str(key), 1))
        before, after = _usable(entry), _usable(wanted)
        if before and not after:
            yield f"leaves {quorum.name} without a server"
        elif before >= quorum.needed > after:
            yield f"quorum of {quorum.name} falls below {quorum.needed}"
        elif wanted is not None and after < quorum.needed:
            yield f"quorum of {quorum.name} is not reached: {after} of {quorum.needed}"
        if entry is not None and wanted is not None and after:
            yield from _moves(quorum.name, entry, wanted)


def _moves(name: str, entry: Entry, wanted: Entry) -> Iterator[str]:
    """Clients who find another server, or none, with their next connection."""
    before, after = entry.service, wanted.service
    persistent = sum(counted.persistent for counted in entry.counters.values())
    if persistent and before.persistence != after.persistence:
        if _remembers(before.persistence, after.persistence):
            yield f"the persistence of {name} has another time-out for new clients"
        else:
            yield f"persistence forgets {_count(persistent, 'client')} of {name}"
    if before.scheduler != after.scheduler and HASHES & {before.scheduler, after.scheduler}:
        yield (
            f"clients of {name} go elsewhere: scheduler {after.scheduler}, no longer "
            f"{before.scheduler}"
        )
    share = moved(entry, wanted)
    if share:
        yield f"{share:.1%} of the clients of {name} go to another server ({after.scheduler})"
    if after.turns_away_from_drained:
        closed = [key for key, server in wanted.destinations.items() if not server.usable]
        if any(key in entry.destinations and entry.destinations[key].usable for key in closed):
            yield (
                f"turns away the clients of what is drained in {name}: {after.scheduler} "
                "has no fallback here"
            )


def _remembers(before: Persistence | None, after: Persistence | None) -> bool:
    """Whether clients are still found by what is remembered of them."""
    if before is None or after is None:
        return False
    return replace(before, timeout_s=after.timeout_s) == after


def _usable(entry: Entry | None) -> int:
    if entry is None:
        return 0
    return sum(server.usable for server in entry.destinations.values())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
