"""A change of health costs a few exchanges with the kernel, whatever the table's size.

How it works: the reconciler keeps a table of 1,000 servers in the real kernel; every exchange on
the netlink socket is counted while one server goes down and comes back.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from hadirector import pool
from hadirector.departures import Drain
from hadirector.drains import LOOK
from hadirector.ipvs.model import Protocol, VirtualAddress
from hadirector.ipvs.netlink import GenericNetlink
from hadirector.ipvs.table import KernelTable
from hadirector.ipvs.wire import Frame
from hadirector.journal import Journal
from hadirector.reconciler import HEALTH, Changes, Reconciler
from tests.hadirector.test_pool import WEB, server
from tests.kernel.ipvs_namespace import fresh_network

EXCHANGES_MAX = 3
SERVICES, SERVERS = 20, 50


@pytest.fixture
def kernel() -> Iterator[KernelTable]:
    with fresh_network():
        table = KernelTable()
        yield table
        table.close()


@pytest.mark.asyncio
async def test_one_server_of_a_thousand(
    kernel: KernelTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = GenericNetlink._exchange
    exchanges = 0

    async def counted(
        self: GenericNetlink, message: bytes, sequences: range, finished: Callable[[Frame], bool]
    ) -> None:
        nonlocal exchanges
        exchanges += 1
        await exchange(self, message, sequences, finished)

    monkeypatch.setattr(GenericNetlink, "_exchange", counted)
    servers = tuple(server(last) for last in range(1, SERVERS + 1))
    services = [
        replace(
            WEB,
            name=f"web{port}",
            listen=VirtualAddress(Protocol.TCP, ip_address("192.0.2.100"), port),
            servers=servers,
        )
        for port in range(1, SERVICES + 1)
    ]
    pools = [pool.everything_up(service) for service in services]
    fewer = [pool.everything_up(replace(services[0], servers=servers[1:])), *pools[1:]]
    reconciler = Reconciler(kernel, Journal(None))
    await reconciler.turn("start", pools)
    for wanted, sentence in ((fewer, "remove 1 server"), (pools, "add 1 server")):
        exchanges = 0
        turn = await reconciler.turn(HEALTH, wanted, changes=Changes((wanted[0],)))
        assert (turn.sentence, turn.failures) == (f"health: {sentence}", ())
        assert exchanges <= EXCHANGES_MAX
    assert (await reconciler.turn("audit", pools)).drift == ()
    assert exchanges > SERVICES
    # What left the file is looked at again and again: the services concerned alone are read.
    left = await reconciler.turn("reload", fewer, changes=Changes((fewer[0],)), drain=Drain(60.0))
    assert left.sentence == "reload: change 1 server"
    leaving = {one.service for one in reconciler.leaving()}
    assert leaving == {services[0].listen}
    exchanges = 0
    await reconciler.look(leaving)
    turn = await reconciler.turn(
        LOOK, fewer, changes=Changes(), looked_at=leaving, drain=Drain(60.0)
    )
    assert turn.sentence == f"{LOOK}: remove 1 server"  # nobody was connected to it
    assert exchanges <= EXCHANGES_MAX
    assert (await reconciler.turn("audit", fewer)).steps == ()
