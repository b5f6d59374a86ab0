"""What a director tells about itself: `status` and `explain`, from plain values. Pure.

Every weight comes with its reason, every state with since when and what would change it. The shapes
are the API's and the `--json` of the commands; `docs/status.md` describes them for programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

from hadirector import __version__
from hadirector.brakes import Told
from hadirector.checks import ServerView
from hadirector.config.addresses import format_listens
from hadirector.config.model import Config
from hadirector.connection_sync import SETTINGS, SyncView
from hadirector.departures import Leaving
from hadirector.elections import settings_on
from hadirector.ipvs.dataplane import DataplaneError
from hadirector.ipvs.model import Table
from hadirector.layers import layers, undoings
from hadirector.pool import Member, Pool, server_key
from hadirector.reconciler import Turn
from hadirector.router_answers import (
    Json,
    UnknownSubjectError,
    rivals,
    router_explained,
    router_told,
)
from hadirector.told_checks import checks_told, results_told, warnings, why
from hadirector.told_departures import departure_explained, departures_told
from vrrp.config import VirtualRouter
from vrrp.messages import RouterReport, Timing

SYNC = "connection-sync"
PEER = "peer"


@dataclass(slots=True, kw_only=True)
class Present:
    """Everything a director knows about itself at this moment."""

    node: str
    file: str
    config: Config
    digest: str
    started_at: float  # unix time, seconds
    loaded_at: float
    pools: Mapping[str, Pool] = field(default_factory=dict)  # by service name
    checks: Mapping[str, ServerView] = field(default_factory=dict)  # by server_key
    routers: dict[str, RouterReport] = field(default_factory=dict)
    timing: Timing | None = None  # of the VRRP worker
    processes: Mapping[str, Mapping[str, float | int | None]] = field(default_factory=dict)
    workers: Sequence[Json] = ()  # the check workers; none where the director process makes probes
    actual: Table = field(default_factory=Table)
    turn: Turn | None = None
    leaving: tuple[Leaving, ...] = ()  # what left the file and is in the table for its clients
    ready: bool = False  # every check has had a result, and the table is programmed
    sync: SyncView | None = None
    warming_s: float | None = None  # how long this director still listens before it preempts
    trouble: dict[str, str] = field(default_factory=dict)  # what is wrong here, by subject
    peer: Json | None = None  # `peer.told`; None: no channel is configured
    brake: Told = field(default_factory=Told)
    trouble_of_pair: Mapping[str, str] = field(default_factory=dict)  # what is wrong between both

    @property
    def router_names(self) -> frozenset[str]:
        """The virtual routers of the file."""
        return frozenset(router.name for router in self.config.virtual_routers)


def status(present: Present) -> Json:
    """The whole director in one object."""
    return {
        "version": __version__,
        "node": present.node,
        "file": present.file,
        "digest": present.digest,
        "ready": present.ready,
        "started_at": present.started_at,
        "loaded_at": present.loaded_at,
        "processes": {name: dict(facts) for name, facts in present.processes.items()},
        "workers": list(present.workers),
        "timing": None if present.timing is None else asdict(present.timing),
        "routers": [_router(present, router) for router in present.config.virtual_routers],
        "services": [_service(present, pool) for pool in present.pools.values()],
        "leaving": departures_told(present.leaving, present.actual, present.pools.values()),
        "table": _table(present.turn),
        "sync": _sync(present),
        "peer": present.peer,
        "brake_control": present.brake.control,
        "trouble": sorted(
            [
                *present.trouble.values(),
                *present.trouble_of_pair.values(),
                *present.brake.trouble,
                *rivals(present.routers),
            ]
        ),
    }


def explain(present: Present, what: str) -> Json:
    """Why a service (`web`), server (`web/198.51.100.21:8080`) or router (`front`) is as it is.

    Raises UnknownSubjectError with the names there are.
    """
    for router in present.config.virtual_routers:
        if router.name == what:
            return {"kind": "router", **router_explained(_router(present, router))}
    for departed in departures_told(present.leaving, present.actual, present.pools.values()):
        if departed["name"] == what:
            return departure_explained(departed, present.config.drain_removed)
    service, _, server = what.partition("/")
    if what == SYNC and SYNC not in present.pools and present.config.connection_sync is not None:
        return {"kind": "sync", "name": SYNC, **_sync_explained(present)}
    if what == PEER and PEER not in present.pools and present.peer is not None:
        return {"kind": "peer", "name": PEER, **present.peer}
    pool = present.pools.get(service)
    if pool is None:
        config = present.config
        names = [service.name for service in config.services]
        names += [router.name for router in config.virtual_routers]
        names += [SYNC] if config.connection_sync is not None else []
        names += [PEER] if present.peer is not None else []
        known = ", ".join(sorted(names)) or "nothing"
        raise UnknownSubjectError(f'nothing here is called "{what}"; there is: {known}')
    if not server:
        because = [pool.sentence, *(_in_a_line(present, pool, one) for one in _members(pool))]
        because += [each for each in present.brake.trouble if each.startswith(f"{service}: ")]
        return {"kind": "service", "name": service, "because": because, **_service(present, pool)}
    for member in _members(pool):
        if str(member.server) == server:
            return {"kind": "server", "name": what, **_server_explained(present, pool, member)}
    names = [f"{service}/{member.server}" for member in _members(pool)]
    raise UnknownSubjectError(f'"{service}" has no server "{server}"; it has: {", ".join(names)}')


def _members(pool: Pool) -> list[Member]:
    return [*pool.members, *pool.fallbacks]


def _router(present: Present, router: VirtualRouter) -> Json:
    settings = settings_on(present.config.nodes[present.node], router)
    return router_told(settings, present.routers.get(router.name))


def _service(present: Present, pool: Pool) -> Json:
    service = pool.service
    return {
        "name": service.name,
        "listen": format_listens(service.listens),
        "scheduler": service.scheduler,
        "forward": str(service.forward),
        "sentence": pool.sentence,
        "up": pool.up,
        "brake": present.brake.services.get(service.name),
        "quorum": {
            "needed": service.quorum.need,
            "unit": str(service.quorum.unit),
            "hysteresis": service.quorum.hysteresis,
            "there": pool.quorum_there,
            "met": pool.quorum_met,
            "since": pool.quorum_since,
        },
        "servers": [_server(present, pool, member) for member in pool.members],
        "fallbacks": [_server(present, pool, member) for member in pool.fallbacks],
    }


def _server(present: Present, pool: Pool, member: Member) -> Json:
    view = present.checks.get(server_key(pool.service, member.server))
    return {
        "server": str(member.server),
        "in_table": member.in_table,
        "weight": member.weight,
        "configured_weight": member.server.weight,
        "reason": member.reason,
        "held": member.held,
        "state": str(view.state) if view else None,
        "since": view.since if view else None,
        "outlook": view.outlook if view else None,
        "warnings": warnings(view) if view else [],
        "overrides": [
            {
                "order": str(one.order),
                "weight": one.weight,
                "by": one.by,
                "since": one.since,
                "until_connections": one.until_connections,
                "deadline": one.deadline,
            }
            for one in member.overrides
        ],
        "advice": None if member.advice is None else asdict(member.advice),
        "connections": _connections(present, pool, member),
    }


def _connections(present: Present, pool: Pool, member: Member) -> Json | None:
    """Over all that the service listens on; None where it has none of the kernel's entries."""
    found = [
        entry.counters[key]
        for listen in pool.service.listens
        if (entry := present.actual.get(listen)) is not None
        and (key := member.server.behind(listen)) in entry.counters
    ]
    if not found:
        return None
    return {
        "active": sum(counted.active for counted in found),
        "inactive": sum(counted.inactive for counted in found),
    }


