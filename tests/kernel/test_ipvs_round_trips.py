"""A change of health costs a few exchanges with the kernel, whatever the table's size.

How it works: the reconciler keeps a table of 100 servers in the real kernel, then one of 10,000;
every exchange on the netlink socket is counted while one server goes down and comes back, and while
one that left the file is waited for. The counts must be the same for both.
"""

from collections.abc import Callable
from contextlib import closing
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
SERVERS = 50  # of each service


class Exchanges:
    """Counts what goes over any netlink socket of ours."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._count = 0
        exchange = GenericNetlink._exchange

        async def counted(
            netlink: GenericNetlink,
            message: bytes,
            sequences: range,
            finished: Callable[[Frame], bool],
        ) -> None:
            self._count += 1
            await exchange(netlink, message, sequences, finished)

        monkeypatch.setattr(GenericNetlink, "_exchange", counted)

    def since(self) -> int:
        """How many there were since this was asked last."""
        count, self._count = self._count, 0
        return count


@pytest.mark.asyncio
async def test_one_server_of_a_hundred_and_of_ten_thousand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exchanges = Exchanges(monkeypatch)
    counts = {}
    for services in (2, 200):
        with fresh_network(), closing(KernelTable()) as kernel:
            counts[services * SERVERS] = await changes_of_one_server(kernel, services, exchanges)
    assert counts[100] == counts[10_000], counts
    assert max(counts[100]) <= EXCHANGES_MAX, counts


async def changes_of_one_server(kernel: KernelTable, count: int, exchanges: Exchanges) -> list[int]:
    """How many exchanges each change of one server took, with so many services in the table."""
    servers = tuple(server(last) for last in range(1, SERVERS + 1))
    services = [
        replace(
            WEB,
            name=f"web{port}",
            listen=VirtualAddress(Protocol.TCP, ip_address("192.0.2.100"), port),
            servers=servers,
        )
        for port in range(1, count + 1)
    ]
    pools = [pool.everything_up(service) for service in services]
    lighter = replace(services[0], servers=(replace(servers[0], weight=7), *servers[1:]))
    other_weight = [pool.everything_up(lighter), *pools[1:]]
    fewer = [pool.everything_up(replace(services[0], servers=servers[1:])), *pools[1:]]
    reconciler = Reconciler(kernel, Journal(None))
    await reconciler.turn("start", pools)
    counts = []
    for wanted, sentence in (
        (other_weight, "change 1 server"),
        (fewer, "remove 1 server"),
        (pools, "add 1 server"),
    ):
        exchanges.since()
        turn = await reconciler.turn(HEALTH, wanted, changes=Changes((wanted[0],)))
        assert (turn.sentence, turn.failures) == (f"health: {sentence}", ())
        counts.append(exchanges.since())
    assert (await reconciler.turn("audit", pools)).drift == ()
    assert exchanges.since() > count
    # What left the file is looked at again and again: the services concerned alone are read.
    left = await reconciler.turn("reload", fewer, changes=Changes((fewer[0],)), drain=Drain(60.0))
    assert left.sentence == "reload: change 1 server"
    leaving = {one.service for one in reconciler.leaving()}
    assert leaving == {services[0].listen}
    exchanges.since()
    await reconciler.look(leaving)
    turn = await reconciler.turn(
        LOOK, fewer, changes=Changes(), looked_at=leaving, drain=Drain(60.0)
    )
    assert turn.sentence == f"{LOOK}: remove 1 server"  # nobody was connected to it
    counts.append(exchanges.since())
    assert (await reconciler.turn("audit", fewer)).steps == ()
    return counts
