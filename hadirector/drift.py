"""What to make of changes that another program made to a service of ours. Pure.

The problem: a service whose policy is to report or to ignore such changes must keep them, while our
own changes (a server that is down) still have to reach the kernel. The approach: three tables, as
in a merge: what we left last time, what is there now, and what we want. What we want differently
from what we left is done; everything else stays as it is found.

A service that somebody removed as a whole stays away until it is configured differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

from hadirector.ipvs.model import Destination, DestinationKey, Entry, ServiceKey, Table


class Drift(StrEnum):
    """What to do where another program changed a service that we declared."""

    REPAIR = "repair"
    REPORT = "report"
    IGNORE = "ignore"


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
