"""Rules for what the kernel's balancer takes: flags, persistence, thresholds, tunnels.

The problem: the kernel refuses some combinations with a bare number, and takes others that then do
nothing or turn every client away. The approach: as in `service_rules`, one function per rule over
the drafts, certain mistakes only. Behaviour is that of net/netfilter/ipvs: ip_vs_ctl.c,
ip_vs_core.c and ip_vs_pe_sip.c.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

from hadirector.config.diagnostics import Rule
from hadirector.config.draft import Draft
from hadirector.config.nodes import Findings, Mapping, Sequence
from hadirector.config.sections import ServerDraft, ServiceDraft
from hadirector.config.service_rules import (
    HASH_FALLBACKS,
    hash_without_fallback,
    version_of,
    virtual_addresses,
)
from hadirector.ipvs.model import SCHEDULER_FLAGS, Forward, Protocol, VirtualAddress


def check_balancing(service: ServiceDraft, findings: Findings) -> None:
    """Apply every rule to one service."""
    for rule in _RULES:
        rule(service, findings)


def _scheduler_flags(service: ServiceDraft, findings: Findings) -> None:
    """To the kernel a flag is a number, and `sh-port` with `wlc` is kept and means nothing."""
    draft = service.draft
    names, scheduler = draft.get("scheduler_flags", list), draft.get("scheduler", str)
    if names is None or scheduler is None:
        return
    written = draft.at("scheduler_flags")
    known = [name for name in SCHEDULER_FLAGS if name.startswith(f"{scheduler}-")]
    for index, name in enumerate(names):
        if name not in known:
            findings.error(
                Rule.SCHEDULER_FLAG,
                written.items[index] if isinstance(written, Sequence) else written,
                path=f"{draft.path_of('scheduler_flags')}[{index}]",
                message=f"scheduler {scheduler} has no flag {name}",
                hint=f"it has {' and '.join(known)}" if known else "only sh and mh have flags",
            )


def _not_udp(service: ServiceDraft) -> VirtualAddress | None:
    """The first that a service listens on for another protocol."""
    keys = virtual_addresses(service)
    return next((key for key in keys if key.protocol is not Protocol.UDP), None)


def _drained_hash(service: ServiceDraft, findings: Findings) -> None:
    """`sh` leaves a server of weight 0 its clients, and refuses them (ip_vs_sh.c).

    `mh` does so only if it was drained while in use, which `plan` tells.
    """
    if hash_without_fallback(service) != "sh":
        return
    weights = [server.draft.get("weight", int) for server in service.servers]
    if not any(weights):
        return  # that nobody serves is told by another rule
    for server, weight in zip(service.servers, weights, strict=True):
        if weight == 0:
            findings.warning(
                Rule.DRAINED_HASH,
                server.draft.at("weight"),
                path=server.draft.path_of("weight"),
                message="scheduler sh turns away the clients of a server of weight 0",
                hint="write scheduler_flags: [sh-fallback], or leave the server out",
            )


def _full_hash(service: ServiceDraft, findings: Findings) -> None:
    """A server that is full keeps its clients as one of weight 0 does (IP_VS_DEST_F_OVERLOAD)."""
    scheduler = hash_without_fallback(service)
    limited = [server for server in service.servers if server.draft.get("upper", int)]
    if scheduler is None or not limited:
        return
    draft, name = _who_wrote(("upper",), limited[0].draft, service.draft)
    flag = HASH_FALLBACKS[scheduler]
    findings.warning(
        Rule.FULL_HASH,
        draft.at(name),
        path=draft.path_of(name),
        message=f"scheduler {scheduler} turns away the clients of a server that is full",
        hint=f"write scheduler_flags: [{flag}]" if flag else "write another scheduler",
    )


def _one_packet(service: ServiceDraft, findings: Findings) -> None:
    other = _not_udp(service)
    if service.draft.get("one_packet", bool) and other:
        findings.error(
            Rule.ONE_PACKET,
            service.draft.at("one_packet"),
            path=service.draft.path_of("one_packet"),
            message=f"one_packet does nothing for {other.protocol}",
            hint="only UDP packets can be scheduled one by one",
        )


def _one_packet_answers(service: ServiceDraft, findings: Findings) -> None:
    """The connection is forgotten before the answer comes, so that nobody translates it back."""
    draft = service.draft
    forwards = [server.draft.get("forward", Forward) for server in service.servers]
    usual = draft.get("forward", Forward)
    is_nat = [(usual if own is None else own) is Forward.NAT for own in forwards]
    datagrams = bool(virtual_addresses(service)) and _not_udp(service) is None
    if draft.get("one_packet", bool) and any(is_nat) and datagrams:
        findings.warning(
            Rule.ONE_PACKET_NAT,
            draft.at("one_packet"),
            path=draft.path_of("one_packet"),
            message="with forward: nat the answers keep the server's address, not the virtual one",
            hint="write forward: dr or tun, or translate the answers by a rule of your own",
        )


def _persistence(service: ServiceDraft, findings: Findings) -> None:
    draft, version = service.persistence, version_of(service)
    if draft is None or version is None:
        return
    mask = draft.get("netmask", IPv4Address) or draft.get("netmask", int)
    problem = _impossible_netmask(mask, version)
    if problem:
        message, hint = problem
        findings.error(
            Rule.PERSISTENCE_NETMASK,
            draft.at("netmask"),
            path=draft.path_of("netmask"),
            message=message,
            hint=hint,
        )
    if draft.get("engine", str) == "sip" and _not_udp(service):
        findings.error(
            Rule.SIP_NEEDS_UDP,
            draft.at("engine"),
            path=draft.path_of("engine"),
            message="the engine sip reads UDP only: this service would refuse every client",
            hint="listen on udp://, or leave the engine out",
        )


def _impossible_netmask(mask: IPv4Address | int | None, version: int) -> tuple[str, str] | None:
    """What is wrong with a netmask for clients of this IP version, and what would be right."""
    if isinstance(mask, IPv4Address) and version == 6:
        return "IPv6 networks have a prefix length", "write 64"
    if isinstance(mask, IPv4Address) and int(mask) == 0:
        return f"{mask} sends all clients to one server", "write 255.255.255.0, or leave it out"
    if isinstance(mask, int) and version == 4 and mask > 32:
        return f"an IPv4 prefix has no {mask} bits", "write 1 to 32"
    return None


def _thresholds(service: ServiceDraft, findings: Findings) -> None:
    """The kernel refuses a lower threshold above the upper one (ERANGE), absent ones being 0."""
    told: set[int] = set()
    for server in service.servers:
        upper, lower = server.draft.get("upper", int) or 0, server.draft.get("lower", int) or 0
        if lower <= upper:
            continue
        draft, name = _who_wrote(("lower", "upper"), server.draft, service.draft)
        if id(draft) in told:
            continue  # inherited by every server, and mended in one place
        told.add(id(draft))
        findings.error(
            Rule.THRESHOLDS,
            draft.at(name),
            path=draft.path_of(name),
            message=f"a lower threshold of {lower} "
            + (f"above the upper one of {upper}" if upper else "without an upper one"),
            hint=f"write lower: {upper * 3 // 4}" if upper else "write an upper one above it",
        )


def _who_wrote(names: tuple[str, ...], *drafts: Draft) -> tuple[Draft, str]:
    """The innermost draft in which one of these fields is written, and that field."""
    return next(
        (draft, name)
        for draft in drafts
        for name in names
        if isinstance(draft.node, Mapping) and name in draft.node.entries
    )


def _unused_tunnel(service: ServiceDraft, findings: Findings) -> None:
    def is_tun(draft: Draft) -> bool:
        return draft.get("forward", Forward) in (None, Forward.TUN)

    if service.tunnel is not None and not any(
        is_tun(draft) for draft in (service.draft, *(server.draft for server in service.servers))
    ):
        _report_unused(service.tunnel, findings)
    for server in service.servers:
        if server.tunnel not in (None, service.tunnel) and not is_tun(server.draft):
            assert server.tunnel is not None
            _report_unused(server.tunnel, findings)


def _report_unused(tunnel: Draft, findings: Findings) -> None:
    findings.error(
        Rule.TUNNEL_UNUSED,
        tunnel.node,
        path=tunnel.path,
        message="nothing is tunnelled here",
        hint="write forward: tun",
    )


def _tunnel_options(service: ServiceDraft, findings: Findings) -> None:
    own: list[ServerDraft | ServiceDraft] = [
        service,
        *(server for server in service.servers if server.tunnel is not service.tunnel),
    ]
    for each in own:
        if each.tunnel is None or "type" not in each.tunnel.values:
            continue
        for name, message, hint in _wrong_options(each.tunnel):
            findings.error(
                Rule.TUNNEL_OPTION,
                each.tunnel.at(name),
                path=each.tunnel.path_of(name),
                message=message,
                hint=hint,
            )


def _wrong_options(tunnel: Draft) -> list[tuple[str, str, str]]:
    """Field, message and hint of each option that does not go with the type of tunnel."""
    kind, checksum = tunnel.get("type", str), tunnel.get("checksum", str)
    port = tunnel.get("port", int)
    found = []
    if kind == "gue" and "port" in tunnel.values and port is None:
        found.append(("port", "a gue tunnel needs a port", "write port: 6080"))
    if kind != "gue" and port is not None:
        found.append(("port", f"a tunnel of type {kind} has no port", "only gue has one"))
    if kind == "ipip" and checksum in ("csum", "remcsum"):
        found.append(("checksum", "a tunnel of type ipip has no checksum", "leave it out"))
    if kind == "gre" and checksum == "remcsum":
        found.append(("checksum", "remcsum is for gue", "write csum"))
    return found


_RULES: tuple[Callable[[ServiceDraft, Findings], None], ...] = (
    _scheduler_flags,
    _drained_hash,
    _full_hash,
    _one_packet,
    _one_packet_answers,
    _persistence,
    _thresholds,
    _unused_tunnel,
    _tunnel_options,
)
