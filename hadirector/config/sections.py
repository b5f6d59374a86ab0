"""From the tree of a file to drafts of its sections.

The problem: the file nests sections in lists and mappings, servers may be a word or a mapping, and
defaults reach down through all of it. The approach: one walk from the top; every section is
validated as far as it can be (`draft`), whatever is wrong with its neighbours. No rules across
sections here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field

from pydantic import BaseModel

from hadirector.config import shape
from hadirector.config.brake_draft import BrakeDraft, walk_brake
from hadirector.config.checks import Layer, add_layer, construct, default_layer, resolve
from hadirector.config.diagnostics import Rule, choices
from hadirector.config.draft import Draft, check_field, check_fields, check_keys, fields_of
from hadirector.config.explain import found
from hadirector.config.model import HealthCheck, Service
from hadirector.config.nodes import Findings, Mapping, Node, Sequence, is_broken
from hadirector.config.own_shape import MUST_AGREE, RouterOfNodeShape
from hadirector.config.peer_shape import PeerShape
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
from vrrp.config import RouterSettings, VirtualRouter

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
_NODES = frozenset({"nodes"})
_INHERITED = ("forward", "upper", "lower", "on_fail")
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
class OwnDraft:
    """A virtual router as one director runs it; `made` is None where something in it is wrong.

    The draft has the shared keys as well, each with the place where it is written.
    """

    draft: Draft
    made: RouterSettings | None


@dataclass(slots=True)
class RouterDraft:
    """A virtual router; `made` is None where something in it is wrong.

    `own` has the directors that run it otherwise than the file says for all.
    """

    draft: Draft
    made: VirtualRouter | None
    own: dict[str, OwnDraft] = field(default_factory=dict)

    def on(self, node: str) -> Draft:
        """The virtual router as a director runs it."""
        own = self.own.get(node)
        return self.draft if own is None else own.draft


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
        top.routers.append(_router(node, path, top.nodes, findings))
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


def _router(
    node: Node, path: str, nodes: AbstractMapping[str, Draft], findings: Findings
) -> RouterDraft:
    draft = Draft(node, path)
    if not check_fields(draft, shape.VirtualRouterShape, findings, sections=_NODES):
        return RouterDraft(draft, None)
    router = RouterDraft(draft, construct(draft, VirtualRouter, findings))
    written = node.entries.get("nodes") if isinstance(node, Mapping) else None
    if isinstance(written, Mapping):
        router.own = dict(_own(draft, written, nodes, findings))
    elif written is not None and not is_broken(written):
        message = f"expected directors by name, found {found(written)}"
        hint = "write lb1: {priority: 254}"
        findings.error(Rule.WRONG_TYPE, written, path=f"{path}.nodes", message=message, hint=hint)
    return router


def _own(
    router: Draft, written: Mapping, nodes: AbstractMapping[str, Draft], findings: Findings
) -> Iterator[tuple[str, OwnDraft]]:
    """What directors have of their own, laid over what holds for all."""
    assert isinstance(router.node, Mapping)
    for name, item in written.entries.items():
        path = f"{router.path}.nodes.{name}"
        if name not in nodes:
            message, hint = f'no director is called "{name}"', choices(name, nodes)
            place = written.keys[name]
            findings.error(Rule.UNKNOWN_NODE, place, path=path, message=message, hint=hint)
            continue
        if not isinstance(item, Mapping):
            check_fields(Draft(item, path), RouterOfNodeShape, findings)
            continue
        _check_own_keys(router, name, item, path, findings)
        known = fields_of(RouterOfNodeShape)
        merged = Mapping(item.place, dict(router.node.entries), dict(router.node.keys))
        own = {key: value for key, value in item.entries.items() if key in known}
        merged.entries |= own
        merged.keys |= {key: item.keys[key] for key in own}
        draft = Draft(merged, router.path, dict(router.values), {k: f"{path}.{k}" for k in own})
        draft.values |= {"priority": nodes[name].values.get("priority"), "source": None}
        for field_name, value in own.items():
            draft.values.pop(field_name, None)
            check_field(draft, field_name, value, known[field_name], findings)
        complete = "priority" in draft.values and router.values.keys() <= draft.values.keys()
        made = construct(draft, RouterSettings, findings) if complete else None
        yield name, OwnDraft(draft, made)


def _check_own_keys(router: Draft, node: str, item: Mapping, path: str, findings: Findings) -> None:
    """Report keys that no director may have of its own."""
    check_keys(item, path, {**fields_of(RouterOfNodeShape), **MUST_AGREE}, findings)
    for key, why in MUST_AGREE.items():
        if key not in item.entries:
            continue
        place = router.at(key).place.seen_from(item.entries[key].place)
        findings.error(
            Rule.TWO_ACTIVES,
            item.entries[key],
            path=f"{path}.{key}",
            message=f'{node} cannot have "{key}" of its own: {why}',
            hint=f"write it for all directors, in {place}",
        )


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
        written = node.entries.get("check") if isinstance(node, Mapping) else None
        self._layers = default_layer(written, "defaults.check", findings)
        self._usual: HealthCheck | None = None  # of services that write no check of their own

    def service(self, node: Node, path: str) -> ServiceDraft:
        """One service with its servers."""
        draft = Draft(node, path)
        if not check_fields(draft, shape.ServiceShape, self._findings, sections=_SERVICE_SECTIONS):
            return ServiceDraft(draft, ChecksDraft(draft))
        assert isinstance(node, Mapping)
        self._inherit(draft, node)
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

    def _inherit(self, draft: Draft, node: Mapping) -> None:
        for name in ("scheduler", "forward"):
            if name not in node.entries:
                draft.values[name] = self._defaults.values.get(name)
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
            draft.values["weight"] = self._defaults.values.get("weight")
            for name in _INHERITED:
                draft.values[name] = service.draft.values.get(name)
            return ServerDraft(draft, service.checks, service.tunnel)
        check_fields(draft, shape.ServerShape, self._findings, sections=_SERVER_SECTIONS)
        if "weight" not in node.entries:
            draft.values["weight"] = self._defaults.values.get("weight")
        for name in _INHERITED:
            if name not in node.entries:
                draft.values[name] = service.draft.values.get(name)
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
        draft.values["forward"] = service.draft.values.get("forward")
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
