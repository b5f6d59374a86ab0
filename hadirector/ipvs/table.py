"""The kernel's virtual server table: read it, and do the steps of a plan to it.

The problem: writes must be fast, refusals must be told with the thing they belong to, and nobody
may believe a table that was only half read or half written.

The approach: the codec (``messages``) on a netlink socket (``netlink``), in batches. A refused step
is reported and the others go on; what leaves the state unknown is a ``DataplaneError``, after
which the caller reads and plans again. The kernel answers ENOENT both for an unknown scheduler and
when its IPVS module has gone; asking for the family again tells them apart.

Never: a decision about what the table should be; a retry.
"""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

from hadirector import host
from hadirector.garbage import without_collection
from hadirector.ipvs import control, messages
from hadirector.ipvs.dataplane import (
    AppliedReport,
    DataplaneAbsentError,
    DataplaneError,
    DataplaneForbiddenError,
    DataplaneUnsureError,
    Failure,
)
from hadirector.ipvs.messages import InexpressibleError
from hadirector.ipvs.model import (
    Counters,
    Destination,
    DestinationKey,
    Entry,
    Forward,
    Protocol,
    Service,
    ServiceKey,
    Table,
    Traffic,
    VirtualAddress,
)
from hadirector.ipvs.modules import schedulers, told
from hadirector.ipvs.netlink import (
    ANSWER_TIMEOUT_S,
    BATCH_MAX,
    AnswerLostError,
    FamilyAbsentError,
    GenericNetlink,
    RefusedError,
)
from hadirector.ipvs.steps import AddDestination, AddService, SetDestination, SetService, Step
from hadirector.ipvs.wire import WireError

FTP_HELPER = "ip_vs_ftp"
"""The kernel loads schedulers and engines when it needs them, but this module it waits for."""
FTP_PORT = 21

_PER_TURN = 64  # services and servers; then other tasks get a turn, as no answer is waited for


