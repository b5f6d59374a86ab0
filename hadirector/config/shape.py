"""The shape of the file: which keys there are, what they take, and what they mean.

The problem: validation, editor completion and the reference page must not tell three stories. The
approach: one pydantic model per section, whose descriptions and bounds all three read. The sections
of the libraries come through `adapter` from their own dataclasses. What is written here is the file
as people write it; `model` holds what it resolves to. No checks across sections: those are `rules`.
"""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel, Field, PlainValidator, Strict
from pydantic.json_schema import WithJsonSchema

from hadirector.config.adapter import DURATION, STRICT, model_from, translate
from hadirector.config.addresses import (
    LISTEN_PATTERN,
    parse_address,
    parse_listens,
)
from hadirector.config.balancing import (
    UNWRITTEN,
    PersistenceShape,
    SchedulerFlags,
    Threshold,
    TunnelShape,
    WholeSeconds,
)
from hadirector.config.brake_shape import BrakeShape
from hadirector.config.check_shape import CHECK_REF, CHECKS_MAX, REQUIRE, OneCheck, Require
from hadirector.config.diagnostics import Rule, UnfitError, choices, spelled
from hadirector.config.endpoints import EndpointText, as_text
from hadirector.config.own_shape import RouterOfNodeShape
from hadirector.config.peer_shape import PeerShape
from hadirector.config.pool_shape import (
    DynamicWeightShape,
    FallbackShape,
    QuorumShape,
    SlowStartShape,
)
from hadirector.config.sync_shape import ConnectionSyncShape
from hadirector.config.tuning_shape import IpvsShape
from hadirector.drift import Drift
from hadirector.hooks import ServiceHook
from hadirector.ipvs.model import Address, Forward, ServiceKey
from hadirector.leaving import OnStop
from hadirector.on_fail import OnFail
from hadirector.plan import Undeclared
from vrrp.config import VirtualRouter

SCHEDULERS = (
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos",
)  # fmt: skip
"""The schedulers of Linux (net/netfilter/ipvs/Kconfig)."""

FORWARDS = {str(forward): forward for forward in (Forward.NAT, Forward.DR, Forward.TUN)}
_FORWARD_ELSEWHERE = {
    "masq": "nat",
    "masquerading": "nat",
    "gate": "dr",
    "gatewaying": "dr",
    "route": "dr",
    "ipip": "tun",
    "tunnel": "tun",
}
"""What other programs call them."""
SCHEDULER_DEFAULT = "wlc"
WEIGHT_MAX = 2**31 - 1
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class _UnknownForwardError(UnfitError):
    rule = Rule.UNKNOWN_CHOICE


class _UnknownSchedulerError(UnfitError):
    rule = Rule.UNKNOWN_SCHEDULER


def _forward(value: object) -> Forward:
    if isinstance(value, str) and value in FORWARDS:
        return FORWARDS[value]
    meant = _FORWARD_ELSEWHERE.get(str(value).lower(), "nat, dr or tun")
    raise _UnknownForwardError(f"unknown forwarding method {spelled(value)}", f"write {meant}")


def _scheduler(value: object) -> str:
    if isinstance(value, str) and value in SCHEDULERS:
        return value
    raise _UnknownSchedulerError(
        f"unknown scheduler {spelled(value)}", choices(str(value), SCHEDULERS)
    )


def _host(value: object) -> Address:
    return parse_address(as_text(value, "write 192.0.2.11"))


def _listen(value: object) -> tuple[ServiceKey, ...]:
    return parse_listens(as_text(value, "write tcp://192.0.2.100:80"))


