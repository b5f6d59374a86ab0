"""From a file to a configuration, or to everything that is wrong with it.

The problem: a director must never start with half a configuration, and people must never mend one
error to be shown the next. The approach: read (`include`, `positions`), validate section by section
(`sections`), apply the rules (`rules`), and only if no error was found build the resolved
`model.Config`. Nothing is corrected silently, and nothing outside the named files is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar

from hadirector.config import codec
from hadirector.config.balancing import flags_of, persistence_of, tunnel_of
from hadirector.config.brake_rules import brake_of
from hadirector.config.diagnostics import Diagnostic, Severity, render
from hadirector.config.draft import Draft
from hadirector.config.include import KEY, Files
from hadirector.config.model import Config, Node, Server, Service
from hadirector.config.nodes import Findings, Mapping
from hadirector.config.peer_rules import peer_of
from hadirector.config.pool_policy import quorum_of, slow_start_of, steering_of
from hadirector.config.positions import read_yaml
from hadirector.config.probe_marks import probe_mark
from hadirector.config.rules import check_rules
from hadirector.config.sections import FileDraft, ServerDraft, ServiceDraft, walk
from hadirector.config.service_rules import virtual_addresses
from hadirector.config.sync_rules import sync_of
from hadirector.config.tuning_shape import settings_of
from hadirector.connection_sync import BY_CLIENT, SETTINGS
from hadirector.drift import Drift
from hadirector.garbage import without_collection
from hadirector.ipvs.model import (
    IPIP,
    DestinationKey,
    Forward,
    Persistence,
    Protocol,
    Tunnel,
    VirtualAddress,
)
from hadirector.leaving import OnStop
from hadirector.on_fail import OnFail
from hadirector.plan import Undeclared

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What came of a file. `config` is there exactly if `errors` is empty."""

    config: Config | None
    diagnostics: tuple[Diagnostic, ...]
    sources: AbstractMapping[str, str] = field(repr=False)
    """The text of every file read, by the name shown in the diagnostics."""
    services_json: tuple[str, ...] | None = field(default=None, repr=False)
    """What `codec` makes of each service, where that is known already (`again`)."""

    @cached_property
    def json(self) -> str:
        """The resolved configuration as canonical JSON (`codec`); empty if there is none.

        Made when it is first asked for: who only plans does without.
        """
        if self.config is None:
            return ""
        with without_collection():
            return codec.config_to_json(self.config, self.services_json)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of that, by which two directors compare theirs."""
        return codec.digest(self.config, self.services_json) if self.config is not None else ""

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """What refuses the file."""
        return tuple(d for d in self.diagnostics if d.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What is legal but surely not meant."""
        return tuple(d for d in self.diagnostics if d.severity is Severity.WARNING)

    def render(self) -> str:
        """All findings for people, each with its line and a caret under the place."""
        return render(self.diagnostics, self.sources)


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of a text before it is told: the drafts, and the configuration if there is one."""

    top: FileDraft | None
    findings: Findings
    texts: dict[str, str]
    config: Config | None

    def loaded(self) -> Loaded:
        """For whoever wanted the file."""
        return Loaded(config=self.config, diagnostics=tuple(self.findings), sources=self.texts)


def load(path: str | Path) -> Loaded:
    """Read and check a configuration file; never raises for what the file holds or lacks."""
    with without_collection():
        return read(Path(path)).loaded()


def read(path: Path) -> Reading:
    """Read and check a file with all that it includes."""
    findings = Findings()
    files = Files(findings)
    root = files.read(path)
    return _reading(root, findings, files.texts)


def read_text(text: str, name: str, others: tuple[Service, ...]) -> Reading:
    """Read and check a text that includes nothing; the `others` belong to the file as well."""
    findings = Findings()
    root = read_yaml(text, name, findings)
    whole = root if isinstance(root, Mapping) and KEY not in root.entries else None
    return _reading(whole, findings, {name: text}, others)


def _reading(
    root: Mapping | None,
    findings: Findings,
    texts: dict[str, str],
    others: tuple[Service, ...] = (),
) -> Reading:
    top = None
    if root is not None:
        top = walk(root, findings)
        top.others = others
        check_rules(top, findings)
    config = _build(top) if top is not None and not findings.failed else None
    return Reading(top, findings, texts, config)


def _build(top: FileDraft) -> Config:
    """The resolved configuration; only called when there is no error."""
    nodes = {}
    for name, draft in top.nodes.items():
        address = draft.values["address"]
        own = {
            router.made.name: router.own[name].made
            for router in top.routers
            if router.made is not None and name in router.own
        }
        assert None not in own.values()
        nodes[name] = Node(address, _value(draft, "priority", int), own)  # type: ignore[arg-type]
    routers = [router.made for router in top.routers if router.made is not None]
    assert len(routers) == len(top.routers)
    return Config(
        nodes=nodes,
        virtual_routers=tuple(routers),
        services=tuple(_service(service) for service in top.services),
        audit=_value(top.draft, "audit", float),
        workers=_value(top.draft, "workers", int),
        undeclared=_value(top.draft, "undeclared", Undeclared),
        max_changes=top.draft.get("max_changes", int),
        drain_removed=_value(top.draft, "drain_removed", float),
        settings=_settings(top),
        connection_sync=sync_of(top),
        peer=peer_of(top),
        brake=brake_of(top.brake),
        hooks=top.draft.get("hooks", tuple) or (),
        on_stop=_value(top.draft, "on_stop", OnStop),
    )


def _settings(top: FileDraft) -> dict[str, str]:
    """The kernel's settings: as written, and those that connection sync needs."""
    written = settings_of(top.ipvs.values) if top.ipvs is not None else {}
    if top.sync is None:
        return written
    tcp = {
        service.draft.get("scheduler", str)
        for service in top.services
        if any(key.protocol is Protocol.TCP for key in virtual_addresses(service))
    } | {service.scheduler for service in top.others if _is_tcp(service)}
    sloppy = {"sloppy_tcp": "1"} if tcp and tcp <= BY_CLIENT else {}
    return {**SETTINGS, **sloppy, **written}


