"""The words of health checking: what is checked, how often, and what came of it.

The problem: many kinds of checks, written by different people, must look the same to whoever
schedules, explains and configures them. The approach: a check is a value (`Check`: key, target,
options, timing), the options of a kind are a frozen dataclass derived from `CheckOptions`, and a
probe is anything with `probe(target, timeout_s)` that returns one `Result` with one sentence.

Who is at fault is never mixed up: a server that fails yields a `Result` that is not healthy; a
probe that could not be *made* (no descriptor, no route, no permission) raises `ProbeError` and says
nothing about the server.

This module must never do I/O, read a clock, or know what a check is used for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Protocol

from annotated_types import Ge, Le, MaxLen, MinLen, Unit, doc

if TYPE_CHECKING:
    from checkers.quick import Place, Quick

Seconds = Annotated[float, Unit("s")]
"""A duration; a configuration may write it with its unit, such as `500ms` or `2s`."""

Port = Annotated[int, Ge(1), Le(65535)]


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


Interval = Annotated[Seconds, Ge(0.05), Le(3600)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How often a check runs and what it takes to change its verdict."""

    interval: Annotated[
        Seconds, Ge(0.05), Le(3600), doc("Time from one probe to the next of the same check.")
    ] = 2.0
    timeout: Annotated[
        Seconds,
        Ge(0.01),
        Le(3600),
        doc("A probe without a verdict after this time has failed; at most the interval."),
    ] = 1.0
    rise: Annotated[
        int, Ge(1), Le(1000), doc("Passes in a row that bring a server back that was down.")
    ] = 2
    fall: Annotated[
        int, Ge(1), Le(1000), doc("Failures in a row that take a server out that was up.")
    ] = 3

    fast_interval: Annotated[
        Interval | None,
        doc(
            "The interval while the verdict is about to change: not known yet, or failures of a "
            "server that is up, or passes of one that is down. Unwritten: as ever."
        ),
    ] = None
    down_interval: Annotated[
        Interval | None, doc("The interval while the server is down. Unwritten: as ever.")
    ] = None
    spread: Annotated[
        Annotated[Seconds, Ge(0), Le(3600)] | None,
        doc(
            "How much of the interval the probes of all checks are spread over. Unwritten: all of "
            "it; `0s`: all at the same moment."
        ),
    ] = None
    initial: Annotated[
        Literal["unknown", "up", "down"],
        doc(
            "What a server is before it was checked. `unknown`: out, and the first result decides; "
            "`up`: in, until it fails; `down`: out, until it has passed `rise` times. One that the "
            "kernel serves already when the daemon starts is up in any case."
        ),
    ] = "unknown"
    up_after: Annotated[
        Annotated[Seconds, Ge(0), Le(86_400)] | None,
        doc("A server that was down must have passed for this long, too, before it is up again."),
    ] = None
    manual_resume: Annotated[
        bool,
        doc(
            "Whether a server that went down stays down, whatever its checks say, until somebody "
            "says `hadirector enable`."
        ),
    ] = False

    def __post_init__(self) -> None:
        for name, interval in self.intervals:
            if self.timeout > interval:
                raise OptionError(
                    "timeout",
                    f"the timeout ({self.timeout:g} s) is above the {name} ({interval:g} s): "
                    "two probes of one check never run at once",
                )
        if self.fast_interval is not None and self.fast_interval > self.interval:
            raise OptionError(
                "fast_interval",
                f"{self.fast_interval:g} s is no faster than the interval ({self.interval:g} s)",
            )

    @property
    def intervals(self) -> Iterator[tuple[str, float]]:
        """Every interval that is written, with what it is called."""
        yield "interval", self.interval
        if self.fast_interval is not None:
            yield "fast interval", self.fast_interval
        if self.down_interval is not None:
            yield "down interval", self.down_interval


