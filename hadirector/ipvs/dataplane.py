"""What the rest of hadirector may ask of a virtual server table, and how it can fail.

Two things satisfy ``Dataplane``: the kernel (``table.KernelTable``) and its twin in memory
(``memory.MemoryTable``). The same contract tests hold both to it.

A step that the kernel refuses is no exception: it is reported with its name, and the steps after
it are still done. An exception means that the table as a whole could not be reached, or that
nobody knows how much was done; then the remedy is always to read again and plan again.
"""

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from hadirector.ipvs.model import Forward, ServiceKey, Table, TunnelType
from hadirector.ipvs.steps import (
    AddDestination,
    AddService,
    DeleteDestination,
    DeleteService,
    SetDestination,
    SetService,
    Step,
)


class DataplaneError(Exception):
    """The table could not be read or written. ``remedy`` says what a person can do about it."""

    remedy = "look at the kernel's log"


class DataplaneAbsentError(DataplaneError):
    """This kernel has no IPVS, or its module cannot be loaded here."""

    remedy = "load it with `modprobe ip_vs`, or run on a kernel built with CONFIG_IP_VS"


class DataplaneForbiddenError(DataplaneError):
    """The kernel refuses us (EPERM)."""

    remedy = (
        "run as root, or with CAP_NET_ADMIN in the initial user namespace "
        "(a rootless container's does not count)"
    )


class DataplaneUnsureError(DataplaneError):
    """An answer was lost (time-out, ENOBUFS): some steps may be done, nobody knows which."""

    remedy = "read the table and plan again"


@dataclass(frozen=True, slots=True)
class Failure:
    """One step that the kernel refused; everything else in its plan was still done."""

    step: Step
    errno: int
    detail: str = ""

    @property
    def name(self) -> str:
        """The error by name, as in ``errno(3)``: "EEXIST"."""
        return errno.errorcode.get(self.errno, f"errno {self.errno}")

    def __str__(self) -> str:
        reason = _reason(self.step, self.errno)
        told = f" ({self.detail})" if self.detail else ""
        return f"could not {self.step}: {self.name}, {reason}{told}"


@dataclass(frozen=True, slots=True)
class AppliedReport:
    """What became of a plan: how many steps the kernel did, and those it refused."""

    applied: int
    failures: tuple[Failure, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every step was done."""
        return not self.failures


class Dataplane(Protocol):
    """One virtual server table. For one task at a time."""

    async def read(self, *, traffic: bool = False) -> Table:
        """The table as it is, with connection counters; ``traffic`` adds totals and rates.

        Raises ``DataplaneError``.
        """

    async def read_services(self, keys: Iterable[ServiceKey]) -> Table:
        """The part of the table that these services are, as far as they are there, with connection
        counters; what it costs does not grow with the table. Raises ``DataplaneError``.
        """

    async def apply(self, steps: Iterable[Step]) -> AppliedReport:
        """Do the steps in order. Raises ``DataplaneError`` when it is unknown how far it came."""

    async def keys(self) -> frozenset[ServiceKey] | None:
        """What its services listen on, without their servers; None: there are some that nobody
        here can express. Raises ``DataplaneError``.
        """

    async def flush(self) -> None:
        """Remove every service at once, whoever made it. Raises ``DataplaneError``."""

    def close(self) -> None:
        """Give back what it holds; the next use takes it again."""


def _reason(step: Step, code: int) -> str:
    """What this errno means for this step (net/netfilter/ipvs/ip_vs_ctl.c)."""
    on_service = isinstance(step, AddService | SetService | DeleteService)
    match code:
        case errno.EEXIST:
            return "it is there already"
        case errno.ESRCH:
            return "there is no such service"
        case errno.ENOENT if isinstance(step, AddService | SetService):
            return _missing_module(step)
        case errno.ENOENT if isinstance(step, SetDestination | DeleteDestination):
            return "the service has no such server"
        case errno.ERANGE if isinstance(step, AddDestination | SetDestination):
            return "negative weight, or lower threshold above the upper one"
        case errno.EINVAL if isinstance(step, AddDestination | SetDestination):
            return _impossible_server(step)
        case errno.EINVAL if on_service:
            return "the kernel finds a property impossible (netmask, scheduler option)"
    return f"refused by the kernel: {os.strerror(code).lower()}"


def _impossible_server(step: AddDestination | SetDestination) -> str:
    server = step.destination
    if server.key.address.version != step.key.version and server.forward is not Forward.TUN:
        return "a server of the other IP version is reached by tun only"
    if server.key.address.version != step.key.version:
        return "a server of the other IP version is refused while a sync daemon runs"
    if server.tunnel.type is TunnelType.GUE and server.tunnel.port == 0:
        return "a gue tunnel needs a port"
    # Seen live: where no IPv4 address is configured at all, every address counts as broadcast.
    return "its address is not a unicast one, or this host has no address of that IP version"


def _missing_module(step: AddService | SetService) -> str:
    service = step.service
    words = f"this kernel has no scheduler {service.scheduler!r}"
    if service.persistence is not None and service.persistence.engine:
        words += f" or no persistence engine {service.persistence.engine!r}"
    return words
