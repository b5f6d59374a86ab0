"""What the supervisor and the director process say to each other: one JSON object a line.

A handful of frozen values, each a line on a socketpair. What the VRRP worker says is passed on to
the director as it came (`FromVrrp`), so that the director can show and journal it without the two
workers knowing each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields


class MessageError(ValueError):
    """A line that is none of our messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configure:
    """To the director: its configuration, resolved and checked (`config_to_json`), once, first."""

    config: str
    vrrp: str  # what the VRRP worker is told (`elections.told_to_worker`)
    file: str
    node: str
    runtime_dir: str
    state_dir: str
    on_stop: str = ""  # goes before the file's; empty: as the file says
    balances: bool = True  # `Config.balances`
    adopting: bool = False  # by a reload: the supervisor hears of it once the table is ready


@dataclass(frozen=True, slots=True)
class FromVrrp:
    """To the director: a line of the VRRP worker (`vrrp.messages`)."""

    line: str


@dataclass(frozen=True, slots=True)
class Note:
    """To the director: something the supervisor wants journaled."""

    kind: str
    sentence: str
    at: float  # unix time, seconds: it may be told late, when there is a director process again


@dataclass(frozen=True, slots=True)
class Processes:
    """To the director: who runs. By name: pid (None while down), restarts, since (unix time)."""

    table: Mapping[str, Mapping[str, float | int | None]]


@dataclass(frozen=True, slots=True)
class Reload:
    """To the director: read the configuration file again (SIGHUP)."""

    asked_by: str


@dataclass(frozen=True, slots=True)
class Stop:
    """To the director: end, and leave the table as `on_stop` says."""

    reason: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """To the supervisor: still alive."""


@dataclass(frozen=True, slots=True)
class Ready:
    """To the supervisor: the table is programmed and every check has had its first result."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Quorums:
    """To the supervisor: by service, whether it has its quorum; for the elections."""

    met: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class ToVrrp:
    """To the supervisor: for the VRRP worker, `Guidance`, `Promote` or `Reannounce` of `vrrp`."""

    line: str


@dataclass(frozen=True, slots=True)
class Adopted:
    """To the supervisor: a reload was accepted; this configuration holds from now on."""

    config: str  # `config_to_json`
    vrrp: str  # `elections.told_to_worker`
    balances: bool  # `Config.balances`


Message = (
    Configure
    | FromVrrp
    | Note
    | Processes
    | Reload
    | Stop
    | Heartbeat
    | Ready
    | Quorums
    | ToVrrp
    | Adopted
)
_TYPES: dict[str, type[Message]] = {
    kind.__name__: kind
    for kind in (
        Configure, FromVrrp, Note, Processes, Reload, Stop, Heartbeat, Ready, Quorums,
        ToVrrp, Adopted,
    )
}  # fmt: skip


def encode(message: Message) -> bytes:
    """Return the message as one line."""
    body = {item.name: getattr(message, item.name) for item in fields(message)}
    return json.dumps({"type": type(message).__name__, **body}).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Return the message of a line; raises MessageError."""
    try:
        body = json.loads(line)
        return _TYPES[body.pop("type")](**body)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MessageError(f"not a message: {line[:80]!r}: {error}") from error
