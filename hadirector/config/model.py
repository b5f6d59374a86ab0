"""The configuration as the program uses it: resolved, immutable, free of pydantic.

The problem: the file leaves much unsaid (defaults at the top, a check inherited by ten thousand
servers), while the director wants to look at one server and know all of it. The approach: `loader`
turns the file into these plain dataclasses once, with every default merged; `codec` carries
them to the director process as JSON. Nothing here reads a file, and nothing here may import
pydantic: the processes that only receive a configuration start faster without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hadirector.brake import Limits
from hadirector.config.addresses import join
from hadirector.connection_sync import ConnectionSync
from hadirector.drift import Drift
from hadirector.ipvs.model import (
    IPIP,
    Address,
    DestinationKey,
    FirewallMark,
    Forward,
    Persistence,
    ServiceFlag,
    ServiceKey,
    Tunnel,
    VirtualAddress,
)
from hadirector.leaving import OnStop
from hadirector.on_fail import OnFail
from hadirector.peer.settings import PeerSettings
from hadirector.plan import Undeclared
from hadirector.quorum import ONE_SERVER, Quorum
from hadirector.slow_start import AT_ONCE, SlowStart
from hadirector.steering import Steering

if TYPE_CHECKING:  # the codec resolves these when it needs them
    from checkers.options import CheckOptions
    from checkers.timing import Timing
    from hadirector.hooks import ServiceHook
    from vrrp.config import RouterSettings, VirtualRouter

__all__ = ["BrakeSettings", "Checks", "Config", "HealthCheck", "Node", "Server", "Service"]


@dataclass(frozen=True, slots=True)
class Node:
    """One director of the pair: its own address (VRRP's source) and its VRRP priority, 1 to 255.

    `own` are the virtual routers, by name, that it runs otherwise than the file says for all, whole
    and as it runs them. Ask `elections` for what holds; this is only where it differs.
    """

    address: Address
    priority: int
    own: Mapping[str, RouterSettings] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """What is asked of a real server, and how often.

    `kind` is a name in checkers.registry.KINDS and `options` an instance of that kind's options.
    `label` names it among several; an `advisory` one takes no server out.
    """

    kind: str
    options: CheckOptions
    timing: Timing
    label: str = ""
    advisory: bool = False


Checks = tuple[HealthCheck, ...]
"""Of one server: what is asked of it, with the names that `labels` gives."""


def labels(checks: Checks) -> tuple[str, ...]:
    """A name for each: its label, else its kind, with a number from the second of a kind on."""
    given: list[str] = []
    for check in checks:
        name, number = check.label or check.kind, 2
        while name in given:
            name, number = f"{check.label or check.kind}-{number}", number + 1
        given.append(name)
    return tuple(given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A real server. `check` is None for a fallback server only, which then counts as up.

    `more_checks` are those after the first, `require` how many must pass (0: all).
    `probe_mark`: of packets that the kernel is to send to this server alone; 0: there are none.
    `forward` None: as its service says. `upper` and `lower` are connection thresholds, 0: none.
    `on_fail`: what becomes of it while it is not up.
    """

    address: Address
    port: int
    weight: int = 1
    check: HealthCheck | None = None
    forward: Forward | None = None
    upper: int = 0
    lower: int = 0
    tunnel: Tunnel = IPIP
    more_checks: Checks = ()
    require: int = 0
    probe_mark: int = 0
    on_fail: OnFail = OnFail.REMOVE

    def __str__(self) -> str:
        """As written in the file."""
        return join(self.address, self.port)

    def behind(self, listen: ServiceKey) -> DestinationKey:
        """What the kernel calls it there: a server without a port has the one that clients use."""
        port = listen.port if isinstance(listen, VirtualAddress) else 0
        return DestinationKey(self.address, self.port or port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A virtual service, with every default merged in.

    The kernel has one service for each of `listens`; its servers and their checks are the same.
    """

    name: str
    listen: ServiceKey
    scheduler: str
    forward: Forward
    check: HealthCheck
    servers: tuple[Server, ...]
    fallbacks: tuple[Server, ...] = ()  # the first of them that is up serves in need
    quorum: Quorum = ONE_SERVER
    persistence: Persistence | None = None
    flags: ServiceFlag = ServiceFlag.NONE
    drift: Drift = Drift.REPAIR
    steering: Steering | None = None  # None: a weight that is asked for holds at once
    slow_start: SlowStart = AT_ONCE
    more_checks: Checks = ()
    require: int = 0

    @property
    def checked(self) -> tuple[Server, ...]:
        """All that are checked: the servers, and those fallback servers that have a check."""
        return (*self.servers, *(one for one in self.fallbacks if one.check is not None))

    def checks_of(self, server: Server) -> Checks:
        """Every check of a server of this service."""
        if server.check is None:
            return (self.check, *self.more_checks)
        return (server.check, *server.more_checks)

    def required_of(self, server: Server) -> int:
        """How many of them must pass; 0: all."""
        return self.require if server.check is None else server.require

    also: tuple[ServiceKey, ...] = ()  # what it listens on besides

    @property
    def listens(self) -> tuple[ServiceKey, ...]:
        """All that it listens on, as written: at least one."""
        return (self.listen, *self.also)

    @property
    def kernel_keys(self) -> tuple[ServiceKey, ...]:
        """All that the kernel has of it: what it listens on, and what its probes go through."""
        marks = (server.probe_mark for server in self.checked)
        version = self.listen.version
        return (*self.listens, *(FirewallMark(mark, version) for mark in marks if mark))


@dataclass(frozen=True, slots=True, kw_only=True)
class BrakeSettings:
    """The health-collapse brake. `control` has an address of its own: it is of no server."""

    limits: Limits
    control: HealthCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole pair. `audit`: seconds between two comparisons of the kernel with this.

    `workers`: processes that make the probes; 0: the director process does.
    `settings` are the kernel's (`ipvs.tuning`), by name; what is not there is not touched.
    `max_changes`: entries that one `apply` may change or remove; None: any number.
    `drain_removed`: seconds for which what left the file is waited for at most.
    """

    nodes: Mapping[str, Node]
    virtual_routers: tuple[VirtualRouter, ...]
    services: tuple[Service, ...]
    audit: float = 5.0
    workers: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    undeclared: Undeclared = Undeclared.REPORT
    max_changes: int | None = None
    drain_removed: float = 30.0
    connection_sync: ConnectionSync | None = None
    peer: PeerSettings | None = None
    brake: BrakeSettings | None = None
    hooks: tuple[ServiceHook, ...] = ()
    on_stop: OnStop = OnStop.KEEP

    @property
    def needs_ipvs(self) -> bool:
        """Whether it has anything to do with the kernel's IPVS."""
        removes = self.undeclared is Undeclared.REMOVE
        return bool(self.services or self.settings or self.connection_sync or removes)

    @property
    def balances(self) -> bool:
        """Whether it takes the whole director, as a peer channel does, too; if not: VRRP alone."""
        return self.needs_ipvs or self.peer is not None