def _is_tcp(service: Service) -> bool:
    keys = service.listens
    return any(isinstance(key, VirtualAddress) and key.protocol is Protocol.TCP for key in keys)


def _value(draft: Draft, name: str, kind: type[T]) -> T:
    value = draft.get(name, kind)
    assert value is not None, (draft.path, name)
    return value


def _service(service: ServiceDraft) -> Service:
    draft = service.draft
    listen, *also = [each.key for each in service.listens]
    check, *more_checks = service.checks.ordered
    return Service(
        name=_value(draft, "name", str),
        listen=listen,
        also=tuple(also),
        scheduler=_value(draft, "scheduler", str),
        forward=_value(draft, "forward", Forward),
        check=check,
        more_checks=tuple(more_checks),
        require=service.checks.require,
        servers=tuple(_servers(service)),
        fallbacks=tuple(_fallback(spare, service) for spare in service.fallbacks),
        quorum=quorum_of(service.quorum),
        steering=steering_of(service.dynamic_weight),
        persistence=_persistence(service.persistence, listen.version),
        drift=_value(draft, "drift", Drift),
        slow_start=slow_start_of(service.slow_start),
        flags=flags_of(
            draft.get("scheduler_flags", list) or [],
            one_packet=_value(draft, "one_packet", bool),
        ),
    )


def _servers(service: ServiceDraft) -> Iterator[Server]:
    """The servers; those written as an address alone differ in nothing but their address."""
    plain: Callable[[DestinationKey], Server] | None = None
    for server in service.servers:
        if isinstance(server.draft.node, Mapping):
            made = _server(server, service)
        else:
            made = plain = plain or _server(server, service)
        yield made(_value(server.draft, "address", DestinationKey))


def _server(server: ServerDraft, service: ServiceDraft) -> Callable[[DestinationKey], Server]:
    """Makes this server, and those that are like it, of the address."""
    check, *more_checks = server.checks.ordered
    forward = _value(server.draft, "forward", Forward)
    like_it = partial(
        Server,
        weight=_value(server.draft, "weight", int),
        check=check,
        more_checks=tuple(more_checks),
        require=server.checks.require,
        forward=None if forward is service.draft.get("forward", Forward) else forward,
        upper=server.draft.get("upper", int) or 0,
        lower=server.draft.get("lower", int) or 0,
        tunnel=_tunnel(server.tunnel, forward),
        on_fail=_value(server.draft, "on_fail", OnFail),
    )
    marked = _has_probe_mark(server)

    def made(key: DestinationKey) -> Server:
        mark = _probe_mark(key, service) if marked else 0
        return like_it(address=key.address, port=key.port, probe_mark=mark)

    return made


def _has_probe_mark(server: ServerDraft) -> bool:
    return any(check.options.through_vip for check in server.checks.whole)


def _probe_mark(key: DestinationKey, service: ServiceDraft) -> int:
    return probe_mark(_value(service.draft, "name", str), str(key))


def _fallback(spare: ServerDraft, service: ServiceDraft) -> Server:
    key = _value(spare.draft, "address", DestinationKey)
    check, *_ = spare.checks.ordered or (None,)
    return Server(
        address=key.address,
        port=key.port,
        check=check,
        probe_mark=_probe_mark(key, service) if _has_probe_mark(spare) else 0,
        tunnel=_tunnel(service.tunnel, _value(service.draft, "forward", Forward)),
    )


def _tunnel(draft: Draft | None, forward: Forward) -> Tunnel:
    if draft is None or forward is not Forward.TUN:
        return IPIP
    return tunnel_of(
        _value(draft, "type", str), draft.get("port", int), _value(draft, "checksum", str)
    )


def _persistence(draft: Draft | None, version: int) -> Persistence | None:
    if draft is None:
        return None
    return persistence_of(
        _value(draft, "timeout", int),
        draft.get("netmask", int) or draft.get("netmask", IPv4Address),
        draft.get("engine", str),
        version=version,
    )
