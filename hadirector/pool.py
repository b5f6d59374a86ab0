"""From the health of the real servers to the table the kernel should have, with a reason each.

For every service this answers: which servers belong into the table, with which weight, and *why*.
It is a pure function of the configuration and of what the checks say, so a start, a reload, a
repair and a change of health all go through it and cannot disagree.

A server that no check has passed yet stays out (it is *unknown*, not up). A server that is down is
taken out of the table. The fallback server serves when every server is known to be down; while
some are still unknown it waits, so that a start does not flash the fallback page at the clients.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hadirector.config import model as config
from hadirector.ipvs import model as ipvs


@dataclass(frozen=True, slots=True)
class Health:
    """What the checks of one server say: up, down, or None while they have said nothing yet."""

    up: bool | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One server of a service: whether it is in the table, with which weight, and why."""

    server: config.Server
    in_table: bool
    weight: int  # 0 while it is not in the table
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One service as it should be now."""

    service: config.Service
    members: tuple[Member, ...]
    fallback: Member | None  # None: the service has no fallback server
    up: int  # servers in the table, the fallback not counted
    quorum_met: bool
    sentence: str


def server_key(service: config.Service, server: config.Server) -> str:
    """The name of a server in health states, messages and `explain`: `web/198.51.100.21:8080`."""
    return f"{service.name}/{server}"


def build(service: config.Service, health: Mapping[str, Health]) -> Pool:
    """Decide one service. `health` is keyed by `server_key`; a missing one counts as unknown."""
    known = [
        (server, health.get(server_key(service, server), Health(None, "no check has run yet")))
        for server in service.servers
    ]
    members = tuple(_member(server, state) for server, state in known)
    up = sum(member.in_table for member in members)
    unknown = sum(state.up is None for _, state in known)
    quorum_met = up >= service.quorum
    sentence = (
        f"{up} of {len(members)} servers up, quorum {service.quorum} "
        f"{'met' if quorum_met else 'not met'}"
    )
    if unknown:
        sentence += f", {unknown} not checked yet"
    fallback = _fallback(service, up=up, unknown=unknown)
    if fallback is not None and fallback.in_table:
        sentence += f", fallback server {fallback.server} serves"
    return Pool(
        service=service,
        members=members,
        fallback=fallback,
        up=up,
        quorum_met=quorum_met,
        sentence=sentence,
    )


def desired_table(pools: Iterable[Pool]) -> ipvs.Table:
    """The kernel table that these pools ask for."""
    return ipvs.Table.of(*(_entry(pool) for pool in pools))


def everything_up(service: config.Service) -> Pool:
    """The service as it is when all its servers are up: what `plan` and `apply` go by."""
    reason = "no check was asked"
    return build(
        service, {server_key(service, server): Health(True, reason) for server in service.servers}
    )


def _member(server: config.Server, state: Health) -> Member:
    weight = server.weight if state.up else 0
    return Member(server=server, in_table=bool(state.up), weight=weight, reason=state.reason)


def _fallback(service: config.Service, *, up: int, unknown: int) -> Member | None:
    if service.fallback is None:
        return None
    if up:
        serves, reason = False, f"not needed: {up} of {len(service.servers)} servers up"
    elif unknown:
        serves, reason = False, f"waits: {unknown} servers have not been checked yet"
    else:
        serves, reason = True, "serves: every server is down"
    weight = service.fallback.weight if serves else 0
    return Member(server=service.fallback, in_table=serves, weight=weight, reason=reason)


def _entry(pool: Pool) -> tuple[ipvs.Service, list[ipvs.Destination]]:
    service = pool.service
    members = [*pool.members, *([pool.fallback] if pool.fallback else [])]
    destinations = [
        _destination(service, member.server, member.weight) for member in members if member.in_table
    ]
    asked = ipvs.Service(service.listen, service.scheduler, service.persistence, service.flags)
    return asked, destinations


def _destination(service: config.Service, server: config.Server, weight: int) -> ipvs.Destination:
    return ipvs.Destination(
        ipvs.DestinationKey(server.address, server.port),
        service.forward if server.forward is None else server.forward,
        weight,
        server.upper,
        server.lower,
        server.tunnel,
    )
