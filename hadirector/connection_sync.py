"""Connection sync: which daemons the kernel should run here, and the steps that lead there.

The problem: the active director's kernel tells the backup's of its connections, so that they
survive its loss. The kernel has one daemon that sends and one that receives; both are started and
stopped only, never changed, and both may run at once. Who should send follows from VRRP, which
changes its mind at the worst moments.

The approach: a duty (send, receive, both, none) from the states of the virtual routers that are
followed; the daemons of that duty; and steps in an order that loses least: what runs with other
options is replaced first, then what is missing starts, and only then the superfluous stops. A
sender that is stopped throws away what it has not sent yet (``ip_vs_sync.c``: a datagram that is
not full leaves after 2 s, looked at every second), so whoever lost the active role goes on sending
for that long.

Never: I/O, a clock, or a daemon stopped that is not needed to be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Final

from annotated_types import MaxLen, MinLen, doc

from hadirector.ipvs.control import SYNC_GROUP, SYNC_PORT, Daemons, SyncDaemon, SyncRole
from hadirector.ipvs.model import Address
from vrrp.events import State

SYNC_WINDOW_S: Final = 3.0
"""From a connection's packet that is worth telling to the datagram that tells it, at most: a
datagram that is not full is kept for 2 s (IPVS_SYNC_FLUSH_TIME), and looked at every second."""

SETTINGS: Final[Mapping[str, str]] = {
    "sync_threshold": "0 0",
    "sync_refresh_period": "10",
    "sync_retries": "2",
    "sync_persist_mode": "0",
    "expire_nodest_conn": "0",
}
"""The kernel's settings with which connections survive, where the file says nothing else. Without
a period in packets, a connection is told of as soon as it stands, again after 1.25 s and 2.5 s
(nobody acknowledges), and then every 10 s while packets flow: the stock "3 50" tells of it at its
third packet only, and of a quiet one never again."""


BY_CLIENT: Final = frozenset({"sh", "mh"})
"""Schedulers that choose by the client's address: both directors choose the same server. Where all
TCP services have one of them, ``sloppy_tcp`` saves even the connections nobody was told of."""


class SyncDuty(StrEnum):
    """What the daemons of one director do."""

    ACTIVE = "active"
    BACKUP = "backup"
    BOTH = "both"
    NONE = "none"

    @property
    def roles(self) -> frozenset[SyncRole]:
        """The daemons it takes."""
        return _ROLES[self]

    def __str__(self) -> str:
        return self.value


_ROLES: Final = {
    SyncDuty.ACTIVE: frozenset({SyncRole.ACTIVE}),
    SyncDuty.BACKUP: frozenset({SyncRole.BACKUP}),
    SyncDuty.BOTH: frozenset(SyncRole),
    SyncDuty.NONE: frozenset[SyncRole](),
}
_DOES: Final = {
    SyncDuty.ACTIVE: "sends",
    SyncDuty.BACKUP: "receives",
    SyncDuty.BOTH: "sends and receives",
    SyncDuty.NONE: "neither sends nor receives",
}


class SyncMode(StrEnum):
    """Whether VRRP decides who sends."""

    FOLLOW = "follow"
    BOTH = "both"


class SyncStop(StrEnum):
    """What becomes of the daemons when ours stops."""

    RECEIVE = "receive"  # the next start finds the peer's connections
    KEEP = "keep"
    STOP = "stop"


INTERFACE_BYTES_MAX: Final = 15
"""IP_VS_IFNAME_MAXLEN - 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOfNode:
    """What differs on a director; all else the two must have alike to understand each other."""

    interface: Annotated[
        str,
        MinLen(1),
        MaxLen(INTERFACE_BYTES_MAX),
        doc("What this director calls the interface."),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSync:
    """How connections are synchronised, as the file says.

    `own`: directors that call the interface otherwise; `on` gives what holds on one.
    `follows`: names of virtual routers; where there are none, `duties` has each node's duty.
    `warm_up`: seconds for which a director that knows no connections listens before it preempts.
    """

    interface: str
    sync_id: int
    group: Address = SYNC_GROUP
    port: int = SYNC_PORT
    ttl: int = 1
    maxlen: int = 0
    follows: tuple[str, ...] = ()
    duties: Mapping[str, SyncDuty] = field(default_factory=dict)
    on_stop: SyncStop = SyncStop.RECEIVE
    warm_up: float = 15.0
    own: Mapping[str, SyncOfNode] = field(default_factory=dict)

    def on(self, node: str) -> ConnectionSync:
        """The same as a director does it."""
        own = self.own.get(node)
        return self if own is None else replace(self, interface=own.interface)

    def daemons(self, roles: Iterable[SyncRole]) -> Daemons:
        """The daemons of these roles."""
        return {
            role: SyncDaemon(
                role=role,
                interface=self.interface,
                sync_id=self.sync_id,
                maxlen=self.maxlen,
                group=self.group,
                port=self.port,
                ttl=self.ttl,
            )
            for role in sorted(roles)
        }

    def __str__(self) -> str:
        others = "".join(f" ({one.interface} on {name})" for name, one in self.own.items())
        return (
            f"on {self.interface}{others}, id {self.sync_id}, group {self.group} port {self.port}"
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """A duty and why; None: nobody knows yet, and what runs stays."""

    duty: SyncDuty | None
    because: str


def decide(sync: ConnectionSync, node: str, states: Mapping[str, State]) -> Decision:
    """What this node's daemons should do, by the states of the virtual routers as last heard."""
    if not sync.follows:
        duty = sync.duties[node]
        return Decision(duty, f"{_DOES[duty]}: so the file says for {node}")
    active = [name for name in sync.follows if states.get(name) is State.ACTIVE]
    silent = [n for n in sync.follows if states.get(n, State.INIT) is State.INIT]
    if silent:
        return Decision(None, f"left as it is: nothing is known of {', '.join(silent)}")
    if not active:
        return Decision(SyncDuty.BACKUP, f"receives: {', '.join(sync.follows)} not active here")
    if len(active) == len(sync.follows):
        return Decision(SyncDuty.ACTIVE, f"sends: {', '.join(active)} active here")
    others = ", ".join(name for name in sync.follows if name not in active)
    because = f"sends and receives: {', '.join(active)} active here, {others} elsewhere"
    return Decision(SyncDuty.BOTH, because)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncView:
    """How connection sync is, for those who ask."""

    decision: Decision
    since: float  # unix time of the last change of duty
    running: Daemons
    lingers: bool  # it goes on sending for a moment
    listened_since: float | None  # unix time; None: does not receive


@dataclass(frozen=True, slots=True)
class SyncStep:
    """Stop a daemon, start one, or both: that is how a daemon changes."""

    stop: SyncDaemon | None
    start: SyncDaemon | None

    def __str__(self) -> str:
        if self.stop is None:
            return f"start the {self.start}"
        if self.start is None:
            return f"stop the {self.stop}"
        if self.stop == self.start:
            return f"stop and start the {self.start}"
        return f"stop the {self.stop}; start the {self.start}"


def steps(wanted: Daemons, actual: Daemons, *, afresh: bool = False) -> tuple[SyncStep, ...]:
    """What leads from the daemons that run to those that are wanted, in a safe order.

    `afresh`: what runs is started again even where it matches, for settings that the kernel looks
    at only then.
    """
    replaced = [
        SyncStep(actual[role], daemon)
        for role, daemon in wanted.items()
        if role in actual and (afresh or not same(daemon, actual[role]))
    ]
    started = [SyncStep(None, daemon) for role, daemon in wanted.items() if role not in actual]
    stopped = [SyncStep(daemon, None) for role, daemon in actual.items() if role not in wanted]
    return (*replaced, *started, *stopped)


def same(wanted: SyncDaemon, actual: SyncDaemon) -> bool:
    """Whether a daemon runs as wanted; where nothing is asked, the kernel chose its `maxlen`."""
    if wanted.maxlen:
        return wanted == actual
    return wanted == SyncDaemon(
        role=actual.role,
        interface=actual.interface,
        sync_id=actual.sync_id,
        group=actual.group,
        port=actual.port,
        ttl=actual.ttl,
    )


def by_file_alone(sync: ConnectionSync, node: str | None, actual: Daemons) -> frozenset[SyncRole]:
    """The roles that can be known without VRRP: those that the file says, else those that run."""
    if sync.follows or node is None or node not in sync.duties:
        return frozenset(actual)
    return sync.duties[node].roles
