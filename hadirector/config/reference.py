"""The reference page of the configuration file, made from the models.

The problem: a page written by hand is wrong after the next change. The approach: keys, what they
take, defaults and descriptions come from the models, as the validation does; only the introduction
is prose. `docs/configuration.md` is this text; a test compares them.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from checkers.options import CheckOptions
from checkers.registry import KINDS
from checkers.timing import Timing
from hadirector.config import check_shape, shape
from hadirector.config.adapter import model_from
from hadirector.config.balancing import PersistenceShape, TunnelShape
from hadirector.config.brake_shape import BrakeShape
from hadirector.config.draft import fields_of
from hadirector.config.durations import PATTERN
from hadirector.config.explain import Bounds
from hadirector.config.own_shape import RouterOfNodeShape
from hadirector.config.peer_shape import PeerShape
from hadirector.config.pool_shape import (
    DynamicWeightShape,
    FallbackShape,
    QuorumShape,
    SlowStartShape,
)
from hadirector.config.schema import schema
from hadirector.config.sync_shape import ConnectionSyncShape
from hadirector.config.tuning_shape import IpvsShape
from hadirector.connection_sync import SyncOfNode
from hadirector.hooks import ServiceHook
from vrrp.hooks import Hook
from vrrp.paths import PolicyRule, Route
from vrrp.tracked import Tracker

_INTRODUCTION = """\
# The configuration file

<!-- Made from the models by `make docs`; edit those. -->

One YAML file describes the pair, and the same file goes to both directors. `hadirector check FILE`
validates it and shows every error in one run; `configs/` holds complete examples; the JSON Schema
for editors is `configs/hadirector.schema.json` (or `hadirector schema`).

- **Durations** carry their unit: `500ms`, `2s`, `5m`, `1h`.
- **Addresses** are `198.51.100.21:8080` or `[2001:db8::1]:80`, with `tcp://`, `udp://` or `sctp://`
  before them where a service listens, or `fwmark:7` (of IPv4 packets) and `fwmark6:7` (of IPv6
  packets). Names are not resolved.
- **Words that YAML 1.1 twists** are errors: `no`, `yes`, `on`, `off`, `010`, `1:20`, `2026-01-02`.
  Write `true` or `false`, plain decimal numbers, or put the text in quotes.
- **Unknown and repeated keys** are errors. Anchors, aliases and merge keys (`<<: *name`) work.
- **`include:`** names further files of the same shape, relative to the including one. Lists and
  mappings are joined; a single value written in two files is an error.
- **Defaults** reach down: a service's `check` is laid over `defaults.check` key by key, a server's
  over its service's. The innermost `type` decides the kind of check, and inherited options that
  this kind does not have are left out. Without any `type` the check is `tcp`.
- **Several checks**: a list `checks` beside a service's (or server's) `check`. Each of the list is
  laid over `check`, which then is no check of its own. `require` says how many must pass.
- **Groups**: virtual routers with the same `group` change sides together. A group exists as soon as
  two virtual routers name it, or if the list `groups:` names it; anything else is an unknown group.
- **Virtual addresses**: a service listens on an address that a virtual router owns. Write
  `virtual_routers: []` where something else (routing, a cloud) brings the traffic to the director.

