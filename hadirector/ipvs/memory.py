"""The kernel's virtual server table, in memory: for unit tests, and wherever no kernel is at hand.

The twin gives the kernel's own answers, error by error, to the steps it is handed (checked in the
order of ``ip_vs_genl_set_cmd``, net/netfilter/ipvs/ip_vs_ctl.c); the contract tests that run
against the kernel run against it too.

Never: an answer the kernel was not seen to give.
"""

import errno
from collections.abc import Collection, Iterable

from hadirector.ipvs.dataplane import AppliedReport, Failure
from hadirector.ipvs.messages import Info
from hadirector.ipvs.model import (
    Address,
    Counters,
    Destination,
    DestinationKey,
    Entry,
    Forward,
    Persistence,
    Service,
    ServiceKey,
    Table,
    TunnelType,
)
from hadirector.ipvs.steps import (
    AddDestination,
    AddService,
    DeleteDestination,
    DeleteService,
    SetDestination,
    SetService,
    Step,
)

SCHEDULERS = frozenset(
    ["none", "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"]
)
"""What a stock Linux 6.1 has; a service with `none` has servers but chooses none of them."""

ENGINES = frozenset({"sip"})

_DONE = 0


class MemoryTable:
    """A ``Dataplane`` without a kernel. ``writes`` counts the steps it was asked to do."""

    def __init__(self, table: Table | None = None, *, schedulers: Collection[str] = SCHEDULERS):
        self._schedulers = schedulers
        self._services: dict[ServiceKey, Service] = {}
        self._destinations: dict[ServiceKey, dict[DestinationKey, Destination]] = {}
        for key, entry in (table or Table()).items():
            self._services[key] = entry.service
            self._destinations[key] = dict(entry.destinations)
        self.writes = 0

    @property
    def table(self) -> Table:
        """The table as it is now; later steps do not change the value returned."""
        return Table({key: self._entry(key) for key in self._services})

    def step(self, step: Step) -> int:
        """Do one step; the errno of the kernel's answer, 0 when done."""
        self.writes += 1
        match step:
            case AddService(service):
                return self._add_service(service)
            case _ if step.key not in self._services:
                return errno.ESRCH
            case SetService(service):
                return self._put_service(service)
            case DeleteService():
                del self._services[step.key], self._destinations[step.key]
                return _DONE
            case AddDestination(key, destination):
                return self._add_destination(key, destination)
            case SetDestination(key, destination):
                return self._set_destination(key, destination)
            case DeleteDestination(key, before):
                gone = self._destinations[key].pop(before.key, None)
                return errno.ENOENT if gone is None else _DONE

    async def read(self, *, traffic: bool = False) -> Table:
        """The table; all its counters are zero, and ``traffic`` changes nothing."""
        return self.table

    async def read_services(self, keys: Iterable[ServiceKey]) -> Table:
        """The part of the table that these services are."""
        return (await self.read()).only(keys)

    async def apply(self, steps: Iterable[Step]) -> AppliedReport:
        """Do the steps in order and report those refused."""
        applied = 0
        failures: list[Failure] = []
        for step in steps:
            code = self.step(step)
            if code == _DONE:
                applied += 1
            else:
                failures.append(Failure(step, code))
        return AppliedReport(applied, tuple(failures))

    async def keys(self) -> frozenset[ServiceKey] | None:
        """What the services listen on."""
        return frozenset(self.table)

    async def info(self) -> Info:
        """Those of a stock Linux 6.1."""
        return Info((1, 2, 1), 4096)

    async def flush(self) -> None:
        """Remove every service."""
        for entry in list(self.table.values()):
            self.step(DeleteService(entry))

    def close(self) -> None:
        """Nothing to give back."""

    def _entry(self, key: ServiceKey) -> Entry:
        destinations = dict(self._destinations[key])
        return Entry(self._services[key], destinations, dict.fromkeys(destinations, Counters()))

    def _add_service(self, service: Service) -> int:
        if service.key in self._services:
            return errno.EEXIST
        code = self._put_service(service)
        if code == _DONE:
            self._destinations[service.key] = {}
        return code

    def _put_service(self, service: Service) -> int:
        kept = service.persistence or Persistence(0)
        if service.scheduler not in self._schedulers:
            return errno.ENOENT
        if kept.engine and kept.engine not in ENGINES:
            return errno.ENOENT
        prefix = kept.netmask if service.key.version == 6 else None
        if prefix is not None and not 1 <= prefix <= 128:
            return errno.EINVAL
        self._services[service.key] = service
        return _DONE

    def _add_destination(self, key: ServiceKey, destination: Destination) -> int:
        return (
            _refusal(key, destination)
            or (errno.EEXIST if destination.key in self._destinations[key] else _DONE)
            or (_DONE if _is_server_address(destination.key.address) else errno.EINVAL)
            or self._put_destination(key, destination)
        )

    def _set_destination(self, key: ServiceKey, destination: Destination) -> int:
        return (
            _refusal(key, destination)
            or (_DONE if destination.key in self._destinations[key] else errno.ENOENT)
            or self._put_destination(key, destination)
        )

    def _put_destination(self, key: ServiceKey, destination: Destination) -> int:
        self._destinations[key][destination.key] = destination
        return _DONE


def _refusal(key: ServiceKey, destination: Destination) -> int:
    """What the kernel says before it looks whether the server is there."""
    if destination.key.address.version != key.version and destination.forward is not Forward.TUN:
        return errno.EINVAL
    if destination.weight < 0 or destination.lower > destination.upper:
        return errno.ERANGE
    if destination.tunnel.type is TunnelType.GUE and destination.tunnel.port == 0:
        return errno.EINVAL
    return _DONE


def _is_server_address(address: Address) -> bool:
    """Whether the routing code would call this address unicast (or this host's own)."""
    if address.is_multicast or address.is_unspecified:
        return False
    if address.version == 4:
        return address.packed != b"\xff\xff\xff\xff"
    return not address.is_link_local
