"""The check `tcp` with `hold`: a process that ends is seen at once, an idle timeout is none."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from checkers.base import Reason, Result, Target
from checkers.check import Check
from checkers.health import State, Transition
from checkers.scheduler import Scheduler
from checkers.tcp import TcpOptions
from checkers.timing import Timing
from tests.checkers import servers

pytestmark = pytest.mark.usefixtures("no_leak")

PATIENCE_S = 20.0
SELDOM = Timing(interval=600, timeout=1, rise=2, fall=3)
"""One probe at the start, and none in turn within a test."""


class Server:
    """A listener, and the connections it took."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.target = Target(servers.LOOPBACK, self.listener.getsockname()[1])
        self.taken: list[socket.socket] = []

    async def take(self) -> socket.socket:
        """The next connection."""
        async with asyncio.timeout(PATIENCE_S):
            taken, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        self.taken.append(taken)
        return taken

    def die(self) -> None:
        """As a kernel closes what a process had open: the connections, and the listener."""
        self.listener.close()
        for taken in self.taken:
            taken.close()


class Watch:
    """A scheduler with one check, and what it told."""

    def __init__(self, server: Server, timing: Timing, *, hold: bool = True) -> None:
        self.transitions: asyncio.Queue[Transition] = asyncio.Queue()
        self.results: list[Result] = []
        self.scheduler = Scheduler(
            lambda _, transition: self.transitions.put_nowait(transition),
            lambda _, result: self.results.append(result),
        )
        self.scheduler.update({"a": Check("a", server.target, TcpOptions(hold=hold), timing)})

    async def next(self) -> Transition:
        async with asyncio.timeout(PATIENCE_S):
            return await self.transitions.get()


@asynccontextmanager
async def watched(timing: Timing = SELDOM) -> AsyncIterator[tuple[Server, Watch]]:
    server = Server()
    watch = Watch(server, timing)
    running = asyncio.create_task(watch.scheduler.run())
    try:
        assert (await watch.next()).after is State.UP
        await server.take()
        yield server, watch
    finally:
        await watch.scheduler.aclose()
        await running
        server.die()


@pytest.mark.parametrize("resets", [False, True], ids=["FIN", "RST"])
def test_a_process_that_ends_is_out_at_once_whatever_fall_says(resets: bool) -> None:
    async def main() -> None:
        async with watched() as (server, watch):
            if resets:
                linger = b"\1\0\0\0\0\0\0\0"  # close(2) then sends RST
                server.taken[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            server.die()
            transition = await watch.next()
        assert transition.after is State.DOWN
        assert transition.result.reason is Reason.L4_REFUSED
        assert transition.sentence.startswith(
            "1 failure: held connection lost, new one: connection refused (L4) after "
        )

    asyncio.run(main())


def test_a_connection_that_the_server_closes_is_made_again_and_nothing_told() -> None:
    async def main() -> None:
        async with watched() as (server, watch):
            for _ in range(4):
                server.taken[-1].close()
                await server.take()
            assert [result.healthy for result in watch.results] == [True]
            server.die()
            assert (await watch.next()).after is State.DOWN

    asyncio.run(main())


def test_a_server_that_closes_at_once_is_not_asked_again_and_again() -> None:
    async def main() -> None:
        async with watched() as (server, watch):
            count = 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    while True:
                        server.taken[-1].close()
                        taken, _ = await asyncio.get_running_loop().sock_accept(server.listener)
                        server.taken.append(taken)
                        count += 1
            # At once, then after 10, 20, 40, 80, 160 ms; the next comes after 320 ms more.
            assert 1 <= count <= 6
            assert watch.transitions.empty()

    asyncio.run(main())


def test_each_probe_replaces_the_connection_that_is_held() -> None:
    async def main() -> None:
        async with watched(Timing(interval=0.2, timeout=0.2)) as (server, watch):
            for _ in range(3):
                await server.take()
            loop = asyncio.get_running_loop()
            for closed in server.taken[:2]:
                async with asyncio.timeout(PATIENCE_S):
                    assert await loop.sock_recv(closed, 1) == b""
            assert watch.results[-1].sentence.startswith("connected, and held in ")
            assert watch.transitions.empty()

    asyncio.run(main())


def test_what_is_checked_no_longer_is_held_no_longer() -> None:
    async def main() -> None:
        async with watched() as (server, watch):
            watch.scheduler.update({})
            async with asyncio.timeout(PATIENCE_S):
                assert await asyncio.get_running_loop().sock_recv(server.taken[0], 1) == b""
            assert watch.scheduler.in_flight == 0

    asyncio.run(main())


def test_a_transition_that_removes_other_checks_due_at_the_same_time_harms_nothing() -> None:
    async def main() -> None:
        scheduler: Scheduler
        told: list[str] = []

        def only_the_first_stays(key: str, _: Transition) -> None:
            told.append(key)
            scheduler.update({told[0]: checks[told[0]]})

        server = Server()
        timing = Timing(interval=0.2, timeout=0.2, spread=0)
        options = TcpOptions()
        checks = {
            str(port): Check(str(port), Target(servers.LOOPBACK, port), options, timing)
            for port in (server.target.port, *(servers.free_port() for _ in range(30)))
        }
        again = asyncio.Event()
        results: list[str] = []

        def count(key: str, _: Result) -> None:
            results.append(key)
            if results.count(told[0]) == 3:
                again.set()

        scheduler = Scheduler(only_the_first_stays, count)
        scheduler.update(checks)
        running = asyncio.create_task(scheduler.run())
        async with asyncio.timeout(PATIENCE_S):
            await again.wait()
        assert len(told) == 1
        assert set(results) == set(told)
        await scheduler.aclose()
        await running
        server.die()

    asyncio.run(main())
