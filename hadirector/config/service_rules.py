"""Rules within one service: what its servers, ports and options can mean together.

As in `rules`: certain mistakes only, and a value that is absent or already reported passes over in
silence. Kernel behaviour is that of net/netfilter/ipvs/ip_vs_ctl.c and ip_vs_xmit.c.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

from hadirector.config.diagnostics import Rule
from hadirector.config.draft import Draft
from hadirector.config.nodes import Findings, Mapping
from hadirector.config.sections import ServiceDraft
from hadirector.ipvs.model import DestinationKey, FirewallMark, Forward, VirtualAddress

K = TypeVar("K", bound=Hashable)

_UNWEIGHTED = ("rr", "lc", "dh")
"""Schedulers that look at a weight only to see whether it is 0."""


def check_service(service: ServiceDraft, findings: Findings) -> None:
    """Apply every rule to one service."""
    for rule in _RULES:
        rule(service, findings)


def repeated(
    items: Sequence[tuple[Draft, str, K | None]],
) -> Iterator[tuple[Draft, str, K, Draft]]:
    """Each item whose value an earlier one has: itself, field, value and the earlier one."""
    first: dict[K, Draft] = {}
    for draft, name, value in items:
        if value is None:
            continue
        earlier = first.setdefault(value, draft)
        if earlier is not draft:
            yield draft, name, value, earlier


def first_of(earlier: Draft, draft: Draft, name: str) -> str:
    """Says where the first of two is."""
    return f"the first is in {earlier.at(name).place.seen_from(draft.at(name).place)}"


def listen_of(service: ServiceDraft) -> VirtualAddress | FirewallMark | None:
    """What a service listens on; None if that is wrong."""
    draft = service.draft
    return draft.get("listen", VirtualAddress) or draft.get("listen", FirewallMark)


def _duplicate_server(service: ServiceDraft, findings: Findings) -> None:
    items = [
        (server.draft, "address", server.draft.get("address", DestinationKey))
        for server in service.servers
    ]
    for draft, name, value, earlier in repeated(items):
        findings.error(
            Rule.DUPLICATE_SERVER,
            draft.at(name),
            path=draft.path_of(name),
            message=f"{value} is in this service twice",
            hint=first_of(earlier, draft, name),
        )


def _fallback_is_server(service: ServiceDraft, findings: Findings) -> None:
    fallback = service.draft.get("fallback", DestinationKey)
    servers = {server.draft.get("address", DestinationKey) for server in service.servers}
    if fallback is not None and fallback in servers:
        findings.error(
            Rule.FALLBACK_IS_SERVER,
            service.draft.at("fallback"),
            path=service.draft.path_of("fallback"),
            message=f"the fallback {fallback} is a server of this service, too",
            hint="it would be down when it is needed",
        )


def _destinations(service: ServiceDraft) -> Iterator[tuple[DestinationKey, Draft, str]]:
    """All servers and the fallback, with the draft and field that name them."""
    for server in service.servers:
        key = server.draft.get("address", DestinationKey)
        if key is not None:
            yield key, server.draft, "address"
    fallback = service.draft.get("fallback", DestinationKey)
    if fallback is not None:
        yield fallback, service.draft, "fallback"


def _dr_port(service: ServiceDraft, findings: Findings) -> None:
    """Only NAT rewrites the port: with the others the packet arrives as the client sent it."""
    listen = service.draft.get("listen", VirtualAddress)
    forward = service.draft.get("forward", Forward)
    if listen is None or forward not in (Forward.DR, Forward.TUN):
        return
    for key, draft, name in _destinations(service):
        if key.port != listen.port:
            findings.error(
                Rule.DR_PORT,
                draft.at(name),
                path=draft.path_of(name),
                message=f"forward {forward} cannot change port {listen.port} to {key.port}",
                hint=f"write port {listen.port}, or forward: nat",
            )


def _port_zero(service: ServiceDraft, findings: Findings) -> None:
    listen = listen_of(service)
    if listen is None:
        return
    every = isinstance(listen, FirewallMark) or listen.port == 0
    persists = service.draft.at("persistence") is not service.draft.node
    if isinstance(listen, VirtualAddress) and listen.port == 0 and not persists:
        findings.error(
            Rule.PORT_ZERO,
            service.draft.at("listen"),
            path=service.draft.path_of("listen"),
            message="port 0 means every port, and that needs persistence",
            hint="write persistence: 5m, or a port",
        )
    for key, draft, name in _destinations(service):
        if key.port == 0 and not every:
            findings.error(
                Rule.PORT_ZERO,
                draft.at(name),
                path=draft.path_of(name),
                message="port 0 means the client's port, and the service has only one",
                hint="write the server's port",
            )


def _mixed_families(service: ServiceDraft, findings: Findings) -> None:
    """The kernel takes another IP version behind a service only through a tunnel (ip_vs_ctl.c)."""
    destinations = list(_destinations(service))
    listen, forward = listen_of(service), service.draft.get("forward", Forward)
    if listen is None or not destinations or forward in (None, Forward.TUN):
        return
    if isinstance(listen, VirtualAddress):
        version, what = listen.version, "a service"
    else:
        version, what = destinations[0][0].address.version, "a first server"
    for key, draft, name in destinations:
        if key.address.version != version:
            findings.error(
                Rule.MIXED_FAMILIES,
                draft.at(name),
                path=draft.path_of(name),
                message=f"an IPv{key.address.version} server behind {what} of IPv{version}",
                hint="only forward: tun can do that",
            )


def _quorum(service: ServiceDraft, findings: Findings) -> None:
    quorum, count = service.draft.get("quorum", int), len(service.servers)
    if quorum is None or not count:
        return
    place = {"path": service.draft.path_of("quorum")}
    if quorum > count:
        findings.error(
            Rule.QUORUM_ABOVE_SERVERS,
            service.draft.at("quorum"),
            message=f"a quorum of {quorum} with {count} server{'s' * (count != 1)}",
            hint=f"write 1 to {count}",
            **place,
        )
    elif quorum == count > 1:
        findings.warning(
            Rule.FULL_QUORUM,
            service.draft.at("quorum"),
            message=f"a quorum of all {count} servers is lost with the first failure",
            **place,
        )


def _nothing_to_check(service: ServiceDraft, findings: Findings) -> None:
    for server in service.servers:
        key = server.draft.get("address", DestinationKey)
        if key is not None and key.port == 0 and server.check and not server.check.options.port:
            findings.error(
                Rule.NOTHING_TO_CHECK,
                server.draft.at("address"),
                path=server.draft.path_of("address"),
                message="a check needs a port, and this server has none",
                hint="write check: {port: 80}",
            )


def _weights(service: ServiceDraft, findings: Findings) -> None:
    weights = [server.draft.get("weight", int) for server in service.servers]
    known = [weight for weight in weights if weight is not None]
    if weights and len(known) == len(weights) and not any(known):
        findings.warning(
            Rule.WEIGHT_ZERO,
            service.draft.at("servers"),
            path=f"{service.draft.path}.servers",
            message="every server has weight 0: the service never takes a connection",
        )
    scheduler = service.draft.get("scheduler", str)
    if scheduler not in _UNWEIGHTED:
        return
    for server in service.servers:
        written = isinstance(server.draft.node, Mapping) and "weight" in server.draft.node.entries
        if written and (server.draft.get("weight", int) or 0) > 1:
            findings.warning(
                Rule.WEIGHT_IGNORED,
                server.draft.at("weight"),
                path=server.draft.path_of("weight"),
                message=f"scheduler {scheduler} does not look at weights",
                hint=f"write scheduler: {'wrr' if scheduler == 'rr' else 'wlc'}",
            )


_RULES: tuple[Callable[[ServiceDraft, Findings], None], ...] = (
    _duplicate_server,
    _fallback_is_server,
    _dr_port,
    _port_zero,
    _mixed_families,
    _quorum,
    _nothing_to_check,
    _weights,
)
