"""From what a director knows about itself to what it tells its peer. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hadirector import __version__
from hadirector.answers import Present
from hadirector.elections import settings_on
from hadirector.ipvs.model import Table
from hadirector.peer.messages import (
    SERVERS_TOLD_MAX,
    HealthState,
    RouterState,
    State,
    SyncState,
)
from hadirector.pool import server_key

UP = "up"
TROUBLES_TOLD_MAX = 5
NOTHING_CHECKED = HealthState(up=0, down=0, unknown=0)


@dataclass(frozen=True, slots=True)
class Counted:
    """What is worked out only when it may be another."""

    health: HealthState = NOTHING_CHECKED
    connections: int = -1


def state_of(present: Present, *, paused: bool, counted: Counted) -> State:
    """What the peer is told."""
    return State(
        digest=present.digest,
        ready=present.ready,
        paused=paused,
        software=__version__,
        routers=_routers(present),
        health=counted.health,
        sync=_sync(present, counted),
        trouble=tuple(sorted(present.trouble.values())[:TROUBLES_TOLD_MAX]),
    )


def health_of(present: Present) -> HealthState:
    """What the checks say, summed up; only the servers that are not up are looked at."""
    up = down = unknown = 0
    not_up: dict[str, str] = {}
    for pool in present.pools.values():
        for member in pool.members:
            if member.up:
                up += 1
                continue
            key = server_key(pool.service, member.server)
            view = present.checks.get(key)
            state = "unknown" if view is None else str(view.state)
            if state == UP:  # taken out by hand
                up += 1
                continue
            down, unknown = down + (state == "down"), unknown + (state != "down")
            if len(not_up) < SERVERS_TOLD_MAX:
                not_up[key] = state
    return HealthState(up=up, down=down, unknown=unknown, not_up=not_up)


def connections_in(table: Table) -> int:
    """Active connections of the table's services, those heard of from the peer included."""
    return sum(counted.active for entry in table.values() for counted in entry.counters.values())


def _routers(present: Present) -> dict[str, RouterState]:
    here = present.config.nodes[present.node]
    told = {}
    for router in present.config.virtual_routers:
        report = present.routers.get(router.name)
        if report is not None:
            told[router.name] = RouterState(
                state=str(report.state),
                priority=report.priority,
                configured=settings_on(here, router).priority,
                weighed=report.weighed or report.priority,
                hears=report.active_peer or "",
                holds=set(report.held) >= set(report.addresses),
            )
    return told


def _sync(present: Present, counted: Counted) -> SyncState:
    view = present.sync
    told = SyncState(connections=counted.connections)
    if view is None:
        return told
    duty = view.decision.duty
    daemons = tuple(str(role) for role in view.running)
    return replace(told, duty="" if duty is None else str(duty), daemons=daemons)