Errors refuse the file; warnings (legal, but surely not meant) only do with `--strict`.
"""

_TITLES: Mapping[str, str] = {
    "FileShape": "The file",
    "NodeShape": "`nodes.NAME`: a director",
    "VirtualRouter": "`virtual_routers[]`: a virtual router",
    "RouterOfNode": "`virtual_routers[].nodes.NAME`: what differs on a director",
    "Tracker": "`virtual_routers[].track[]`: what the priority depends on",
    "Route": "`virtual_routers[].routes[]`: routes that move along",
    "PolicyRule": "`virtual_routers[].rules[]`: rules that move along",
    "Hook": "`virtual_routers[].hooks[]`: what is run on a change",
    "DefaultsShape": "`defaults`",
    "IpvsShape": "`ipvs`: settings of the kernel",
    "ConnectionSyncShape": "`connection_sync`: connections survive",
    "SyncOfNode": "`connection_sync.nodes.NAME`: what differs on a director",
    "PeerShape": "`peer`: the channel between the two directors",
    "BrakeShape": "`brake`: when much of a pool fails at once",
    "ServiceHook": "`hooks[]`: what is run when servers and services change",
    "ServiceShape": "`services[]`: a virtual service",
    "SlowStartShape": "`services[].slow_start`: how a server grows",
    "QuorumShape": "`services[].quorum`: what must be up",
    "DynamicWeightShape": "`services[].dynamic_weight`: weights that servers ask for or earn",
    "FallbackShape": "`services[].fallback`: a fallback server with a check",
    "ServerShape": "`services[].servers[]`: a real server",
    "PersistenceShape": "`services[].persistence`: clients that come back",
    "TunnelShape": "`tunnel`: how packets are wrapped",
}
_LINKS = {
    "Check": "[check](#check-timing-common-to-all-kinds)",
    "ConnectionSync": "[connection sync](#connection_sync-connections-survive)",
    "SyncOfNode": "[a mapping](#connection_syncnodesname-what-differs-on-a-director)",
    "Peer": "[the peer channel](#peer-the-channel-between-the-two-directors)",
    "Brake": "[the brake](#brake-when-much-of-a-pool-fails-at-once)",
    "ServiceHook": "[a mapping](#hooks-what-is-run-when-servers-and-services-change)",
    "Defaults": "[defaults](#defaults)",
    "Ipvs": "[settings](#ipvs-settings-of-the-kernel)",
    "Node": "[a director](#nodesname-a-director)",
    "VirtualRouter": "[virtual routers](#virtual_routers-a-virtual-router)",
    "RouterOfNode": "[a mapping](#virtual_routersnodesname-what-differs-on-a-director)",
    "Tracker": "[a mapping](#virtual_routerstrack-what-the-priority-depends-on)",
    "Route": "[a mapping](#virtual_routersroutes-routes-that-move-along)",
    "PolicyRule": "[a mapping](#virtual_routersrules-rules-that-move-along)",
    "Hook": "[a mapping](#virtual_routershooks-what-is-run-on-a-change)",
    "Service": "[services](#services-a-virtual-service)",
    "Server": "[a mapping](#servicesservers-a-real-server)",
    "SlowStart": "[a mapping](#servicesslow_start-how-a-server-grows)",
    "Quorum": "[a mapping](#servicesquorum-what-must-be-up)",
    "DynamicWeight": "[a mapping](#servicesdynamic_weight-weights-that-servers-ask-for-or-earn)",
    "Fallback": "[a mapping](#servicesfallback-a-fallback-server-with-a-check)",
    "Persistence": "[a mapping](#servicespersistence-clients-that-come-back)",
    "Tunnel": "[a mapping](#tunnel-how-packets-are-wrapped)",
}


def reference_text() -> str:
    """The page as it is committed."""
    definitions = schema()["$defs"]
    parts = [_INTRODUCTION]
    sections: list[type[BaseModel]] = [
        shape.FileShape,
        shape.NodeShape,
        shape.VirtualRouterShape,
        RouterOfNodeShape,
        IpvsShape,
        ConnectionSyncShape,
        model_from(SyncOfNode, name="SyncOfNode"),
        PeerShape,
        BrakeShape,
        model_from(ServiceHook, name="ServiceHook"),
        model_from(Tracker, name="Tracker"),
        model_from(Hook, name="Hook"),
        model_from(Route, name="Route"),
        model_from(PolicyRule, name="PolicyRule"),
        shape.DefaultsShape,
        shape.ServiceShape,
        shape.ServerShape,
        QuorumShape,
        SlowStartShape,
        FallbackShape,
        DynamicWeightShape,
        PersistenceShape,
        TunnelShape,
    ]
    parts += [_section(_TITLES[model.__name__], model, definitions) for model in sections]
    timing = model_from(Timing, name="Timing", **check_shape.CHECK_ITEM)
    parts.append(_section("`check`: timing, common to all kinds", timing, definitions))
    where = model_from(CheckOptions, name="CheckOptions")
    parts.append(_section("`check`: whom to probe, and by which way", where, definitions))
    common = {*timing.model_fields, *where.model_fields}
    for kind in KINDS:
        model = check_shape.check_shape(kind)
        title = f"`check` of `type: {kind}`"
        more = f"\nIn depth: [checks/{kind}.md](checks/{kind}.md).\n"
        parts.append(_section(title, model, definitions, without=common) + more)
    return "\n".join(parts)


def _section(
    title: str,
    model: type[BaseModel],
    definitions: Mapping[str, Any],
    without: Container[str] = (),
) -> str:
    rows = [row for name, row in _rows(model, definitions) if name not in without]
    about = " ".join((model.__doc__ or "").split())
    head = "| key | takes | default | meaning |\n|---|---|---|---|\n"
    return f"## {title}\n\n{about}\n\n{head}" + "\n".join(rows) + "\n"


def _rows(model: type[BaseModel], definitions: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    described = model.model_json_schema()["properties"]
    for name, field in fields_of(model).items():
        info = described[name]
        default = "required" if field.required else _default(info)
        takes = _takes(info, definitions, field.bounds)
        if (
            name == "type" and "enum" not in info
        ):  # of a check: what makes this section the one to read
            default, takes = "", default
        meaning = info.get("description", "")
        yield name, f"| `{name}` | {takes} | {default} | {_cell(meaning)} |"


def _default(info: Mapping[str, Any]) -> str:
    value = info.get("default")
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    return "" if value is None else f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _takes(info: Mapping[str, Any], definitions: Mapping[str, Any], bounds: Bounds) -> str:
    """What a key takes, in words."""
    reference = str(info.get("$ref", "")).rpartition("/")[2]
    if reference:
        return _referenced(reference, definitions)
    if info.get(check_shape.CHECK_MARK):
        return _LINKS["Check"]
    if "anyOf" in info:
        kinds = [_takes(one, definitions, Bounds()) for one in info["anyOf"]]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in info:
        return ", ".join(f"`{word}`" for word in info["enum"])
    if info.get("type") == "array":
        return f"list: {_takes(info['items'], definitions, Bounds())}"
    if info.get("type") == "object":
        return f"mapping: {_takes(info['additionalProperties'], definitions, Bounds())}"
    kind = _scalar(info)
    return f"{kind}, {bounds.range()}" if bounds.range() else kind


def _scalar(info: Mapping[str, Any]) -> str:
    if info.get("pattern") == PATTERN:
        return "duration"
    if "examples" in info:
        return f"address, like `{info['examples'][0]}`"
    names = {"integer": "whole number", "boolean": "`true` or `false`", "string": "text"}
    return names.get(info.get("type", ""), "")


def _referenced(name: str, definitions: Mapping[str, Any]) -> str:
    enum = definitions.get(name, {}).get("enum")
    if enum:
        return ", ".join(f"`{word}`" for word in enum)
    return _LINKS[name.removesuffix("Shape")]