def no_way(reason: str) -> Mapping[str, str]:
    """For `lacks` of a kind that opens no connection by itself, with the reason."""
    return dict.fromkeys(("source", "interface", "mark", "through_vip"), reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What every kind of check can be told; each kind derives its own options from this."""

    kind: ClassVar[str] = ""
    lacks: ClassVar[Mapping[str, str]] = {}
    """Those of the options below that mean nothing for this kind and must not be written, and why.
    """
    secrets: ClassVar[tuple[str, ...]] = ()
    """Options of the kind that are shown nowhere; of each, `NAME_file` may name a file."""
    names_service: ClassVar[bool] = False
    """Whether the probe tells on what its target serves: then it differs from service to service.
    """

    port: Annotated[Port | None, doc("Probe this port instead of the one that serves clients.")] = (
        None
    )
    address: Annotated[
        IPv4Address | IPv6Address | None,
        doc("Probe this address instead of the server's, as where its checks are answered apart."),
    ] = None
    source: Annotated[
        IPv4Address | IPv6Address | None,
        doc("Probe from this address, which must be one of the director's own."),
    ] = None
    interface: Annotated[
        Annotated[str, MinLen(1), MaxLen(15)] | None,
        doc("Probe through this interface or VRF, whatever the routing table says."),
    ] = None
    mark: Annotated[
        Annotated[int, Ge(1), Le(2**32 - 1)] | None,
        doc("Firewall mark of the probe's packets, for policy routing and firewall rules."),
    ] = None
    through_vip: Annotated[
        bool,
        doc(
            "Probe the service's own address on the server, by the way that clients' packets take: "
            "whether it really answers for that. With `forward: dr` or `tun` only."
        ),
    ] = False
    inverted: Annotated[
        bool,
        doc("Whether the check is passed by failing: for what must not answer, such as a page."),
    ] = False

    def make_probe(self) -> Probe:
        """A probe that works by these options; `Check.make_probe` has it inverted where asked."""
        raise NotImplementedError

    def make_quick(self, place: Place) -> Quick | None:
        """The same as a probe that needs no task; None if the kind has none by these options."""
        return None

    @property
    def secret_options(self) -> tuple[str, ...]:
        """The names of what is secret, and of the files it may come from."""
        files = (f"{name}_file" for name in self.secrets)
        return (*self.secrets, *(name for name in files if hasattr(self, name)))

    def problems_here(self) -> Iterator[OptionError]:
        """What is wrong on this host with files that the options name; reads them, changes nothing.

        To be asked when a configuration is read. A probe finds the same later, as a ProbeError.
        """
        return iter(())

    def unusable_secrets(self) -> Iterator[OptionError]:
        """What is wrong on this host with files that hold secrets."""
        from checkers.secret import SecretError, read_secret

        for name in self.secret_options:
            file = getattr(self, name)
            if name in self.secrets or file is None:
                continue
            try:
                read_secret(file)
            except SecretError as error:
                if not isinstance(error.__cause__, PermissionError):
                    yield OptionError(name, str(error))

    def describe(self) -> str:
        """What is asked of the server, in a few words, such as `http GET /healthz`."""
        return self.kind


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one target."""

    key: str
    """Names the check for its owner; unique within one scheduler."""
    target: Target
    """Where clients are served; `endpoint` is where the probe goes."""
    options: CheckOptions
    timing: Timing = Timing()
    via: Target | None = None
    """A virtual address, with the way to this target behind it, to probe through."""

    @property
    def endpoint(self) -> Target:
        """The address and port that the probe really goes to."""
        if self.via is not None:
            return self.via
        options, target = self.options, self.target
        way = Way(options.source, options.interface, options.mark)
        return Target(
            target.address if options.address is None else options.address,
            target.port if options.port is None else options.port,
            ANY_WAY if way == ANY_WAY else way,
            target.service if options.names_service else "",
        )

    def conflicts(self) -> Iterator[OptionError]:
        """What in the options cannot work with this target."""
        options, version = self.options, self.endpoint.address.version
        if options.source is not None and options.source.version != version:
            sentence = f"no way from an IPv{options.source.version} address to an IPv{version} one"
            yield OptionError("source", sentence)

    def make_probe(self) -> Probe:
        """The probe of the options, that tells no secret, inverted where they say so."""
        options = self.options
        if any(getattr(options, name) is not None for name in options.secret_options):
            from checkers.secret import SecretProbe

            probe: Probe = SecretProbe(options)
        else:
            probe = options.make_probe()
        if not options.inverted:
            return probe
        from checkers.inverted import InvertedProbe

        return InvertedProbe(probe)

    @property
    def digest(self) -> str:
        """Equal for two checks that do the same, whatever they are called; stable over restarts."""
        return self.digest_by(self.asked)

    @property
    def asked(self) -> str:
        """What is asked and how often, whoever it is asked of: most of the work of a digest."""
        # An option that is not written is left out: one that a later version adds changes nothing.
        # `verify: false` differs from the default by being absent.
        options = self.options
        return repr((type(options).__name__, _written(options), _written(self.timing)))

    def digest_by(self, asked: str) -> str:
        """The digest, where `asked` is known already, as that of a check with the same options."""
        endpoint = self.endpoint
        way = "" if self.via is None else str(self.via.way)
        text = f"{asked} {endpoint} {endpoint.service!r} {way}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def describe(self) -> str:
        """For people: `tcp 10.0.0.1:80`."""
        way = str(self.endpoint.way)
        text = f"{self.options.describe()} at {self.endpoint}{way and ' ' + way}"
        return f"not {text} (inverted)" if self.options.inverted else text


def _written(values: CheckOptions | Timing) -> list[tuple[str, object]]:
    pairs = [(item.name, getattr(values, item.name)) for item in fields(values) if item.compare]
    return [(name, value) for name, value in pairs if value is not None and value is not False]
