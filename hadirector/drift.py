"""What to make of changes that another program made to a service of ours. Pure.

The problem: a service whose policy is to report or to ignore such changes must keep them, while our
own changes (a server that is down) still have to reach the kernel. The approach: three tables, as
in a merge: what we left last time, what is there now, and what we want. What we want differently
from what we left is done; everything else stays as it is found.

A service that somebody removed as a whole stays away until it is configured differently.
"""

from __future__ import annotations

from collections.abc import Mapping
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


class Drift(StrEnum):
    """What to do where another program changed a service that we declared."""

    REPAIR = "repair"
    REPORT = "report"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that another program changed: ours before, and as it was found after."""

    about: str
    before: str | None  # None: it was not there
    after: str | None
    policy: Drift

    @classmethod
    def of(cls, undoing: Step, policy: Drift) -> Finding:
        """What the step that would undo it tells of it."""
        before: object = None
        after: object = None
        match undoing:
            case AddService(service):
                about, before = str(undoing.key), service
            case SetService(service, found):
                about, before, after = str(undoing.key), service, found
            case DeleteService(entry):
                about, after = str(undoing.key), entry.service
            case AddDestination(_, server):
                about, before = _place(undoing.key, server), server
            case SetDestination(_, server, found):
                about, before, after = _place(undoing.key, server), server, found
            case DeleteDestination(_, found):
                about, after = _place(undoing.key, found), found
        return cls(about=about, before=_told(before), after=_told(after), policy=policy)


def _place(key: ServiceKey, server: Destination) -> str:
    return f"{server.key} of {key}"


def _told(value: object) -> str | None:
    return None if value is None else str(value)


def as_left(found: Entry, left: Entry | None) -> Entry:
    """The entry as found; where nobody changed it, made of the values that were left.

    Whoever compares the two after that sees the same objects, and looks at no server.
    """
    if left is None or found != left:
        return found
    return Entry(left.service, left.destinations, found.counters, found.traffic)


def tolerate(
    desired: Table, *, left: Table, actual: Table, policies: Mapping[ServiceKey, Drift]
) -> Table:
    """The desired table, with the changes of others kept where the policy is not to repair."""
    entries: dict[ServiceKey, Entry] = {}
    for key, wanted in desired.items():
        before, found = left.get(key), actual.get(key)
        if before is None or policies.get(key, Drift.REPAIR) is Drift.REPAIR:
            entries[key] = wanted
        elif found is not None:
            entries[key] = _merged(wanted, before, found)
    return Table(entries)


def _merged(wanted: Entry, before: Entry, found: Entry) -> Entry:
    service = wanted.service if wanted.service != before.service else found.service
    servers: dict[DestinationKey, Destination] = {}
    for key, server in wanted.destinations.items():
        if server != before.destinations.get(key):
            servers[key] = server  # our own change
        elif key in found.destinations:
            servers[key] = found.destinations[key]
    ours = wanted.destinations.keys() | before.destinations.keys()
    others = {key: server for key, server in found.destinations.items() if key not in ours}
    return replace(wanted, service=service, destinations={**servers, **others})
