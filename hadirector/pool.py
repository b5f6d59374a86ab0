"""From the health of the real servers to the table the kernel should have, with a reason each.

For every service this answers: which servers belong into the table, with which weight, and *why*.
It is a pure function of the configuration and of what the checks say, so a start, a reload, a
repair and a change of health all go through it and cannot disagree.

A server that no check has passed yet stays out (it is *unknown*, not up). A server that is down is
taken out of the table. One that is up has its configured weight, or the one it asks for itself
through a check that can carry it (agent, script, file); with weight 0 it is drained: the
connections it has go on. The fallback server serves when no server takes new connections; while
some are still unknown it waits, so that a start does not flash the fallback page at the clients.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from checkers.base import Advice
from hadirector.config import model as config
from hadirector.ipvs import model as ipvs


@dataclass(frozen=True, slots=True)
class Health:
    """What the checks of one server say: up, down, or None while they have said nothing yet."""

    up: bool | None
    reason: str
    advice: Advice | None = None  # of a server that is up: the weight it asks for


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
    usable = sum(member.weight > 0 for member in members)
    fallback = _fallback(service, usable=usable, unknown=unknown)
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
    if not state.up:
        return Member(server=server, in_table=False, weight=0, reason=state.reason)
    weight = advised_weight(server.weight, state.advice)
    reason = state.reason
    if state.advice is not None:
        reason += f"; {describe(state.advice)}: weight {weight}, configured {server.weight}"
    return Member(server=server, in_table=True, weight=weight, reason=reason)


def advised_weight(configured: int, advice: Advice | None) -> int:
    """The weight of a server that is up, by what it asks for itself.

    A share of its weight is rounded to the nearest, but only 0 % means none. A configured weight of
    0 is the operator's word, and no server talks itself out of it.
    """
    if advice is None or configured == 0:
        return configured
    if advice.drain or advice.percent == 0:
        return 0
    if advice.weight is not None:
        return advice.weight
    if advice.percent is not None:
        return max(1, (configured * advice.percent + 50) // 100)
    return configured


def describe(advice: Advice) -> str:
    """What a server asks for, in words."""
    if advice.drain:
        return "it asks to be drained"
    if advice.weight is not None:
        return f"it asks for weight {advice.weight}"
    if advice.percent is not None:
        return f"it asks for {advice.percent} % of its weight"
    return "it asks for nothing"


def _fallback(service: config.Service, *, usable: int, unknown: int) -> Member | None:
    if service.fallback is None:
        return None
    if usable:
        taking = f"{usable} of {len(service.servers)} servers take new connections"
        serves, reason = False, f"not needed: {taking}"
    elif unknown:
        serves, reason = False, f"waits: {unknown} servers have not been checked yet"
    else:
        serves, reason = True, "serves: no server takes new connections"
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