def _json(schema: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema(schema)


Duration = Annotated[float, *DURATION]
Host = Annotated[
    Address, PlainValidator(_host), _json({"type": "string", "examples": ["192.0.2.11"]})
]
_LISTEN_JSON = {
    "type": "string",
    "pattern": LISTEN_PATTERN,
    "examples": ["tcp://192.0.2.100:80", "tcp://192.0.2.100-110:8000-8010"],
}
ListenText = Annotated[
    tuple[ServiceKey, ...],  # of one text, whose ranges are resolved; `sections` walks the list
    PlainValidator(_listen),
    _json({"anyOf": [_LISTEN_JSON, {"type": "array", "items": _LISTEN_JSON, "minItems": 1}]}),
]
Scheduler = Annotated[
    str, PlainValidator(_scheduler), _json({"type": "string", "enum": list(SCHEDULERS)})
]
ForwardText = Annotated[
    Forward, PlainValidator(_forward), _json({"type": "string", "enum": list(FORWARDS)})
]
Name = Annotated[str, MaxLen(64), Field(pattern=NAME_PATTERN)]
Weight = Annotated[int, Ge(0), Le(WEIGHT_MAX)]

_SCHEDULER = (
    "How the kernel chooses a server for a new connection. `wlc`: the one with the fewest "
    "connections for its weight. `sh` and `mh`: by the client's address."
)
_FORWARD = (
    "How packets reach the servers. `nat`: addresses are rewritten and answers come back through "
    "the director. `dr`: the packet goes unchanged to a server on the same network, which answers "
    "directly. `tun`: like `dr`, wrapped in an IP tunnel, to any network and either IP version."
)
_WEIGHT = "Share of the connections, next to the other servers' weights. 0: no new connections."
_ON_FAIL = (
    "What becomes of a server that is not up. `remove`: it leaves the table, and its connections "
    "end; `weight-0`: it stays with weight 0, so that its connections go on if they can, and only "
    "new ones go elsewhere."
)
_TUNNEL = "How `forward: tun` wraps packets; without it `ipip`."
_UPPER = "A server with this many connections gets no new ones. 0: no limit."
_LOWER = (
    "A server that had reached `upper` gets new connections again when it has fewer than this; "
    "without it, below three quarters of `upper`."
)


class NodeShape(BaseModel):
    """One director of the pair. What differs between the two stands here and nowhere else."""

    model_config = STRICT

    address: Host = Field(
        description="The director's own address; its advertisements come from here."
    )
    priority: Annotated[int, Ge(1), Le(255)] = Field(
        description="VRRP priority; the higher one is active. Just under 255 is best for a pair "
        "(254 and 253): the lower the priority, the longer the backup waits."
    )


VirtualRouterShape = model_from(
    VirtualRouter,
    name="VirtualRouter",
    nodes=(
        dict[str, RouterOfNodeShape],  # type: ignore[valid-type]
        Field(
            default=UNWRITTEN,
            description="What differs on a director, by its name: another priority (so that each "
            "director is preferred for something), another name of the interface.",
        ),
    ),
)


class ServerShape(BaseModel):
    """A real server. Where only the address matters, the address alone may be written."""

    model_config = STRICT

    address: EndpointText = Field(description="Address and port.")
    weight: Weight = Field(default=1, description=_WEIGHT)
    upper: Threshold = Field(default=UNWRITTEN, description=_UPPER)
    lower: Threshold = Field(default=UNWRITTEN, description=_LOWER)
    forward: ForwardText = Field(
        default=UNWRITTEN, description="How packets reach this server, if not as the others."
    )
    tunnel: TunnelShape = Field(
        default=UNWRITTEN, description="How packets to this server are wrapped, if not as others."
    )
    on_fail: Annotated[OnFail, Strict(False)] = Field(
        default=UNWRITTEN, description=_ON_FAIL + " Unwritten: as for the service's other servers."
    )
    check: object = Field(
        default=UNWRITTEN,
        description="Checked differently from the service's other servers; merged over the "
        "service's `check`.",
        json_schema_extra=CHECK_REF,
    )
    checks: Annotated[list[OneCheck], MinLen(1), MaxLen(CHECKS_MAX)] = Field(
        default=UNWRITTEN, description="Several checks for this server, in place of the service's."
    )
    require: Require = Field(default=UNWRITTEN, description=REQUIRE + " With `checks`.")


class ServiceShape(BaseModel):
    """A virtual service: an address and port for clients, and the real servers behind it."""

    model_config = STRICT

    name: Name = Field(description="Name of the service, shown in status and events. Unique.")
    listen: ListenText = Field(
        description="What clients connect to: `tcp://`, `udp://` or `sctp://` with address and "
        "port, or `fwmark:NUMBER` for all IPv4 packets that the firewall marked so, "
        "`fwmark6:NUMBER` for those of IPv6. Port 0 (with `persistence`) means every port. Ranges "
        "(`tcp://192.0.2.100-110:80`, `tcp://[2001:db8::1]-[2001:db8::9]:8000-8010`) and a list "
        "of such texts make one service of several for the kernel, at most 4096, with the same "
        "servers and one check for each; a server with port 0 then has the client's port."
    )
    scheduler: Scheduler = Field(default=SCHEDULER_DEFAULT, description=_SCHEDULER)
    scheduler_flags: SchedulerFlags = Field(
        default=UNWRITTEN,
        description="`sh-port`, `mh-port`: the client's port counts, too; `sh-fallback`, "
        "`mh-fallback`: another server is chosen where the right one takes no connections.",
    )
    one_packet: bool = Field(
        default=False,
        description="Every UDP packet is scheduled by itself, as a connection of one packet.",
    )
    forward: ForwardText = Field(
        default=UNWRITTEN, description=_FORWARD + " Required, here or in `defaults`."
    )
    tunnel: TunnelShape = Field(default=UNWRITTEN, description=_TUNNEL)
    upper: Threshold = Field(default=UNWRITTEN, description=_UPPER + " For every server.")
    lower: Threshold = Field(default=UNWRITTEN, description=_LOWER)
    check: object = Field(
        default=UNWRITTEN,
        description="How the servers are checked; merged over `defaults.check`.",
        json_schema_extra=CHECK_REF,
    )
    checks: Annotated[list[OneCheck], MinLen(1), MaxLen(CHECKS_MAX)] = Field(
        default=UNWRITTEN,
        description="Several checks on every server, instead of one. Each is merged over `check`, "
        "which then only says what they have in common.",
    )
    require: Require = Field(default=UNWRITTEN, description=REQUIRE)
    servers: Annotated[list[EndpointText | ServerShape], MinLen(1)] = Field(
        description="The real servers."
    )
    fallback: EndpointText | FallbackShape | list[EndpointText | FallbackShape] = Field(
        default=UNWRITTEN,
        description="Serves when no server is up, to say so politely. Of a list, the first that "
        "is up. A mapping gives one a check; without, it counts as up.",
    )
    quorum: Annotated[int, Ge(1)] | QuorumShape = Field(
        default=1,
        description="Servers that must be up for the service to count as working; or a mapping "
        "that says more.",
    )
    slow_start: Annotated[Duration, Ge(0), Le(3600)] | SlowStartShape = Field(
        default=UNWRITTEN,
        description="A server that comes back gets its weight little by little over this time, in "
        "20 steps; or, in a mapping, with the checks that it passes. It shows with weights well "
        "above 1 only, such as 100. Unwritten: all at once.",
    )
    dynamic_weight: DynamicWeightShape = Field(
        default=UNWRITTEN,
        description="How weights follow what servers ask for, and their latency. It shows with "
        "weights well above 1 only, such as 100. Unwritten: what is asked for holds at once.",
    )
    on_fail: Annotated[OnFail, Strict(False)] = Field(default=OnFail.REMOVE, description=_ON_FAIL)
    drift: Annotated[Drift, Strict(False)] = Field(
        default=Drift.REPAIR,
        description="What to do when another program changes this service or its servers in the "
        "kernel. `repair`: put it right; `report`: leave it and say so; `ignore`: leave it.",
    )
    persistence: WholeSeconds | PersistenceShape = Field(
        default=UNWRITTEN,
        description="A client comes back to its server within this time, in whole seconds; or a "
        "mapping that says more.",
    )


class DefaultsShape(BaseModel):
    """What holds for every service that does not say otherwise."""

    model_config = STRICT

    scheduler: Scheduler = Field(default=SCHEDULER_DEFAULT, description=_SCHEDULER)
    forward: ForwardText = Field(default=UNWRITTEN, description=_FORWARD)
    weight: Weight = Field(default=1, description=_WEIGHT)
    check: object = Field(
        default=UNWRITTEN,
        json_schema_extra=CHECK_REF,
        description="How servers are checked. A service's own `check` is merged over it, key by "
        "key; options that the service's kind of check does not have are left out.",
    )


class FileShape(BaseModel):
    """The whole file. Both directors get the same one; each picks its node by name."""

    model_config = STRICT

    include: str | Annotated[list[str], MinLen(1)] = Field(
        default=UNWRITTEN,
        description="Other files of this shape, relative to this one. Lists and mappings are "
        "joined; a single value written in two files is an error.",
    )
    nodes: Annotated[dict[str, NodeShape], MinLen(1)] = Field(
        description="The directors by name. `--node` picks one; without it, the host's name does."
    )
    groups: list[Name] = Field(
        default=UNWRITTEN,
        description="Groups of virtual routers. Without this list a group exists as soon as two "
        "virtual routers name it; with it, only those listed exist.",
    )
    virtual_routers: list[VirtualRouterShape] = Field(  # type: ignore[valid-type]
        description="The virtual addresses that the active director holds. Write `[]` where "
        "something else brings the traffic here."
    )
    defaults: DefaultsShape = Field(
        default=UNWRITTEN, description="What holds for services that do not say otherwise."
    )
    audit: Annotated[Duration, Ge(0.1), Le(3600)] = Field(
        default=5.0,
        json_schema_extra={"default": "5s"},
        description="Time between two comparisons of the kernel's table with this configuration.",
    )
    workers: Annotated[int, Ge(0), Le(64)] = Field(
        default=0,
        description="How many processes of their own make the probes; `0`: the director process "
        "makes them itself, which is enough for ten thousand TCP checks.",
    )
    undeclared: Annotated[Undeclared, Strict(False)] = Field(
        default=Undeclared.REPORT,
        description="What to do with services in the kernel that nobody declared here. `keep`: "
        "leave them alone; `report`: and journal them; `remove`: remove them.",
    )
    on_stop: Annotated[OnStop, Strict(False)] = Field(
        default=OnStop.KEEP,
        description="What becomes of the kernel's table when hadirector is stopped. `keep`: it "
        "stays, so that a restart costs nothing; `flush`: this file's services are removed; "
        "`drain`: all weights become 0, so that what goes on goes on.",
    )
    drain_removed: Annotated[Duration, Ge(0), Le(86_400)] = Field(
        default=30.0,
        json_schema_extra={"default": "30s"},
        description="What left the file gets weight 0 and is removed once its connections have "
        "ended (with persistence: once its clients are forgotten), after so long at the latest; "
        "`0s` removes it at once. What a check or an order by hand takes out goes at once.",
    )
    max_changes: Annotated[int, Ge(0)] = Field(
        default=UNWRITTEN,
        description="How many entries (services, servers) one `hadirector apply` may change or "
        "remove; a plan with more does nothing. Adding is not limited.",
    )
    ipvs: IpvsShape = Field(
        default=UNWRITTEN, description="Settings of the kernel; what is not written stays."
    )
    connection_sync: ConnectionSyncShape = Field(
        default=UNWRITTEN,
        description="How the kernels of the pair tell each other of connections; without it, they "
        "do not.",
    )
    peer: PeerShape = Field(
        default=UNWRITTEN,
        description="The channel between the two directors; without it, they know of each other "
        "what VRRP says.",
    )
    brake: BrakeShape = Field(
        default=UNWRITTEN,
        description="What is not believed at once when much of a pool fails; without it, "
        "everything is.",
    )
    hooks: translate(tuple[ServiceHook, ...]) = Field(  # type: ignore[valid-type]
        default=(),
        description="What is run when a server goes up or down, or a service has or loses its "
        "quorum.",
    )
    services: list[ServiceShape] = Field(default=[], description="The virtual services.")
