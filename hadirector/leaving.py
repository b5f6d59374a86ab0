"""What becomes of the kernel's table when the director process is told to stop.

The problem: a table that stays serves on (a restart must cost nothing), but a host that leaves the
pair for good should forward nothing more, and a stop must end in bounded time whatever the size of
the table. The approach: `keep` does nothing; `flush` removes our services, all at once where nobody
else's are in the table; `drain` sets every weight to 0, so that what goes on goes on, and a start
gives the weights back. Never: done when the supervisor died, only when a stop was asked for.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from enum import StrEnum

from hadirector.ipvs.dataplane import Dataplane, DataplaneError
from hadirector.ipvs.model import Entry, Service, ServiceKey, Table
from hadirector.ipvs.steps import DeleteService, SetDestination, Step
from hadirector.plan import Undeclared


class OnStop(StrEnum):
    """What a stop does with the table."""

    KEEP = "keep"
    FLUSH = "flush"
    DRAIN = "drain"


async def leave(
    how: OnStop,
    dataplane: Dataplane,
    actual: Table,
    declared: Collection[ServiceKey],
    undeclared: Undeclared,
) -> str:
    """Have it done to the table last read as `actual`; a sentence on what was.

    What fails is in the sentence: the stop goes on.
    """
    if how is OnStop.KEEP or not declared:
        return "the table stays in place"
    try:
        if how is OnStop.DRAIN:
            return await _apply(dataplane, drained(actual, declared), "servers drained")
        found = await dataplane.keys()
        if undeclared is not Undeclared.REMOVE and (found is None or not found <= set(declared)):
            ours = declared if found is None else found & set(declared)
            return await _apply(dataplane, removed(ours), "services removed")
        await dataplane.flush()
    except DataplaneError as error:
        return f"the table stays in place, although on_stop is {how}: {error}"
    return f"{len(found or ())} services removed, and the table is empty"


async def _apply(dataplane: Dataplane, steps: Collection[Step], what: str) -> str:
    report = await dataplane.apply(steps)
    refused = f", {len(report.failures)} refused by the kernel" if report.failures else ""
    return f"{report.applied} {what}{refused}"


def drained(actual: Table, declared: Collection[ServiceKey]) -> tuple[Step, ...]:
    """The steps after which no server of ours gets a new connection."""
    return tuple(
        SetDestination(key, replace(server, weight=0), server)
        for key, entry in actual.items()
        if key in declared
        for server in entry.destinations.values()
        if server.weight
    )


def removed(services: Collection[ServiceKey]) -> tuple[Step, ...]:
    """The steps after which none of these services is left."""
    return tuple(DeleteService(Entry(Service(key), {})) for key in services)