def _server_explained(present: Present, pool: Pool, member: Member) -> Json:
    key = server_key(pool.service, member.server)
    view = present.checks.get(key)
    because = [
        _weight_sentence(member),
        member.reason,
        layers(member, str(view.state) if view else None),
        *(why(view) if view else ()),
        *undoings(key, member),
    ]
    return {
        "because": because,
        "results": results_told(view) if view else [],
        "checks": checks_told(view) if view else [],
        **_server(present, pool, member),
    }


def _in_a_line(present: Present, pool: Pool, member: Member) -> str:
    """A server among those of its service: its weight, why, and what is worth a look."""
    view = present.checks.get(server_key(pool.service, member.server))
    place = f"weight {member.weight}" if member.in_table else "out"
    why = "; ".join([member.reason, *(warnings(view) if view else ())])
    return f"{member.server}, {place}: {why}"


def _weight_sentence(member: Member) -> str:
    if not member.in_table:
        return f"not in the table (its configured weight is {member.server.weight})"
    return f"in the table with weight {member.weight}"


def audited(outcome: Turn | DataplaneError) -> Json:
    """What an audit found and did, or why the table could not be looked at."""
    if isinstance(outcome, DataplaneError):
        sentence = f"the table cannot be kept: {outcome}; {outcome.remedy}"
        nothing: Json = {"repaired": [], "left": [], "kept": [], "oddities": []}
        return {"sentence": sentence, "failures": [str(outcome)], **nothing}
    return {
        "sentence": outcome.sentence,
        "repaired": list(outcome.drift),
        "left": list(outcome.reported),
        "kept": list(outcome.kept),
        "oddities": list(outcome.oddities),
        "failures": list(outcome.failures),
    }


def _table(turn: Turn | None) -> Json:
    if turn is None:
        return {"sentence": "not read yet", "at": None, "kept": [], "oddities": [], "failures": []}
    return {
        "sentence": turn.sentence,
        "at": turn.at,
        "kept": list(turn.kept),
        "oddities": list(turn.oddities),
        "failures": list(turn.failures),
    }


def _sync(present: Present) -> Json | None:
    sync, view = present.config.connection_sync, present.sync
    if sync is None:
        return None
    duty = view.decision.duty if view else None
    return {
        "interface": sync.on(present.node).interface,
        "id": sync.sync_id,
        "group": str(sync.group),
        "port": sync.port,
        "duty": None if duty is None else str(duty),
        "sentence": view.decision.because if view else "not looked at yet",
        "since": view.since if view else None,
        "running": [str(daemon) for daemon in view.running.values()] if view else [],
        "sends_on": view.lingers if view else False,
        "receives_since": view.listened_since if view else None,
        "warming_s": present.warming_s,
    }


def _sync_explained(present: Present) -> Json:
    sync, facts = present.config.connection_sync, _sync(present)
    assert sync is not None
    assert facts is not None
    because = [facts["sentence"], *cast("list[str]", facts["running"])]
    if facts["sends_on"]:
        because.append("sends on for a moment: what the kernel has gathered would be lost else")
    if present.warming_s is not None:
        because.append(
            f"listens for {present.warming_s:.0f} s more before it takes over from a working peer"
        )
    if sync.follows:
        because.append(f"who sends is decided by {', '.join(sync.follows)}")
    settings = present.config.settings
    told = ", ".join(f"{name} {settings[name]}" for name in SETTINGS if name in settings)
    return {**facts, "because": [*because, f"settings that decide what survives: {told}"]}
