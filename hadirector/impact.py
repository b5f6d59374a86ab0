"""What a plan would do to the clients, estimated from the kernel's counters. Pure.

The problem: "remove 2 servers" may end no connection or thousands. The approach: the steps that
take something away are added up with the connections that the kernel counted when the table was
read; what was read is old a moment later, so this is an estimate and says so by being one. Adding
servers or raising weights harms nobody and is not told here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hadirector.ipvs.model import Counters, DestinationKey, Entry, ServiceKey, Table
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
        elif isinstance(step, SetDestination) and step.before.usable > step.destination.usable:
            drained.append(_counted(entry, step.before.key))
    sentences = (
        *_sentence("removes", removed),
        *_sentence("takes new connections from", drained),
        *_losses({step.key for step in ahead.steps}, actual, desired, quorums),
    )
    return Impact(sentences, changes)


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
    keys: set[ServiceKey],
    actual: Table,
    desired: Table,
    quorums: Mapping[ServiceKey, Quorum],
) -> Iterator[str]:
    for key, entry in actual.items():
        if key not in keys:
            continue
        quorum = quorums.get(key, Quorum(str(key), 1))
        before, after = _usable(entry), _usable(desired[key]) if key in desired else 0
        if before and not after:
            yield f"leaves {quorum.name} without a server"
        elif before >= quorum.needed > after:
            yield f"quorum of {quorum.name} falls below {quorum.needed}"


def _usable(entry: Entry) -> int:
    return sum(server.usable for server in entry.destinations.values())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