class KernelTable:
    """The ``Dataplane`` of the network namespace in which it is first used."""

    def __init__(self, *, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._netlink = GenericNetlink(messages.FAMILY_NAME, timeout_s=timeout_s)
        self._ftp_helped = False

    async def read(self, *, traffic: bool = False) -> Table:
        """The table as it is, with connection counters; ``traffic`` adds totals and rates.

        Raises ``DataplaneError``.
        """
        oddities: list[str] = []
        with without_collection():
            entries = {
                entry.service.key: entry  # by key: a dump may repeat itself
                async for entry in self.entries(oddities, traffic=traffic)
            }
        return Table(entries, tuple(oddities))

    async def read_services(self, keys: Iterable[ServiceKey]) -> Table:
        """Two exchanges for each of these services, however many others there are.

        Raises ``DataplaneError``.
        """
        oddities: list[str] = []
        entries: dict[ServiceKey, Entry] = {}
        read = 0
        for key in keys:
            with translated(str(key)):
                try:
                    payload = await self._netlink.ask(messages.get_service(key))
                    service, totals = messages.decode_service(payload, traffic=False)
                except RefusedError as error:
                    if error.errno == errno.ESRCH:
                        continue
                    raise
                except InexpressibleError as oddity:
                    oddities.append(str(oddity))
                    continue
            with translated(f"the servers of {key}"):
                entries[key] = await self._entry(service, totals, oddities)
            read += 1 + len(entries[key].destinations)
            if read >= _PER_TURN:
                read = 0
                await asyncio.sleep(0)
        return Table(entries, tuple(oddities))

    async def entries(self, oddities: list[str], *, traffic: bool = False) -> AsyncIterator[Entry]:
        """One service after the other, for whoever cannot hold a large table.

        What our values cannot express is told in ``oddities``. Raises ``DataplaneError``.
        """
        with translated():
            dumped = await self._netlink.dump(messages.get_services())
        dumped.reverse()
        read = 0
        while dumped:  # decoded and let go one by one: of thousands, it takes a while
            with translated():
                try:
                    service, totals = messages.decode_service(dumped.pop(), traffic=traffic)
                except InexpressibleError as oddity:
                    oddities.append(str(oddity))
                    continue
            with translated(f"the servers of {service.key}"):
                entry = await self._entry(service, totals, oddities)
            yield entry
            read += 1 + len(entry.destinations)
            if read >= _PER_TURN:
                read = 0
                await asyncio.sleep(0)

    async def apply(self, steps: Iterable[Step]) -> AppliedReport:
        """Do the steps in order. Raises ``DataplaneError`` when it is unknown how far it came."""
        applied = 0
        failures: list[Failure] = []
        remaining = iter(steps)
        while batch := list(islice(remaining, BATCH_MAX)):
            if not self._ftp_helped and any(_needs_ftp_helper(step) for step in batch):
                self._ftp_helped = True
                await asyncio.to_thread(host.load_modules, FTP_HELPER)
            answers = await self._execute(batch)
            refused = [
                Failure(step, code, words)
                for step, (code, words) in zip(batch, answers, strict=True)
                if code
            ]
            if any(failure.errno == errno.EPERM for failure in refused):
                raise DataplaneForbiddenError("the kernel refuses to change IPVS (EPERM)")
            if any(failure.errno == errno.ENOENT for failure in refused):
                await self._confirm_family()
                refused = [_with_schedulers(failure) for failure in refused]
            applied += len(batch) - len(refused)
            failures += refused
            await asyncio.sleep(0)
        return AppliedReport(applied, tuple(failures))

    async def keys(self) -> frozenset[ServiceKey] | None:
        """What its services listen on, by one dump; None: some cannot be expressed.

        Raises ``DataplaneError``.
        """
        with translated():
            try:
                dumped = await self._netlink.dump(messages.get_services())
                return frozenset(messages.decode_service(each)[0].key for each in dumped)
            except InexpressibleError:
                return None

    async def flush(self) -> None:
        """Remove every service at once, whoever made it. Raises ``DataplaneError``."""
        with translated():
            [(code, words)] = await self._netlink.execute([control.flush()])
        if code == errno.EPERM:
            raise DataplaneForbiddenError("the kernel refuses to change IPVS (EPERM)")
        if code:
            raise DataplaneError(f"could not remove every service: {os.strerror(code)} {words}")

    async def info(self) -> messages.Info:
        """Version and connection table size of this kernel's IPVS. Raises ``DataplaneError``."""
        with translated():
            return messages.decode_info(await self._netlink.ask(messages.get_info()))

    def close(self) -> None:
        """Give the socket back; the next use opens another."""
        self._netlink.close()

    async def _execute(self, batch: list[Step]) -> list[tuple[int, str]]:
        """The kernel's answer to each step of a batch."""
        try:
            with translated():
                return await self._netlink.execute([messages.encode(step) for step in batch])
        except DataplaneUnsureError as error:
            more = f" and {len(batch) - 1} more" if len(batch) > 1 else ""
            told = f"{error}; not known to be done: {batch[0]}{more}"
            raise DataplaneUnsureError(told) from error

    async def _entry(self, service: Service, totals: Traffic | None, oddities: list[str]) -> Entry:
        destinations: dict[DestinationKey, Destination] = {}
        counters: dict[DestinationKey, Counters] = {}
        version = service.key.version
        for payload in await self._netlink.dump(messages.get_destinations(service.key)):
            try:
                destination, counted = messages.decode_destination(
                    payload, version=version, traffic=totals is not None
                )
            except InexpressibleError as oddity:
                oddities.append(f"{service.key}: {oddity}")
                continue
            destinations[destination.key] = destination
            counters[destination.key] = counted
        return Entry(service, destinations, counters, totals)

    async def _confirm_family(self) -> None:
        """After an ENOENT: raises unless the IPVS we spoke to is still there."""
        before = self._netlink.family
        with translated():
            if await self._netlink.resolve() != before:
                raise DataplaneUnsureError("the IPVS module was loaded anew meanwhile")


def _needs_ftp_helper(step: Step) -> bool:
    """Whether the data connections of clients would be lost without it (ip_vs_ftp.c: port 21)."""
    return (
        isinstance(step, AddDestination | SetDestination)
        and isinstance(step.key, VirtualAddress)
        and (step.key.protocol, step.key.port) == (Protocol.TCP, FTP_PORT)
        and step.destination.forward is Forward.NAT
    )


def modules_for(steps: Iterable[Step]) -> frozenset[str]:
    """The kernel's modules without which these steps cannot be done."""
    needed = set()
    for step in steps:
        if _needs_ftp_helper(step):
            needed.add(FTP_HELPER)
        if isinstance(step, AddService | SetService):
            needed.add(f"ip_vs_{step.service.scheduler}")
            persistence = step.service.persistence
            if persistence is not None and persistence.engine:
                needed.add(f"ip_vs_pe_{persistence.engine}")
    return frozenset(needed)


def _with_schedulers(failure: Failure) -> Failure:
    """A scheduler that is not there, with the list of those that are."""
    if failure.errno != errno.ENOENT or not isinstance(failure.step, AddService | SetService):
        return failure
    if failure.step.service.scheduler in schedulers():
        return failure
    return replace(failure, detail=told())


@contextmanager
def translated(what: str = "its table") -> Iterator[None]:
    """Netlink's errors as those of a dataplane; ``what`` was to be read."""
    try:
        yield
    except FamilyAbsentError as error:
        raise DataplaneAbsentError(str(error)) from error
    except AnswerLostError as error:
        raise DataplaneUnsureError(str(error)) from error
    except WireError as error:
        raise DataplaneError(
            f"the kernel's answer about {what} is not understood: {error}"
        ) from error
    except RefusedError as error:
        if error.errno == errno.EPERM:
            raise DataplaneForbiddenError("the kernel refuses to show IPVS (EPERM)") from error
        raise DataplaneError(f"the kernel refuses to show {what}: {error}") from error
