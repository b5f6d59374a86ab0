"""What a supervisor and the VRRP worker say to each other: one JSON object per line.

The problem. The worker must survive anything that the rest of the product does, and the supervisor
anything that happens to the worker. So what passes between them is small, typed and complete in
itself, and the wire form can be read by a person with `strace` in hand.

The approach. Frozen dataclasses; `encode` and `decode` follow their type hints (`typed_json`), so
that a message is defined in exactly one place.

This module never does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias, cast

from vrrp.config import IPInterface, RouterSettings
from vrrp.events import State
from vrrp.hooks import Change, Hook
from vrrp.keys import HmacKey
from vrrp.packet import IPAddress
from vrrp.paths import PolicyRule, Route
from vrrp.tracked import Tracker
from vrrp.typed_json import MessageError as MessageError
from vrrp.typed_json import read_dataclass, read_line, write_line

LINE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Nobody has to buffer more than this; thousands of virtual routers fit in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configure:
    """Supervisor to worker: run exactly these virtual routers. Later ones apply as a difference."""

    routers: tuple[RouterSettings, ...]
    heartbeat_s: float
    """The supervisor's patience; the worker sends a Heartbeat four times as often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Supervisor to worker: report the final LastWill and exit; I execute it."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Supervisor to worker: while held, do not preempt a working active router."""

    held: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Supervisor to worker: what the trackers of services go by. Replaces the one before."""

    services: dict[str, bool]
    """By name, whether a service has its quorum. One that is not named counts as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """The most that a priority may be, and why."""

    at_most: int
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """Supervisor to worker: what two directors agreed beside the elections. Replaces the last one.

    By virtual router; for its whole group where it is in one.
    """

    caps: dict[str, Cap] = field(default_factory=dict)
    bars: dict[str, str] = field(default_factory=dict)
    """Those that shall not be active, and why: a peer that does not hear us is active for certain.
    A bar ends by itself unless it is said again within `lease_s`."""
    lease_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    """Supervisor to worker: become active now, where backup; the active one yields on hearing it.

    It has been made the lower one before; else it goes on, and we step back again.
    """

    routers: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reannounce:
    """Supervisor to worker: where active, tell the neighbors again where the addresses are.

    A peer that was active as well, and is not heard, has stepped back.
    """

    routers: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Worker to supervisor: alive; and how late it was woken at worst since the last one."""

    lateness_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodbye:
    """An advertisement of priority 0, ready to be sent."""

    destination: IPAddress
    packet: str
    """In hexadecimal, without IP header; the checksum may depend on the destination."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Worker to supervisor, now and then: how well it keeps its time."""

    wakes: int
    """How often a timer was to wake it, since it started."""
    within_ms: dict[str, int]
    """How many of those were at most so many milliseconds late."""
    worst_ms: float
    lately_ms: float
    """The worst of the last minute or two."""
    refused: tuple[str, ...]
    """What the kernel has not granted that would make it more punctual, as sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterWill:
    """What has to be done to leave one virtual router's addresses in good order."""

    name: str
    vrid: int
    interface: str
    source: IPAddress
    goodbyes: tuple[Goodbye, ...]
    """One by multicast, or one for each peer; none: nobody shall take over."""
    addresses: tuple[IPInterface, ...]
    hmac_keys: tuple[HmacKey, ...] = field(default=(), repr=False)
    """The first one signs the goodbyes, at the moment when they are sent."""
    hmac_required: bool = True
    hmac_window: float = 30.0
    """By these, as in the election, a peer is believed that it has taken over."""
    linger_s: float
    """How long the addresses stay if no peer is heard: one skew and one interval."""
    device: str | None = None
    """The interface of the virtual MAC, which has the addresses; none: they are on `interface`."""
    hardware_address: str | None = None
    """The virtual MAC (`00:00:5e:00:01:33`), from which goodbye is said."""
    routes: tuple[Route, ...] = ()
    rules: tuple[PolicyRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceWill:
    """An interface of a virtual MAC that has to be deleted, whoever is active."""

    name: str
    below: str
    """The interface it stands on."""
    switches: dict[str, int]
    """What was changed on that one (arp_ignore, ...), as it was before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWill:
    """Worker to supervisor: if I die, do this. Replaces the one before; empty: nothing to do."""

    routers: tuple[RouterWill, ...]
    devices: tuple[DeviceWill, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.routers and not self.devices


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterReport:
    """Worker to supervisor: how one virtual router is, and why."""

    name: str
    vrid: int
    interface: str
    group: str | None
    state: State
    priority: int
    since: float
    """Unix time of the last change of state."""
    reason: str
    active_peer: str | None
    addresses: tuple[str, ...]
    """As configured."""
    held: tuple[str, ...]
    """Those seen on the interface."""
    counters: dict[str, int]
    peers: dict[str, dict[str, int]] = field(default_factory=dict)
    """The counters of what peers caused, by their address."""
    weighed: int = 0
    """The priority without what two directors agreed (`Guidance`)."""
    arithmetic: str = ""
    """How the priority came to be: `base 150, -50 eth1 has no carrier = 100`."""
    trackers: tuple[str, ...] = ()
    """What is known of each tracker, in few words."""
    rival: str = ""
    """The address of another router that is active as well, and does not step back."""
    outlook: str = ""
    """What a backup that is better than the active router waits for."""
    remark: str = ""
    """What of its configuration is not in force, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Worker to supervisor: something for the journal."""

    kind: str
    router: str | None
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign:
    """Worker to its chores: look at exactly these trackers."""

    trackers: tuple[Tracker, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHooks:
    """Worker to its chores: run these hooks for a change of state."""

    change: Change
    hooks: tuple[Hook, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Chores to the worker: what a tracker is like now."""

    tracker: Tracker
    failed: bool
    phrase: str
    value: int


ToElections: TypeAlias = Guidance | Promote | Reannounce
"""What the director process has to say to the elections, on behalf of the peer channel."""

Message = (
    Configure
    | Stop
    | Hold
    | Facts
    | Guidance
    | Promote
    | Reannounce
    | Heartbeat
    | Timing
    | LastWill
    | RouterReport
    | Event
    | Assign
    | RunHooks
    | Seen
)

_TYPES: Final[Mapping[str, type[Message]]] = MappingProxyType(
    {
        "configure": Configure,
        "stop": Stop,
        "hold": Hold,
        "facts": Facts,
        "guidance": Guidance,
        "promote": Promote,
        "reannounce": Reannounce,
        "heartbeat": Heartbeat,
        "timing": Timing,
        "last-will": LastWill,
        "router-report": RouterReport,
        "event": Event,
        "assign": Assign,
        "run-hooks": RunHooks,
        "seen": Seen,
    }
)
_NAMES: Final = MappingProxyType({kind: name for name, kind in _TYPES.items()})


def encode(message: Message) -> bytes:
    """Return the line for `message`, its line feed included."""
    return write_line(message, type=_NAMES[type(message)])


def decode(line: bytes) -> Message:
    """Return the message in `line`. Raises MessageError."""
    document = read_line(line)
    name = document.pop("type", None)
    kind = _TYPES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise MessageError(f"type: {name!r} is none of {', '.join(_TYPES)}")
    return cast("Message", read_dataclass(kind, document, str(name)))
