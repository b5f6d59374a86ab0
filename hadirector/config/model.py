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

from hadirector.config.addresses import join
from hadirector.connection_sync import ConnectionSync
from hadirector.drift import Drift
from hadirector.ipvs.model import (
    IPIP,
    Address,
    DestinationKey,
    Forward,
    Persistence,
    ServiceFlag,
    ServiceKey,
    Tunnel,
    VirtualAddress,
)
from hadirector.plan import Undeclared

if TYPE_CHECKING:  # the codec resolves these two when it needs them
    from checkers.base import CheckOptions, Timing
    from vrrp.config import RouterSettings, VirtualRouter

__all__ = ["Config", "HealthCheck", "Node", "Server", "Service"]


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
    """

    kind: str
    options: CheckOptions
    timing: Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A real server. `check` is None for a fallback server only: it is the last resort anyway.

    `forward` None: as its service says. `upper` and `lower` are connection thresholds, 0: none.
    """

    address: Address
    port: int
    weight: int = 1
    check: HealthCheck | None = None
    forward: Forward | None = None
    upper: int = 0
    lower: int = 0
    tunnel: Tunnel = IPIP

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
    fallback: Server | None = None
    quorum: int = 1
    persistence: Persistence | None = None
    flags: ServiceFlag = ServiceFlag.NONE
    drift: Drift = Drift.REPAIR
    slow_start: float = 0.0  # seconds
    also: tuple[ServiceKey, ...] = ()  # what it listens on besides

    @property
    def listens(self) -> tuple[ServiceKey, ...]:
        """All that it listens on, as written: at least one."""
        return (self.listen, *self.also)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole pair. `audit`: seconds between two comparisons of the kernel with this.

    `settings` are the kernel's (`ipvs.tuning`), by name; what is not there is not touched.
    `max_changes`: entries that one `apply` may change or remove; None: any number.
    """

    nodes: Mapping[str, Node]
    virtual_routers: tuple[VirtualRouter, ...]
    services: tuple[Service, ...]
    audit: float = 5.0
    settings: Mapping[str, str] = field(default_factory=dict)
    undeclared: Undeclared = Undeclared.REPORT
    max_changes: int | None = None
    connection_sync: ConnectionSync | None = None
