"""The whole library on real sockets: a server dies and comes back, silent ones delay nobody."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from checkers.base import Target
from checkers.check import Check
from checkers.health import State, Transition
from checkers.http import HttpOptions
from checkers.scheduler import Scheduler
from checkers.tcp import TcpOptions
from checkers.timing import Timing
from tests.checkers import servers

OK = servers.answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
FAST = Timing(interval=0.1, timeout=0.1, rise=2, fall=3)

pytestmark = pytest.mark.usefixtures("no_leak")


@asynccontextmanager
async def scheduling(
    checks: Mapping[str, Check],
) -> AsyncIterator[tuple[Scheduler, "asyncio.Queue[tuple[str, Transition]]"]]:
    told: asyncio.Queue[tuple[str, Transition]] = asyncio.Queue()
    scheduler = Scheduler(lambda key, transition: told.put_nowait((key, transition)))
    scheduler.update(checks)
    async with asyncio.TaskGroup() as group:
        group.create_task(scheduler.run())
        yield scheduler, told
        await scheduler.aclose()


def test_a_server_dies_and_comes_back() -> None:
    async def main() -> None:
        target = Target(servers.LOOPBACK, servers.free_port())
        checks = {
            "tcp": Check("tcp", target, TcpOptions(), FAST),
            "http": Check("http", target, HttpOptions(contains="ok"), FAST),
        }

        async def both() -> list[str]:
            """What is told next, once of each check."""
            transitions = dict([await told.get() for _ in checks])
            assert transitions.keys() == checks.keys()
            return [transition.sentence for transition in transitions.values()]

        async with asyncio.timeout(15), scheduling(checks) as (scheduler, told):
            for sentence in await both():
                assert sentence.startswith("the first check failed: connection refused (L4)")
            async with serving_at(target):
                for sentence in await both():
                    assert sentence.startswith("2 passes in a row, the last: ")
                assert set(scheduler.states().values()) == {State.UP}
            for sentence in await both():
                assert sentence.startswith("3 failures in a row, the last: connection refused (L4)")

    asyncio.run(main())


@asynccontextmanager
async def serving_at(target: Target) -> AsyncIterator[None]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await OK(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()  # the tcp check sends nothing

    server = await asyncio.start_server(answer, str(target.address), target.port)
    async with server:
        yield


def test_silent_servers_delay_nobody() -> None:
    async def main() -> None:
        with servers.full_backlog() as silent:
            async with servers.serving(OK) as good:
                checks = {
                    f"silent {number}": Check(f"silent {number}", silent, TcpOptions(), FAST)
                    for number in range(100)
                } | {"good": Check("good", good, HttpOptions(), Timing(interval=0.1, timeout=0.1))}
                async with asyncio.timeout(15), scheduling(checks) as (scheduler, _):
                    await scheduler.first_round.wait()
                    before, start = scheduler.view("good").passed, time.monotonic()
                    await asyncio.sleep(2.0)
                    view, seconds = scheduler.view("good"), time.monotonic() - start
                assert view.state is State.UP
                assert view.failed == 0
                assert view.passed - before >= 0.8 * seconds / 0.1
                assert scheduler.view("silent 7").state is State.DOWN

    asyncio.run(main())
