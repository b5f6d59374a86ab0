"""The schedulers that look at load, with real connections: the kernel chooses as the models do.

Where tests/kernel/test_ipvs_schedulers.py sends datagrams, which the kernel counts as inactive,
here TCP connections are held open and let go, so that active and inactive ones differ.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from ipaddress import ip_address

import pytest

from hadirector.ipvs.loads import loaded
from hadirector.ipvs.locality import Locality
from hadirector.ipvs.model import DestinationKey, Entry, Protocol, VirtualAddress
from hadirector.ipvs.schedulers import choose
from hadirector.ipvs.table import KernelTable
from hadirector.lab.actors import start_actors
from hadirector.lab.namespaces import BuiltWorld, inside
from hadirector.lab.world import build_world
from tests.hadirector.config.samples import config_of
from tests.kernel.traffic import HEAD, VIP, Stage, talk
from tests.prerequisites import require

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
    require("ip")
    directory = tmp_path_factory.mktemp("loads")
    config = config_of(directory, f"{HEAD}services:\n  - {{{service('wlc', 80)}}}\n")
    with BuiltWorld(build_world(config, prefix="tl-")) as built:
        actors = start_actors(built.world.servers, directory)
        try:
            stage = Stage(built, directory)
            stage.make_active()
            yield stage
        finally:
            for actor in actors.values():
                actor.kill()


def entry_of(stage: Stage, port: int) -> Entry:
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
    with ExitStack() as kept:
        for number in range(CONNECTIONS):
            entry = entry_of(stage, port)
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
            if number % 5 == 4:
                with suppress(OSError):
                    connection.close()  # from now on it counts as inactive
    assert len(chosen) == (1 if scheduler == "fo" else 3)
