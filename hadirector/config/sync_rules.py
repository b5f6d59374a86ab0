"""Rules for connection sync: who sends, and which settings would lose what it should keep.

As in `rules`: certain mistakes only, and a value that is absent or already reported passes over in
silence. Kernel behaviour is that of net/netfilter/ipvs/ip_vs_sync.c and ip_vs_core.c.
"""

from __future__ import annotations

from collections.abc import Iterator

from hadirector.config.diagnostics import Rule, choices
from hadirector.config.draft import Draft
from hadirector.config.nodes import Findings, Mapping
from hadirector.config.sections import FileDraft
from hadirector.config.service_rules import version_of
from hadirector.connection_sync import ConnectionSync, SyncDuty, SyncMode, SyncStop
from hadirector.ipvs.model import Address, DestinationKey

LATE_THRESHOLD = 3
"""The kernel's own: a connection is told of at its third packet."""


def check_sync(top: FileDraft, findings: Findings) -> None:
    """Apply every rule to the section, where there is one."""
    sync = top.sync
    if sync is None or not isinstance(sync.node, Mapping):
        return
    _strangers(top, sync, findings)
    _who_sends(top, sync, findings)
    _unknown_follow(top, sync, findings)
    _roles(top, sync, findings)
    _ports(top, sync, findings)
    _mixed_families(top, sync, findings)
    _losing_settings(top, sync, findings)


def sync_of(top: FileDraft) -> ConnectionSync | None:
    """The section resolved; only called when there is no error."""
    sync = top.sync
    if sync is None:
        return None
    both = sync.get("mode", SyncMode) is SyncMode.BOTH
    roles = sync.get("roles", dict) or (dict.fromkeys(top.nodes, SyncDuty.BOTH) if both else {})
    followed = list(_followed(top, sync))
    sync_id = sync.get("id", int)
    group = sync.values["group"]
    assert isinstance(group, Address)
    return ConnectionSync(
        interface=str(sync.values["interface"]),
        sync_id=_first_vrid(followed) if sync_id is None else sync_id,
        group=group,
        port=sync.get("port", int) or 0,
        ttl=sync.get("ttl", int) or 0,
        maxlen=sync.get("maxlen", int) or 0,
        follows=() if roles else tuple(str(router.values["name"]) for router in followed),
        duties=roles,
        on_stop=sync.get("on_stop", SyncStop) or SyncStop.RECEIVE,
        warm_up=sync.get("warm_up", float) or 0.0,
        own=sync.get("nodes", dict) or {},
    )


def _followed(top: FileDraft, sync: Draft) -> Iterator[Draft]:
    name = sync.get("follow", str)
    for router in top.routers:
        if name is None or name in (router.draft.get("name", str), router.draft.get("group", str)):
            yield router.draft


def _first_vrid(followed: list[Draft]) -> int:
    return (followed[0].get("vrid", int) if followed else None) or 0


def _error(
    rule: Rule, sync: Draft, name: str, findings: Findings, *, message: str, hint: str
) -> None:
    findings.error(rule, sync.at(name), path=sync.path_of(name), message=message, hint=hint)


def _follows_vrrp(sync: Draft) -> bool:
    return "roles" not in _written(sync) and sync.get("mode", SyncMode) is not SyncMode.BOTH


def _written(sync: Draft) -> frozenset[str]:
    return frozenset(sync.node.entries) if isinstance(sync.node, Mapping) else frozenset()


def _strangers(top: FileDraft, sync: Draft, findings: Findings) -> None:
    written = sync.at("nodes")
    for name in sync.get("nodes", dict) or {}:
        if name not in top.nodes and isinstance(written, Mapping):
            findings.error(
                Rule.UNKNOWN_NODE,
                written.keys[name],
                path=f"{sync.path_of('nodes')}.{name}",
                message=f'no director is called "{name}"',
                hint=choices(name, top.nodes),
            )


def _who_sends(top: FileDraft, sync: Draft, findings: Findings) -> None:
    written = top.draft.at("virtual_routers") is not top.draft.node
    if not written or top.routers:
        return
    if _follows_vrrp(sync):
        _error(
            Rule.SYNC_WITHOUT_ROLE,
            sync,
            "mode",
            findings,
            message="there is no virtual router whose role decides who sends",
            hint="write mode: both, or roles:",
        )
    elif "id" not in _written(sync):
        _error(
            Rule.MISSING_KEY,
            sync,
            "id",
            findings,
            message='"id" is missing',
            hint="without virtual routers there is no VRID to take it from",
        )


