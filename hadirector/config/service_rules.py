"""Rules within one service: what its servers, ports and options can mean together.

As in `rules`: certain mistakes only, and a value that is absent or already reported passes over in
silence. Kernel behaviour is that of net/netfilter/ipvs/ip_vs_ctl.c and ip_vs_xmit.c.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from ipaddress import IPv4Address
from typing import Final, NamedTuple, TypeVar

from checkers.base import Target
from hadirector.config.addresses import format_listen
from hadirector.config.diagnostics import Rule
from hadirector.config.draft import Draft
from hadirector.config.nodes import Findings, Mapping
from hadirector.config.sections import ServiceDraft
from hadirector.config.several import check_targets
from hadirector.ipvs.model import (
    HASHES,
    SCHEDULER_FLAGS,
    Address,
    DestinationKey,
    FirewallMark,
    Forward,
    VirtualAddress,
)

K = TypeVar("K", bound=Hashable)

UNWEIGHTED = ("rr", "lc", "dh")
"""Schedulers that look at a weight only to see whether it is 0."""
HASH_FALLBACKS: Final = {
    name: flag if (flag := f"{name}-fallback") in SCHEDULER_FLAGS else None for name in HASHES
}
"""Schedulers that leave their clients to a server that takes none, and what prevents it."""


def hash_without_fallback(service: ServiceDraft) -> str | None:
    """The scheduler of a service that refuses clients rather than choose another server."""
    scheduler = service.draft.get("scheduler", str)
    flags = service.draft.get("scheduler_flags", list) or ()
    refuses = scheduler in HASH_FALLBACKS and HASH_FALLBACKS[scheduler] not in flags
    return scheduler if refuses else None


def check_service(service: ServiceDraft, findings: Findings) -> None:
    """Apply every rule to one service."""
    for rule in _RULES:
        rule(service, findings)
    destinations = list(_destinations(service))
    for each in _SERVER_RULES:
        each(service, destinations, findings)


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


def version_of(service: ServiceDraft) -> int | None:
    """The IP version of a service's clients; None if what it listens on is wrong or mixed."""
    versions = {listen.key.version for listen in service.listens}
    return versions.pop() if len(versions) == 1 else None


def virtual_addresses(service: ServiceDraft) -> list[VirtualAddress]:
    """What a service listens on, firewall marks left out."""
    keys = (listen.key for listen in service.listens)
    return [key for key in keys if isinstance(key, VirtualAddress)]


def _mixed_clients(service: ServiceDraft, findings: Findings) -> None:
    """The kernel keeps IPv4 and IPv6 services apart, and so do netmasks and most servers."""
    for listen in service.listens[1:]:
        if listen.key.version != service.listens[0].key.version:
            first = service.listens[0].key.version
            findings.error(
                Rule.MIXED_FAMILIES,
                listen.node,
                path=listen.path,
                message=f"IPv{listen.key.version} clients in a service of IPv{first}",
                hint="write a service of its own for them",
            )
            return


def _duplicate_server(service: ServiceDraft, findings: Findings) -> None:
    items = [
        (server.draft, "address", server.draft.get("address", DestinationKey))
        for server in service.servers
    ]
    every = {key.address: draft for draft, _, key in items if key is not None and key.port == 0}
    for draft, _, key in items:
        if key is not None and key.port != 0 and key.address in every and len(service.listens) > 1:
            findings.error(
                Rule.DUPLICATE_SERVER,
                draft.at("address"),
                path=draft.path_of("address"),
                message=f"{key} is in this service twice, once with every port of clients (0)",
                hint=first_of(every[key.address], draft, "address").replace("first", "other"),
            )
    for draft, name, value, earlier in repeated(items):
        findings.error(
            Rule.DUPLICATE_SERVER,
            draft.at(name),
            path=draft.path_of(name),
            message=f"{value} is in this service twice",
            hint=first_of(earlier, draft, name),
        )


class _Destination(NamedTuple):
    """A server or a fallback server, with the draft whose field `address` names it."""

    key: DestinationKey
    forward: Forward | None
    draft: Draft


def _destinations(service: ServiceDraft) -> Iterator[_Destination]:
    """All servers and the fallback servers."""
    for server in service.checked:
        key = server.draft.get("address", DestinationKey)
        if key is not None:
            yield _Destination(key, server.draft.get("forward", Forward), server.draft)


def _listen_address(service: ServiceDraft, findings: Findings) -> None:
    """The kernel takes these, and no connection of a client ever comes to them."""
    told: set[int] = set()
    for listen in service.listens:
        if not isinstance(listen.key, VirtualAddress) or id(listen.node) in told:
            continue
        kind = _not_unicast(listen.key.address)
        if kind:
            told.add(id(listen.node))
            findings.error(
                Rule.LISTEN_ADDRESS,
                listen.node,
                path=listen.path,
                message=f"{listen.key.address} is {kind}",
                hint="write the virtual address; for every one of them, listen on fwmark:1",
            )


