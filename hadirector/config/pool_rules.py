"""Rules for what a service does with the health of its servers: quorum and fallback servers.

As in `service_rules`: certain mistakes only, and a value that is absent or already reported passes
over in silence.
"""

from __future__ import annotations

from hadirector.config.diagnostics import Rule
from hadirector.config.draft import Draft
from hadirector.config.nodes import Findings, Mapping, Sequence
from hadirector.config.pool_shape import UNITS
from hadirector.config.sections import ServiceDraft
from hadirector.config.service_rules import UNWEIGHTED, first_of, repeated
from hadirector.ipvs.model import DestinationKey
from hadirector.quorum import WhenLost


def check_pool(service: ServiceDraft, findings: Findings) -> None:
    """Apply every rule to one service."""
    _fallback_is_server(service, findings)
    _repeated_fallback(service, findings)
    _unweighted(service, findings)
    if service.slow_start is not None:
        _one_growth(service.slow_start, findings)
    if service.quorum is not None:
        _units(service.quorum, findings)
        _reach(service, service.quorum, findings)
        _all_servers(service, service.quorum, findings)
        _when_lost(service, service.quorum, findings)


def _fallback_is_server(service: ServiceDraft, findings: Findings) -> None:
    servers = {server.draft.get("address", DestinationKey) for server in service.servers}
    for spare in service.fallbacks:
        fallback = spare.draft.get("address", DestinationKey)
        if fallback is None:
            continue
        alike = {key for key in servers if key is not None and key.address == fallback.address}
        several = len(service.listens) > 1 and 0 in (fallback.port, *(key.port for key in alike))
        if fallback in alike or (alike and several):
            findings.error(
                Rule.FALLBACK_IS_SERVER,
                spare.draft.at("address"),
                path=spare.draft.path_of("address"),
                message=f"the fallback {fallback} is a server of this service, too",
                hint="it would be down when it is needed",
            )


def _repeated_fallback(service: ServiceDraft, findings: Findings) -> None:
    node = service.draft.at("fallback")
    if isinstance(node, Sequence) and not node.items:
        findings.error(
            Rule.MISSING_KEY,
            node,
            path=service.draft.path_of("fallback"),
            message="no fallback server is listed",
            hint="leave it out, or name one",
        )
    drafts = [spare.draft for spare in service.fallbacks]
    spares = [(draft, "address", draft.get("address", DestinationKey)) for draft in drafts]
    for draft, name, key, earlier in repeated(spares):
        findings.error(
            Rule.DUPLICATE_SERVER,
            draft.at(name),
            path=draft.path_of(name),
            message=f"{key} is a fallback server of this service twice",
            hint=first_of(earlier, draft, name),
        )


def _unweighted(service: ServiceDraft, findings: Findings) -> None:
    scheduler = service.draft.get("scheduler", str)
    if service.dynamic_weight is not None and scheduler in UNWEIGHTED:
        findings.warning(
            Rule.WEIGHT_IGNORED,
            service.dynamic_weight.node,
            path=service.dynamic_weight.path,
            message=f"scheduler {scheduler} does not look at weights",
            hint=f"write scheduler: {'wrr' if scheduler == 'rr' else 'wlc'}",
        )


def _one_growth(start: Draft, findings: Findings) -> None:
    """A slow start goes by one thing; by none it would be none."""
    if not isinstance(start.node, Mapping) or len(start.node.entries) == 1:
        return
    both = bool(start.node.entries)
    findings.error(
        Rule.SLOW_START_UNIT,
        start.at("passes") if both else start.node,
        path=start.path_of("passes") if both else start.path,
        message=f"a slow start by {'time and passes' if both else 'nothing'}",
        hint="write over or passes",
    )


def _units(quorum: Draft, findings: Findings) -> None:
    if not isinstance(quorum.node, Mapping):
        return
    written = [unit for unit in UNITS if unit in quorum.node.entries]
    if len(written) == 1:
        return
    findings.error(
        Rule.QUORUM_UNIT,
        quorum.at(written[1]) if written else quorum.node,
        path=quorum.path_of(written[1]) if written else quorum.path,
        message=f"a quorum in {' and '.join(written)}" if written else "a quorum of nothing",
        hint="write one of servers, weight and share",
    )


def _reach(service: ServiceDraft, quorum: Draft, findings: Findings) -> None:
    """A quorum that can never be met, be met again, or be lost."""
    hysteresis = quorum.get("hysteresis", int) or 0
    for unit, most in _most(service).items():
        need = quorum.get(unit, int)
        if need is None or most is None:
            continue
        if need > most:
            what = f"{most} server{'s' * (most != 1)}" if unit == "servers" else f"{unit} {most}"
            figure = f"{need}" if unit == "servers" else f"{unit} {need}"
            findings.error(
                Rule.QUORUM_ABOVE_SERVERS,
                quorum.at(unit),
                path=quorum.path_of(unit),
                message=f"a quorum of {figure} with {what}",
                hint=f"write 1 to {most}",
            )
        elif need + hysteresis > most or hysteresis >= need:
            never = "be met again" if need + hysteresis > most else "be lost"
            limit = min(most - need, need - 1)
            findings.error(
                Rule.QUORUM_HYSTERESIS,
                quorum.at("hysteresis"),
                path=quorum.path_of("hysteresis"),
                message=f"with a hysteresis of {hysteresis} the quorum can never {never}",
                hint=f"write {limit} at most" if limit > 0 else "leave it out",
            )


def _most(service: ServiceDraft) -> dict[str, int | None]:
    """What there is when all is up, by unit; None where that is not known."""
    weights = [server.draft.get("weight", int) for server in service.servers]
    known = [weight for weight in weights if weight is not None]
    whole = sum(known) if known and len(known) == len(weights) else None
    return {"servers": len(weights) or None, "weight": whole, "share": 100}


def _all_servers(service: ServiceDraft, quorum: Draft, findings: Findings) -> None:
    need, count = quorum.get("servers", int), len(service.servers)
    lost_below = (need or 0) - (quorum.get("hysteresis", int) or 0)
    if need == count > 1 and lost_below == count:
        findings.warning(
            Rule.FULL_QUORUM,
            quorum.at("servers"),
            path=quorum.path_of("servers"),
            message=f"a quorum of all {count} servers is lost with the first failure",
        )


def _when_lost(service: ServiceDraft, quorum: Draft, findings: Findings) -> None:
    wanted = quorum.get("when_lost", WhenLost)
    if wanted is WhenLost.FALLBACK and service.draft.at("fallback") is service.draft.node:
        findings.error(
            Rule.QUORUM_FALLBACK,
            quorum.at("when_lost"),
            path=quorum.path_of("when_lost"),
            message="there is no fallback server that could serve",
            hint="write fallback: beside the quorum, or when_lost: serve",
        )