def _unknown_follow(top: FileDraft, sync: Draft, findings: Findings) -> None:
    name = sync.get("follow", str)
    names = [router.draft.get("name", str) for router in top.routers]
    groups = [router.draft.get("group", str) for router in top.routers]
    if name is None or name in (*names, *groups) or None in names or not names:
        return
    known = dict.fromkeys(each for each in (*names, *groups) if each)
    _error(
        Rule.UNKNOWN_FOLLOW,
        sync,
        "follow",
        findings,
        message=f'no virtual router and no group is called "{name}"',
        hint=choices(name, known),
    )


def _roles(top: FileDraft, sync: Draft, findings: Findings) -> None:
    roles = sync.get("roles", dict)
    if roles is None:
        if not _follows_vrrp(sync) and "follow" in _written(sync):
            _several(sync, "follow", "mode: both", findings)
        return
    for name in ("mode", "follow"):
        if name in _written(sync):
            _several(sync, name, "roles", findings)
    strangers = [name for name in roles if name not in top.nodes]
    left_out = [name for name in top.nodes if name not in roles]
    if strangers:
        message = f'no director is called "{strangers[0]}"'
        hint = choices(strangers[0], top.nodes)
    elif left_out:
        message, hint = f"{left_out[0]} has no role", "name every director; none is a role, too"
    else:
        return
    _error(Rule.SYNC_ROLES, sync, "roles", findings, message=message, hint=hint)


def _several(sync: Draft, name: str, other: str, findings: Findings) -> None:
    _error(
        Rule.SYNC_ROLES,
        sync,
        name,
        findings,
        message=f"{name} and {other} are two answers to who sends",
        hint="keep one of them",
    )


def _ports(top: FileDraft, sync: Draft, findings: Findings) -> None:
    port = sync.get("port", int)
    count = (top.ipvs.get("sync_ports", int) if top.ipvs else None) or 1
    if port is not None and port + count - 1 > 65535:
        _error(
            Rule.OUT_OF_RANGE,
            sync,
            "port",
            findings,
            message=f"{count} ports from {port} on do not exist",
            hint=f"write 1 to {65536 - count}",
        )


def _mixed_families(top: FileDraft, sync: Draft, findings: Findings) -> None:
    """The kernel refuses such a server while a sync daemon runs (ip_vs_add_dest)."""
    for service in top.services:
        version = version_of(service)
        for server in service.servers:
            key = server.draft.get("address", DestinationKey)
            if version is None or key is None or key.address.version == version:
                continue
            findings.error(
                Rule.SYNC_MIXED_FAMILIES,
                server.draft.at("address"),
                path=server.draft.path_of("address"),
                message=f"{key} is of another IP version than its service, which the kernel "
                "refuses while connections are synchronised",
                hint=f"give it an address of IPv{version}, or take out connection_sync",
            )


def _losing_settings(top: FileDraft, sync: Draft, findings: Findings) -> None:
    if top.ipvs is None:
        return
    if top.ipvs.values.get("backup_only") and not _follows_vrrp(sync):
        _error(
            Rule.SYNC_BACKUP_ONLY,
            top.ipvs,
            "backup_only",
            findings,
            message="with this, a director whose backup daemon runs balances nothing at all, and "
            "here it always runs",
            hint="take it out, or let the roles follow VRRP",
        )
    for name, lost, hint in _losses(top.ipvs):
        findings.warning(
            Rule.SYNC_LOSES,
            top.ipvs.at(name),
            path=top.ipvs.path_of(name),
            message=f"connections are lost in spite of connection_sync: {lost}",
            hint=hint,
        )


def _losses(ipvs: Draft) -> Iterator[tuple[str, str, str]]:
    """Settings that lose what is synchronised: the key, what is lost, what would be right."""
    if ipvs.values.get("sync_persist_mode"):
        yield "sync_persist_mode", "those of persistent services are not told of", "write false"
    if ipvs.values.get("expire_nodest_conn"):
        yield (
            "expire_nodest_conn",
            "those to a server that the other director has not in its table at that moment end",
            "write false",
        )
    threshold = ipvs.get("sync_threshold", list)
    if threshold and threshold[0] > LATE_THRESHOLD:
        yield (
            "sync_threshold",
            f"those with fewer than {threshold[0]} packets are not told of",
            "leave it out: they are told of as soon as they stand",
        )
    if ipvs.get("sync_retries", int) == 0:
        yield "sync_retries", "what is told once may get lost on the way", "write 2"
