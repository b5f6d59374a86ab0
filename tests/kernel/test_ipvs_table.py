"""The kernel's own table keeps the contract, and its faults are told by name.

How it works: each test has a network namespace to itself, and with it an IPVS table of its own.
"""

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hadirector.ipvs import netlink
from hadirector.ipvs.attributes import Command
from hadirector.ipvs.dataplane import (
    DataplaneAbsentError,
    DataplaneForbiddenError,
    DataplaneUnsureError,
)
from hadirector.ipvs.memory import SCHEDULERS
from hadirector.ipvs.messages import encode
from hadirector.ipvs.model import Entry, Protocol, Service, Table, VirtualAddress
from hadirector.ipvs.netlink import GenericNetlink
from hadirector.ipvs.steps import AddService, DeleteService
from hadirector.ipvs.table import KernelTable
from hadirector.ipvs.wire import Request
from tests.hadirector.ipvs.dataplane_contract import SERVICE, WEB, DataplaneContract, one
from tests.kernel.ipvs_namespace import fresh_network

NOBODY = 65534


@pytest.fixture
def kernel() -> Iterator[KernelTable]:
    with fresh_network():
        table = KernelTable()
        yield table
        table.close()


class TestKernelTable(DataplaneContract):
    @pytest.fixture
    def dataplane(self, kernel: KernelTable) -> KernelTable:
        return kernel


@pytest.mark.asyncio
async def test_the_kernel_tells_its_version_and_table_size(kernel: KernelTable) -> None:
    info = await kernel.info()
    assert info.version >= (1, 2, 1)
    assert info.connection_table_size >= 256


@pytest.mark.asyncio
@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
async def test_every_scheduler_is_loaded_when_needed(kernel: KernelTable, scheduler: str) -> None:
    assert (await kernel.apply([AddService(Service(WEB, scheduler))])).ok


@pytest.mark.asyncio
async def test_an_unknown_scheduler_is_named(kernel: KernelTable) -> None:
    await kernel.apply([AddService(SERVICE)])  # its scheduler is loaded from here on
    report = await kernel.apply([AddService(Service(replace(WEB, port=81), "absent"))])
    (failure,) = report.failures
    sentence, _, known = str(failure).partition(" (")  # there are, or loaded are: ...
    assert sentence == (
        "could not add service tcp 192.0.2.100:81, scheduler absent: "
        "ENOENT, this kernel has no scheduler 'absent'"
    )
    assert SERVICE.scheduler in known


@pytest.mark.asyncio
async def test_another_programs_strange_service_is_told_and_left_alone(
    kernel: KernelTable,
) -> None:
    await kernel.apply([AddService(SERVICE)])
    strange = encode(AddService(Service(VirtualAddress(Protocol.UDP, WEB.address, 7))))
    payload = strange.payload.replace(bytes([6, 0, 2, 0, 17]), bytes([6, 0, 2, 0, 47]))
    other = GenericNetlink("IPVS")
    await other.execute([Request(Command.NEW_SERVICE, payload)])
    other.close()
    table = await kernel.read()
    assert table == one(SERVICE)
    assert table.oddities == ("service 192.0.2.100 port 7 has IP protocol 47",)


@pytest.mark.asyncio
async def test_lost_answers_are_no_success(
    kernel: KernelTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a receive buffer for a few answers only, a batch of refusals overruns it."""
    connect = netlink._connect

    def connect_small() -> socket.socket:
        connection = connect()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        return connection

    monkeypatch.setattr(netlink, "_connect", connect_small)
    keys = [VirtualAddress(Protocol.TCP, WEB.address, port) for port in range(1, 129)]
    with pytest.raises(DataplaneUnsureError, match="No buffer space"):
        await kernel.apply(DeleteService(Entry(Service(key), {})) for key in keys)
    monkeypatch.undo()
    assert await kernel.read() == Table()


def test_without_privilege_the_remedy_is_told(kernel: KernelTable) -> None:
    """In a child, since a process that has given its privilege away cannot take it back."""
    child = os.fork()
    if child == 0:
        os._exit(_forbidden_as_nobody())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _forbidden_as_nobody() -> int:
    """The exit status of the child: 0 when every use of the table was forbidden by name."""
    os.setgroups([])
    os.setuid(NOBODY)
    table = KernelTable()
    for use in (table.read(), table.apply([AddService(SERVICE)]), table.info()):
        try:
            asyncio.run(_awaited(use))
            return 1
        except DataplaneForbiddenError as error:
            if "CAP_NET_ADMIN" not in error.remedy:
                return 2
    return 0


async def _awaited(use: Awaitable[object]) -> None:
    await use


class Module:
    """The kernel's IPVS module, taken away and made loadable again."""

    def __init__(self) -> None:
        self._loader = Path("/proc/sys/kernel/modprobe")
        self._before = self._loader.read_text()

    def unload(self) -> None:
        """Take all of IPVS out of the kernel, and let nothing load it."""
        self._loader.write_text("/bin/false")
        deadline = time.monotonic() + 10
        while Path("/proc/net/ip_vs").exists():  # namespaces of other tests are still going
            modules = Path("/proc/modules").read_text()
            assert time.monotonic() < deadline, modules
            names = [line.split()[0] for line in modules.splitlines() if line.startswith("ip_vs")]
            names.sort(key=len, reverse=True)  # the schedulers use ip_vs itself
            subprocess.run(["rmmod", *names], check=False, capture_output=True)

    def allow(self) -> None:
        """Let the kernel load it when it is next asked for."""
        self._loader.write_text(self._before)


@pytest.fixture
def module() -> Iterator[Module]:
    if "User Mode Linux" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("unloads the IPVS modules, which a host's own kernel may be using")
    module = Module()
    yield module
    module.allow()


@pytest.mark.asyncio
async def test_a_kernel_without_ipvs_is_told_from_an_unknown_scheduler(
    kernel: KernelTable, module: Module
) -> None:
    assert await kernel.read() == Table()
    module.unload()
    fresh = KernelTable()
    uses: list[Callable[[], Awaitable[object]]] = [
        lambda: kernel.apply([AddService(SERVICE)]),
        kernel.read,
        fresh.read,
        lambda: fresh.apply([AddService(SERVICE)]),
    ]
    for use in uses:
        with pytest.raises(DataplaneAbsentError, match="no IPVS") as caught:
            await use()
        assert "modprobe ip_vs" in caught.value.remedy
    fresh.close()


@pytest.mark.asyncio
async def test_ipvs_loaded_anew_meanwhile_means_read_again(
    kernel: KernelTable, module: Module
) -> None:
    assert await kernel.read() == Table()
    module.unload()
    module.allow()
    with pytest.raises(DataplaneUnsureError, match="loaded anew"):
        await kernel.apply([AddService(SERVICE)])
    assert (await kernel.apply([AddService(SERVICE)])).ok