def _not_unicast(address: Address) -> str | None:
    """What an address is if no machine can have it to itself."""
    if isinstance(address, IPv4Address):  # by its number: every server of a file is asked
        number = int(address)
        if number == 0:
            return "the unspecified address"
        if number >> 28 == 0xE:
            return "a multicast address"
        return "the broadcast address" if number == 0xFFFFFFFF else None
    if address.is_unspecified:
        return "the unspecified address"
    if address.is_multicast:
        return "a multicast address"
    return "a link-local address" if address.is_link_local else None


def _server_address(
    _service: ServiceDraft, destinations: Sequence[_Destination], findings: Findings
) -> None:
    """The kernel refuses what its routing does not call unicast (EINVAL)."""
    for each in destinations:
        kind = _not_unicast(each.key.address)
        if kind:
            findings.error(
                Rule.SERVER_ADDRESS,
                each.draft.at("address"),
                path=each.draft.path_of("address"),
                message=f"{each.key.address} is {kind}",
                hint="write a server's own address",
            )


def _dr_port(
    service: ServiceDraft, destinations: Sequence[_Destination], findings: Findings
) -> None:
    """Only NAT rewrites the port: with the others the packet arrives as the client sent it."""
    ports = list(dict.fromkeys(key.port for key in virtual_addresses(service)))
    several = len(ports) > 1
    for each in destinations:
        if each.forward not in (Forward.DR, Forward.TUN) or (several and each.key.port == 0):
            continue
        other = next((port for port in ports if port != each.key.port), None)
        if other is not None:
            right = "0, the client's own" if several else str(other)
            findings.error(
                Rule.DR_PORT,
                each.draft.at("address"),
                path=each.draft.path_of("address"),
                message=f"forward {each.forward} cannot change port {other} to {each.key.port}",
                hint=f"write port {right}, or forward: nat",
            )


def _port_zero(
    service: ServiceDraft, destinations: Sequence[_Destination], findings: Findings
) -> None:
    if not service.listens:
        return
    ports = {key.port for key in virtual_addresses(service)}
    # Behind a mark, or several ports, a server can have the port that the client came to.
    every = len(ports) != 1 or 0 in ports
    persists = service.draft.at("persistence") is not service.draft.node
    for listen in service.listens:
        if not isinstance(listen.key, VirtualAddress) or listen.key.port or persists:
            continue
        findings.error(
            Rule.PORT_ZERO,
            listen.node,
            path=listen.path,
            message="port 0 means every port, and that needs persistence",
            hint="write persistence: 5m, or a port",
        )
    for each in destinations:
        if each.key.port == 0 and not every:
            findings.error(
                Rule.PORT_ZERO,
                each.draft.at("address"),
                path=each.draft.path_of("address"),
                message="port 0 means the client's port, and the service has only one",
                hint="write the server's port",
            )


def _mixed_families(
    service: ServiceDraft, destinations: Sequence[_Destination], findings: Findings
) -> None:
    """The kernel takes another IP version behind a service only through a tunnel (ip_vs_ctl.c)."""
    expected = version_of(service)
    if expected is None:
        return
    hint = "only forward: tun can do that"
    listen = service.listens[0].key
    if isinstance(listen, FirewallMark):
        other = FirewallMark(listen.mark, 10 - listen.version)
        hint = f"write {format_listen(other)} for IPv{other.version} clients; {hint}"
    for each in destinations:
        version = each.key.address.version
        if version != expected and each.forward not in (None, Forward.TUN):
            findings.error(
                Rule.MIXED_FAMILIES,
                each.draft.at("address"),
                path=each.draft.path_of("address"),
                message=f"an IPv{version} server behind a service of IPv{expected}",
                hint=hint,
            )


def _nothing_to_check(service: ServiceDraft, findings: Findings) -> None:
    for server in service.checked:
        key = server.draft.get("address", DestinationKey)
        if key is None or key.port:
            continue
        for check in server.checks.whole:
            if check.options.port is None and "port" not in check.options.lacks:
                findings.error(
                    Rule.NOTHING_TO_CHECK,
                    server.draft.at("address"),
                    path=server.draft.path_of("address"),
                    message="a check needs a port, and this server has none",
                    hint="write check: {port: 80}",
                )
                break


def _check_targets(service: ServiceDraft, findings: Findings) -> None:
    seen: set[tuple[int, int, Forward | None]] = set()
    listen = service.listens[0].key if service.listens else None
    for server in service.checked:
        key = server.draft.get("address", DestinationKey)
        forward = server.draft.get("forward", Forward)
        if key is None or (id(server.checks), key.address.version, forward) in seen:
            continue  # the same checks of one server are wrong for all of its like
        seen.add((id(server.checks), key.address.version, forward))
        target = Target(key.address, key.port)
        check_targets(target, server.checks, findings, listen=listen, forward=forward)


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
    if scheduler not in UNWEIGHTED:
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
    _listen_address,
    _mixed_clients,
    _nothing_to_check,
    _check_targets,
    _weights,
)
_SERVER_RULES: tuple[Callable[[ServiceDraft, Sequence[_Destination], Findings], None], ...] = (
    _server_address,
    _dr_port,
    _port_zero,
    _mixed_families,
)
"""Those about where packets go: the servers are gone through once for all of them."""
