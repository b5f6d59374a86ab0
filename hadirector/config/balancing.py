"""What the kernel's balancer takes besides addresses: schedulers, persistence, tunnels, thresholds.

The problem: the kernel numbers its flags (one bit means fallback to `sh` and to `mh`), writes a
persistence network once as a mask and once as a length, and takes options that then do nothing. The
approach: each option has the name that ipvsadm gives it, each section its model, and here the words
become the kernel's values. What does not go together is found in `balancing_rules`.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Annotated, Any

from annotated_types import Ge, Le, MinLen
from pydantic import BaseModel, BeforeValidator, Field, PlainValidator
from pydantic.json_schema import WithJsonSchema

from hadirector.config.adapter import DURATION, SECONDS, STRICT, duration
from hadirector.config.diagnostics import Rule, UnfitError, choices, spelled
from hadirector.config.durations import DurationError
from hadirector.ipvs.model import (
    SCHEDULER_FLAGS,
    Persistence,
    ServiceFlag,
    Tunnel,
    TunnelType,
)

ENGINES = ("sip",)
TUNNELS = {str(kind): kind for kind in TunnelType}
CHECKSUMS = {"none": 0, "csum": 1, "remcsum": 2}
"""`IP_VS_TUNNEL_ENCAP_FLAG_*` (linux/ip_vs.h)."""

PERSISTENCE_S_DEFAULT = 300
PERSISTENCE_S_MAX = 30 * 24 * 3600
THRESHOLD_MAX = 2**32 - 1
UNWRITTEN: Any = None


class _UnknownWordError(UnfitError):
    rule = Rule.UNKNOWN_CHOICE


def _one_of(what: str, known: Sequence[str]) -> PlainValidator:
    def check(value: object) -> str:
        if isinstance(value, str) and value in known:
            return value
        raise _UnknownWordError(f"unknown {what} {spelled(value)}", choices(str(value), known))

    return PlainValidator(check)


def _words(known: Sequence[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(known)})


def _whole_seconds(value: object) -> int:
    seconds = duration(value)
    if not seconds.is_integer():
        raise DurationError(f'"{value}" is not whole seconds', "the kernel counts in seconds here")
    return int(seconds)


def _netmask(value: object) -> int | IPv4Address:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 128:
        return value
    if isinstance(value, str):
        try:
            return IPv4Address(value)
        except ValueError:
            pass
    raise UnfitError(
        f'"{value}" is neither a mask nor a prefix length', "write 255.255.255.0, or 24"
    )


WholeSeconds = Annotated[
    int, Ge(1), Le(PERSISTENCE_S_MAX), BeforeValidator(_whole_seconds), SECONDS, DURATION[-1]
]
Netmask = Annotated[
    object,
    PlainValidator(_netmask),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 128},
                {"type": "string", "examples": ["255.255.255.0"]},
            ]
        }
    ),
]
Threshold = Annotated[int, Ge(0), Le(THRESHOLD_MAX)]
SchedulerFlag = Annotated[
    str, _one_of("scheduler flag", tuple(SCHEDULER_FLAGS)), _words(tuple(SCHEDULER_FLAGS))
]
SchedulerFlags = Annotated[list[SchedulerFlag], MinLen(1)]


class PersistenceShape(BaseModel):
    """How clients come back to their server. Where only the time matters, it alone is enough."""

    model_config = STRICT

    timeout: WholeSeconds = Field(
        default=PERSISTENCE_S_DEFAULT,
        json_schema_extra={"default": "5m"},
        description="A client comes back to its server within this time after its last use, in "
        "whole seconds.",
    )
    netmask: Netmask = Field(
        default=UNWRITTEN,
        description="Clients of one network count as one client: a prefix length, or for IPv4 a "
        "mask such as `255.255.255.0`. Without it every address counts by itself.",
    )
    engine: Annotated[str, _one_of("persistence engine", ENGINES), _words(ENGINES)] = Field(
        default=UNWRITTEN,
        description="Who a client is, is read from the payload: `sip` takes the Call-ID of SIP "
        "over UDP.",
    )


class TunnelShape(BaseModel):
    """How packets are wrapped on their way to a server, with `forward: tun`."""

    model_config = STRICT

    type: Annotated[str, _one_of("type of tunnel", tuple(TUNNELS)), _words(tuple(TUNNELS))] = Field(
        default="ipip",
        description="`ipip`: IP in IP; `gue`: in UDP, to a port; `gre`: in GRE.",
    )
    port: Annotated[int, Ge(1), Le(65535)] = Field(
        default=UNWRITTEN, description="The server's UDP port for `gue`, which needs it."
    )
    checksum: Annotated[
        str, _one_of("kind of checksum", tuple(CHECKSUMS)), _words(tuple(CHECKSUMS))
    ] = Field(
        default="none",
        description="`csum`: the wrapping of `gue` or `gre` carries a checksum; `remcsum`: `gue`'s "
        "remote checksum offload.",
    )


def flags_of(names: Sequence[str], *, one_packet: bool) -> ServiceFlag:
    """The kernel's flags for these names."""
    flags = ServiceFlag.ONE_PACKET if one_packet else ServiceFlag.NONE
    for name in names:
        flags |= SCHEDULER_FLAGS[name]
    return flags


def persistence_of(
    timeout_s: int, netmask: int | IPv4Address | None, engine: str | None, *, version: int
) -> Persistence:
    """The kernel's persistence for clients of this IP version."""
    mask: int | None = None
    if isinstance(netmask, IPv4Address):
        mask = int(netmask)
    elif netmask is not None:
        mask = netmask if version == 6 else 2**32 - 2 ** (32 - netmask)
    return Persistence(timeout_s, mask, engine or "")


def tunnel_of(kind: str, port: int | None, checksum: str) -> Tunnel:
    """The kernel's tunnel options."""
    return Tunnel(TUNNELS[kind], port or 0, CHECKSUMS[checksum])
