"""From the table the kernel has to the table it should have, in steps safe to interrupt anywhere.

The problem: between two tables lie many small writes. A director can die after any of them, and
clients use the service between any two. No service that has a usable server (weight above 0) both
before and after may have none in between.

The approach: make before break, across the whole table. All that gives comes first (services, real
servers, raised weights), all that takes comes last (lowered weights, removals). While giving, the
set of usable servers only grows; when giving ends, every server usable in the end is usable
already; so taking never takes the last one that is meant to stay. A new service is followed at
once by its usable servers. Every change the kernel has is possible in place, so nothing is ever
deleted to be added again, and what already matches yields no step (adoption).

A server is removed without setting its weight to 0 first: to the kernel the removal is atomic, and
what would make the connections survive is not the zero but the time before the removal. That time
is a drain: the desired table expresses it by keeping the server with weight 0 (`departures`), and
`hadirector apply`, which has no second turn, puts `departures.lowered` before the removals.

Never: I/O; a step that is not needed; a word about *why* a weight is what it is (``pool``'s part).
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from hadirector.ipvs.model import Destination, DestinationKey, Entry, ServiceKey, Table
from hadirector.ipvs.steps import (
    AddDestination,
    AddService,
    DeleteDestination,
    DeleteService,
    SetDestination,
    SetService,
    Step,
)


class Undeclared(StrEnum):
    """What to do with a service that is in the kernel and that nobody declared.

    ``REPORT`` keeps it, too, and has it journaled.
    """

    KEEP = "keep"
    REPORT = "report"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Plan:
    """The ordered steps, and the services left alone because they are somebody else's."""

    steps: tuple[Step, ...] = ()
    kept: tuple[ServiceKey, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def summary(self) -> str:
        """ "add 1 service and 2 servers, remove 1 server", or that the table matches."""
        verbs = (
            ("add", AddService, AddDestination),
            ("change", SetService, SetDestination),
            ("remove", DeleteService, DeleteDestination),
        )
        parts = []
        for verb, on_service, on_server in verbs:
            counts = [(self._count(on_service), "service"), (self._count(on_server), "server")]
            nouns = [f"{n} {noun}{'' if n == 1 else 's'}" for n, noun in counts if n]
            if nouns:
                parts.append(f"{verb} {' and '.join(nouns)}")
        return ", ".join(parts) or "the table matches"

    def _count(self, kind: type[Step]) -> int:
        return sum(isinstance(step, kind) for step in self.steps)


def plan(
    desired: Table,
    actual: Table,
    *,
    undeclared: Undeclared = Undeclared.KEEP,
    declared_before: Collection[ServiceKey] = (),
) -> Plan:
    """The steps that lead from ``actual`` to ``desired``; none where they agree.

    ``declared_before``: keys of services that an earlier configuration declared. They are ours, so
    they go when they are no longer desired, whatever ``undeclared`` says about the others.
    """
    gives: list[Step] = []
    lowers: list[Step] = []
    removals: list[Step] = []
    had = actual.entries
    for key, wanted in desired.entries.items():  # plain dictionaries: there may be thousands
        present = had.get(key)
        if present is None:
            gives += _whole_service(wanted)
        elif present != wanted:
            gives += _gives(wanted, present)
            lowers += _lowers(wanted, present)
            removals += _removals(wanted, present)
    kept: list[ServiceKey] = []
    for key, present in had.items():
        if key in desired.entries:
            continue
        if undeclared is Undeclared.REMOVE or key in declared_before:
            removals.append(DeleteService(present))
        else:
            kept.append(key)
    return Plan((*gives, *lowers, *removals), tuple(kept))


def after(table: Table, steps: Iterable[Step]) -> Table:
    """The table once these steps are done; counters of what stays are kept."""
    entries = dict(table.entries)
    servers: dict[ServiceKey, dict[DestinationKey, Destination]] = {}
    for step in steps:
        match step:
            case DeleteService():
                entries.pop(step.key, None)
                servers.pop(step.key, None)
                continue
            case AddService(service):
                entries[step.key] = Entry(service, {})
                continue
            case SetService(service):
                entries[step.key] = replace(entries[step.key], service=service)
                continue
        present = servers.setdefault(step.key, dict(entries[step.key].destinations))
        if isinstance(step, DeleteDestination):
            present.pop(step.before.key, None)
        else:
            present[step.destination.key] = step.destination
    for key, present in servers.items():
        entries[key] = replace(entries[key], destinations=present)
    return Table(entries, table.oddities)


def _whole_service(wanted: Entry) -> Iterator[Step]:
    yield AddService(wanted.service)
    servers = wanted.destinations.values()
    for server in sorted(servers, key=lambda server: not server.usable):  # stable: usable first
        yield AddDestination(wanted.service.key, server)


def _gives(wanted: Entry, present: Entry) -> Iterator[Step]:
    key = wanted.service.key
    if wanted.service != present.service:
        yield SetService(wanted.service, present.service)
    for server_key, server in wanted.destinations.items():
        if server_key not in present.destinations:
            yield AddDestination(key, server)
    for server_key, server in wanted.destinations.items():
        before = present.destinations.get(server_key)
        if before is not None and before != server and before.weight <= server.weight:
            yield SetDestination(key, server, before)


def _lowers(wanted: Entry, present: Entry) -> Iterator[Step]:
    for server_key, server in wanted.destinations.items():
        before = present.destinations.get(server_key)
        if before is not None and before.weight > server.weight:
            yield SetDestination(wanted.service.key, server, before)


def _removals(wanted: Entry, present: Entry) -> Iterator[Step]:
    for server_key, server in present.destinations.items():
        if server_key not in wanted.destinations:
            yield DeleteDestination(wanted.service.key, server)
