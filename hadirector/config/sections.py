"""From the tree of a file to drafts of its sections.

The problem: the file nests sections in lists and mappings, servers may be a word or a mapping, and
defaults reach down through all of it. The approach: one walk from the top; every section is
validated as far as it can be (`draft`), whatever is wrong with its neighbours. No rules across
sections here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import BaseModel

from hadirector.config import shape
from hadirector.config.brake_draft import BrakeDraft, walk_brake
from hadirector.config.checks import Layer, add_layer, default_layer, resolve
from hadirector.config.diagnostics import Rule
from hadirector.config.draft import (
    Draft,
    check_field,
    check_fields,
    defaults_of,
    fields_of,
)
from hadirector.config.explain import found
from hadirector.config.model import HealthCheck, Service
from hadirector.config.nodes import Findings, Mapping, Node, Sequence, is_broken
from hadirector.config.peer_shape import PeerShape
from hadirector.config.router_draft import RouterDraft, walk_router
from hadirector.config.service_parts import (
    POOL_SECTIONS,
    Listen,
    dynamic_weight,
    fallback,
    fallbacks,
    listens,
    persistence,
    quorum,
    slow_start,
    tunnel,
)
from hadirector.config.several import ChecksDraft, check_combination
from hadirector.config.sync_shape import ConnectionSyncShape
from hadirector.config.tuning_shape import IpvsShape
from hadirector.ipvs.model import Forward
from hadirector.on_fail import OnFail

_PLAIN_SECTIONS: dict[str, type[BaseModel]] = {
    "ipvs": IpvsShape,
    "connection_sync": ConnectionSyncShape,
    "peer": PeerShape,
}
_FILE_SECTIONS = frozenset(
    {"nodes", "virtual_routers", "defaults", "services", "include", "brake", *_PLAIN_SECTIONS}
)
_SERVICE_SECTIONS = POOL_SECTIONS | {
    "listen",
    "check",
    "checks",
    "servers",
    "persistence",
    "tunnel",
}
_SERVER_SECTIONS = frozenset({"check", "checks", "tunnel"})
_CHECK = frozenset({"check"})
_BY_SERVICE = ("scheduler", "forward")
"""What a service has from `defaults` unless it says otherwise."""
_BY_SERVER = {"forward": Forward, "upper": int, "lower": int, "on_fail": OnFail}
"""What a server has from its service unless it says otherwise; `tunnel` too, a section."""


@dataclass(slots=True)
class ServerDraft:
    """A real server; a check is None where something in it is wrong.

    Thresholds, forwarding method, tunnel and `on_fail` are the service's where it has none of its
    own.
    """

    draft: Draft
    checks: ChecksDraft
    tunnel: Draft | None = None


@dataclass(slots=True)
class ServiceDraft:
    """A virtual service with its servers. `listens` is empty where something in it is wrong."""

    draft: Draft
    checks: ChecksDraft
    servers: list[ServerDraft] = field(default_factory=list)
    persistence: Draft | None = None
    tunnel: Draft | None = None
    quorum: Draft | None = None
    dynamic_weight: Draft | None = None
    slow_start: Draft | None = None
    fallbacks: list[ServerDraft] = field(default_factory=list)
    listens: list[Listen] = field(default_factory=list)

    @property
    def checked(self) -> list[ServerDraft]:
        """The servers, and the fallback servers, of which some have no check."""
        return [*self.servers, *self.fallbacks]


@dataclass(slots=True)
class FileDraft:
    """Everything that the file says, as far as it holds.

    `others` are services that were found sound before, and are not among these drafts (`again`).
    """

    draft: Draft
    nodes: dict[str, Draft] = field(default_factory=dict)
    routers: list[RouterDraft] = field(default_factory=list)
    services: list[ServiceDraft] = field(default_factory=list)
    ipvs: Draft | None = None
    sync: Draft | None = None
    peer: Draft | None = None
    brake: BrakeDraft | None = None
    others: tuple[Service, ...] = ()


def walk(root: Mapping, findings: Findings) -> FileDraft:
    """Validate every section of the file."""
    top = FileDraft(Draft(root, ""))
    check_fields(top.draft, shape.FileShape, findings, sections=_FILE_SECTIONS)
    top.nodes = dict(_nodes(root.entries.get("nodes"), findings))
    for path, node in _items(root, "virtual_routers", "", findings):
        top.routers.append(walk_router(node, path, top.nodes, findings))
    plain = dict(_plain_sections(root, findings))
    top.ipvs, top.sync, top.peer = (plain.get(name) for name in _PLAIN_SECTIONS)
    top.brake = walk_brake(root.entries.get("brake"), findings)
    walker = _Services(root, findings)
    for path, node in _items(root, "services", "", findings):
        top.services.append(walker.service(node, path))
    return top


def _plain_sections(root: Mapping, findings: Findings) -> Iterator[tuple[str, Draft]]:
    """Those that are written and have nothing but plain keys."""
    for name, section in _PLAIN_SECTIONS.items():
        if name in root.entries:
            draft = Draft(root.entries[name], name)
            check_fields(draft, section, findings)
            yield name, draft


def _nodes(node: Node | None, findings: Findings) -> Iterator[tuple[str, Draft]]:
    if node is None or (is_broken(node) and not isinstance(node, Mapping)):
        return
    if not isinstance(node, Mapping) or not node.entries:
        message = f"expected directors by name, found {found(node)}"
        hint = "write lb1: {address: 192.0.2.11, priority: 254}"
        findings.error(Rule.WRONG_TYPE, node, path="nodes", message=message, hint=hint)
        return
    for name, item in node.entries.items():
        if not re.match(shape.NAME_PATTERN, name):
            message = f'"{name}" is no name of a host'
            hint = "use letters, digits, dots and dashes"
            key = node.keys[name]
            findings.error(Rule.BAD_VALUE, key, path=f"nodes.{name}", message=message, hint=hint)
        draft = Draft(item, f"nodes.{name}")
        check_fields(draft, shape.NodeShape, findings)
        yield name, draft


def _items(parent: Mapping, name: str, path: str, findings: Findings) -> Iterator[tuple[str, Node]]:
    """The items of a list, each with its path."""
    node = parent.entries.get(name)
    here = f"{path}.{name}" if path else name
    if isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield f"{here}[{index}]", item
    elif node is not None and not is_broken(node):
        message = f"expected a list, found {found(node)}"
        findings.error(Rule.WRONG_TYPE, node, path=here, message=message, hint='write "- " items')


class _Services:
    """Validates services under the file's defaults."""

    def __init__(self, root: Mapping, findings: Findings) -> None:
        self._findings = findings
        node = root.entries.get("defaults") or Mapping(root.place)
        self._defaults = Draft(node, "defaults")
        check_fields(self._defaults, shape.DefaultsShape, findings, sections=_CHECK)
        own = {name: self._defaults.values.get(name) for name in _BY_SERVICE}
        self._for_services = {**defaults_of(shape.ServiceShape), **own}
        self._for_servers: dict[str, object] = {}
        self._passed: dict[str, object] = {}  # what in it is the last service's own
        written = node.entries.get("check") if isinstance(node, Mapping) else None
        self._layers = default_layer(written, "defaults.check", findings)
        self._usual: HealthCheck | None = None  # of services that write no check of their own

    def service(self, node: Node, path: str) -> ServiceDraft:
        """One service with its servers."""
        draft = Draft(node, path)
        if not check_fields(
            draft,
            shape.ServiceShape,
            self._findings,
            sections=_SERVICE_SECTIONS,
            inherited=self._for_services,
        ):
            return ServiceDraft(draft, ChecksDraft(draft))
        assert isinstance(node, Mapping)
        self._require_forward(draft, node)
        self._pass_on(draft)
        layers = self._check_layers(self._layers, node, path)
        service = ServiceDraft(
            draft,
            self._checks(layers, node, draft),
            persistence=persistence(node, path, self._findings),
            tunnel=tunnel(node, path, self._findings),
            quorum=quorum(node, path, self._findings),
            dynamic_weight=dynamic_weight(node, path, self._findings),
            slow_start=slow_start(node, path, self._findings),
            listens=listens(node, path, self._findings),
        )
        for item, place in fallbacks(node, path):
            service.fallbacks.append(self._fallback(item, place, service, layers))
        for place, item in _items(node, "servers", path, self._findings):
            service.servers.append(self._server(item, place, service, layers))
        servers = node.entries.get("servers")
        if isinstance(servers, Sequence) and not servers.items:
            self._findings.error(
                Rule.MISSING_KEY, servers, path=f"{path}.servers", message="no server is listed"
            )
        return service

    def _check(self, layers: tuple[Layer, ...], service: Mapping) -> HealthCheck | None:
        """The check of a service; one for all where it is that of the defaults."""
        if layers is not self._layers:
            return resolve(layers, service.place, self._findings)
        if self._usual is None:
            self._usual = resolve(layers, service.place, self._findings)
        return self._usual

    def _pass_on(self, service: Draft) -> None:
        """What the servers of a service have from it: the same mapping as before if it can be."""
        passed: dict[str, object] = {
            name: service.get(name, kind) for name, kind in _BY_SERVER.items()
        }
        if passed != self._passed:
            weight = self._defaults.values.get("weight")
            self._for_servers = {**defaults_of(shape.ServerShape), "weight": weight, **passed}
            self._passed = passed

    def _require_forward(self, draft: Draft, node: Mapping) -> None:
        written = (
            "forward" in node.entries or self._defaults.at("forward") is not self._defaults.node
        )
        if not written:
            self._findings.error(
                Rule.MISSING_KEY,
                node,
                path=draft.path,
                text="forward",
                message='"forward" is missing',
                hint="write nat, dr or tun, here or in defaults",
            )

    def _check_layers(
        self, outer: tuple[Layer, ...], node: Mapping, path: str
    ) -> tuple[Layer, ...]:
        return add_layer(outer, node.entries.get("check"), f"{path}.check", self._findings)

    def _server(
        self, node: Node, path: str, service: ServiceDraft, layers: tuple[Layer, ...]
    ) -> ServerDraft:
        draft = Draft(node, path)
        if not isinstance(node, Mapping):
            # The short form: the address alone.
            address = fields_of(shape.ServerShape)["address"]
            check_field(draft, "address", node, address, self._findings)
            draft.inherited = self._for_servers
            return ServerDraft(draft, service.checks, service.tunnel)
        check_fields(
            draft,
            shape.ServerShape,
            self._findings,
            sections=_SERVER_SECTIONS,
            inherited=self._for_servers,
        )
        made = ServerDraft(
            draft, service.checks, tunnel(node, path, self._findings) or service.tunnel
        )
        if "check" in node.entries or "checks" in node.entries or "require" in node.entries:
            own = self._check_layers(layers, node, path)
            made.checks = self._checks(own, node, draft, service.checks)
        return made

    def _fallback(
        self, node: Node, path: str, service: ServiceDraft, layers: tuple[Layer, ...]
    ) -> ServerDraft:
        """A fallback server: an address, or a mapping with a check of its own."""
        draft = fallback(node, path, self._findings)
        draft.values["forward"] = service.draft.get("forward", Forward)
        made = ServerDraft(draft, ChecksDraft(draft), service.tunnel)
        if isinstance(node, Mapping) and "check" in node.entries:
            own = self._check_layers(layers, node, path)
            made.checks = self._checks(own, node, draft)
        return made

    def _checks(
        self,
        layers: tuple[Layer, ...],
        node: Mapping,
        draft: Draft,
        outer: ChecksDraft | None = None,
    ) -> ChecksDraft:
        """The checks of a service, or of a server with some of its own; `outer`: its service's."""
        made = ChecksDraft(draft, several="checks" in node.entries)
        if made.several:
            for path, item in _items(node, "checks", draft.path, self._findings):
                inner = add_layer(layers, item, path, self._findings)
                made.found.append(resolve(inner, item.place, self._findings))
                made.places.append((item, path))
        else:
            made.found.append(self._check(layers, node))
            place = node.entries.get("check", node)
            made.places.append((place, f"{draft.path}.check"))
        check_combination(made, outer, self._findings)
        return made
