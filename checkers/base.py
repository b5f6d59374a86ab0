"""The words of health checking: whom a probe asks, and what comes of it.

The problem: many kinds of checks, written by different people, must look the same to whoever
schedules, explains and configures them. The approach: a probe is anything with
`probe(target, timeout_s)` that returns one `Result` with one sentence. What a check can be told is
in `options`, how often it runs in `timing`, and the check itself in `check`.

Who is at fault is never mixed up: a server that fails yields a `Result` that is not healthy; a
probe that could not be *made* (no descriptor, no route, no permission) raises `ProbeError` and says
nothing about the server.

This module must never do I/O, read a clock, or know what a check is used for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Protocol

from annotated_types import Ge, Le


class CheckersError(Exception):
    """The root of this package's errors."""


class ProbeError(CheckersError):
    """The probe could not be made: our side is at fault, nothing is known about the server."""


class OptionError(CheckersError, ValueError):
    """Options that cannot work; `field` names the one to change.

    A ValueError too, so that validation libraries take it for a bad value and not for a bug.
    """

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class Reason(StrEnum):
    """Why a probe ended as it did, by the layer that decided."""

    OK = "ok"
    SOCKET = "socket"  # the probe could not be made; never on a Result, see ProbeError
    L3_TIMEOUT = "l3-timeout"
    L3_UNREACHABLE = "l3-unreachable"
    L4_TIMEOUT = "l4-timeout"
    L4_REFUSED = "l4-refused"
    L4_UNREACHABLE = "l4-unreachable"
    L4_RESET = "l4-reset"
    TLS = "tls"
    TLS_TIMEOUT = "tls-timeout"
    TLS_CERTIFICATE = "tls-certificate"
    L7_TIMEOUT = "l7-timeout"
    L7_CLOSED = "l7-closed"
    L7_PROTOCOL = "l7-protocol"
    L7_STATUS = "l7-status"
    L7_CONTENT = "l7-content"
    SCRIPT_FAILED = "script-failed"
    SCRIPT_TIMEOUT = "script-timeout"
    FILE = "file"
    INVERTED = "inverted"  # it passed, and the check wants it to fail

    @property
    def layer(self) -> str:
        """The layer for people: `L4`, `TLS`, `L7`, or `socket` for our own side."""
        head = self.value.partition("-")[0]
        return head.upper() if head in ("l3", "l4", "l7", "tls") else head


@dataclass(frozen=True, slots=True)
class Way:
    """How a probe leaves this host, where the routing table alone is not to decide."""

    source: IPv4Address | IPv6Address | None = None
    interface: str | None = None
    mark: int | None = None
    server: IPv4Address | IPv6Address | None = None
    """Of a probe through a virtual address: the server it is really for, which the mark leads to.
    """

    def __str__(self) -> str:
        """`from 192.0.2.11 through eth1 with mark 7`; nothing where the routing table decides."""
        words = (
            ("on", self.server),
            ("from", self.source),
            ("through", self.interface),
            ("with mark", self.mark),
        )
        return " ".join(f"{word} {value}" for word, value in words if value is not None)


ANY_WAY = Way()


@dataclass(frozen=True, slots=True)
class Target:
    """One address and port; a probe tests exactly this one, without fallback or retry."""

    address: IPv4Address | IPv6Address
    port: int
    way: Way = ANY_WAY
    service: str = ""
    """What it serves, for kinds that tell it on."""

    @property
    def host(self) -> str:
        """The address without a zone such as `%eth0`, which means nothing to the other side."""
        if isinstance(self.address, IPv6Address) and self.address.scope_id is not None:
            return str(IPv6Address(int(self.address)))
        return str(self.address)

    def __str__(self) -> str:
        """`10.0.0.1:80` or `[2001:db8::1]:80`."""
        if isinstance(self.address, IPv6Address):
            return f"[{self.address}]:{self.port}"
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What a server that is up asks for; whoever owns the weights decides."""

    weight: Annotated[int, Ge(0), Le(65535)] | None = None
    """This weight."""
    percent: Annotated[int, Ge(0), Le(100)] | None = None
    """This share of the configured weight."""
    drain: bool = False
    """No new connections, while the present ones go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one probe found out about its target."""

    healthy: bool
    reason: Reason
    sentence: str
    """One sentence for people, such as "connection refused (L4) after 0.3 ms"."""
    latency_ms: float
    """From the start of the probe to its verdict."""
    at: float
    """When the verdict fell (Unix time, for people; never used to measure)."""
    decisive: bool = False
    """Of a failure only: one that takes the server out at once, however many others it would take.
    """
    advice: Advice | None = None
    """Of a pass only, and only from kinds that can carry it."""
    transcript: tuple[str, ...] = field(default=(), compare=False)
    """What the probe did, step by step; of failures, and of passes where asked for."""


class Probe(Protocol):
    """One way to test a target. Holds options, no state about any server."""

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Test `target` once, with the verdict within `timeout_s` seconds.

        Raises ProbeError if the probe could not be made, and nothing else.
        """
        ...
