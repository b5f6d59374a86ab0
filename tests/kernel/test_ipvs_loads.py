"""The schedulers that look at load, with real connections: the kernel chooses as the models do.

Where tests/kernel/test_ipvs_schedulers.py sends datagrams, which the kernel counts as inactive,
here TCP connections are held open and let go, so that active and inactive ones differ.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from ipaddress import ip_address

import pytest

from hadirector.ipvs.loads import loaded
from hadirector.ipvs.locality import Locality
from hadirector.ipvs.model import DestinationKey, Entry, Protocol, VirtualAddress
from hadirector.ipvs.schedulers import choose
from hadirector.ipvs.table import KernelTable
from hadirector.lab.namespaces import inside
from tests.kernel.traffic import BOUND_S, VIP, Stage, standing, talk

SERVERS = {"198.51.100.21": 2, "198.51.100.22": 1, "198.51.100.23": 4}
SCHEDULERS = ("lc", "wlc", "sed", "nq", "fo", "ovf", "lblc", "lblcr")
CONNECTIONS = 16
CLIENT = DestinationKey(ip_address("192.0.2.250"), 0)  # none of these goes by the client


def service(scheduler: str, port: int) -> str:
    servers = ", ".join(f"{{address: {one}:8080, weight: {n}}}" for one, n in SERVERS.items())
    return (
        f"name: web, listen: 'tcp://{VIP}:{port}', scheduler: {scheduler}, forward: nat, "
        f"servers: [{servers}]"
    )


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with standing(tmp_path_factory.mktemp("loads"), [service("wlc", 80)], prefix="tl-") as stage:
        yield stage


def entry_of(stage: Stage, port: int, active: int) -> Entry:
    """The service once the kernel counts so many active connections; bounded."""
    deadline = time.monotonic() + BOUND_S
    while True:
        entry = _read(stage, port)
        if sum(each.active for each in entry.counters.values()) == active:
            return entry
        assert time.monotonic() < deadline, entry.counters
        time.sleep(0.01)


def _read(stage: Stage, port: int) -> Entry:
    async def read() -> Entry:
        with closing(KernelTable()) as kernel:
            table = await kernel.read()
        return table[VirtualAddress(Protocol.TCP, ip_address(VIP), port)]

    with inside(stage.director):
        return asyncio.run(read())


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_kernel_chooses_as_the_model(stage: Stage, scheduler: str) -> None:
    port = 9500 + SCHEDULERS.index(scheduler)
    stage.program(service(scheduler, port))
    state = Locality(replicated=scheduler == "lblcr") if scheduler.startswith("lblc") else None
    chosen: set[str] = set()
    active = 0
    with ExitStack() as kept:
        for number in range(CONNECTIONS):
            entry = entry_of(stage, port, active)
            if state is None:
                choice = choose(entry, CLIENT, ip_address(VIP))
                assert choice.exact
                expected, why = choice.server, choice.why
            else:
                server, why = state.next(loaded(entry), ip_address(VIP))
                expected = server.destination.key if server else None
            if expected is None:
                with pytest.raises(ConnectionRefusedError):
                    stage.connect(port)
                continue
            connection = kept.enter_context(closing(stage.connect(port)))
            name = talk(connection)
            assert (number, name) == (number, str(expected.address)), (why, entry.counters)
            chosen.add(name)
            active += 1
            if number % 5 == 4:
                connection.close()  # from now on it counts as inactive
                active -= 1
    assert len(chosen) == (1 if scheduler == "fo" else 3)
