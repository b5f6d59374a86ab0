"""Asking over HTTP without a task: large requests, deadlines and errors, under a scheduler."""

import asyncio
import errno
import os
import socket

import pytest

from checkers import asking, connecting, dial
from checkers.base import ProbeError, Reason, Result, Target
from checkers.check import Check
from checkers.http import HttpOptions
from checkers.https import HttpsOptions
from checkers.recording import Failure
from checkers.scheduler import Scheduler
from checkers.timing import Timing
from tests.checkers import servers

pytestmark = pytest.mark.usefixtures("no_leak")

PATIENCE_S = 20.0
LARGE = HttpOptions(method="POST", body="x" * 65_536)
FINE = servers.answering(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine")


async def ask(target: Target, options: HttpOptions, timeout_s: float = 5.0) -> Result:
    return await options.make_probe().probe(target, timeout_s)


async def takes_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"Content-Length: 65536\r\n" in head
    await reader.readexactly(65_536)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


@pytest.fixture
def _small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets that take a few kilobytes at a time."""

    def begin(target: Target, address: dial.SocketAddress) -> socket.socket:
        connection = dial.begin(target, address)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        return connection

    monkeypatch.setattr(connecting, "begin", begin)


@pytest.mark.usefixtures("_small_buffers")
def test_a_request_larger_than_the_buffer_is_sent_as_there_is_room() -> None:
    async def main() -> None:
        async with servers.serving(takes_slowly) as target:
            assert (await ask(target, LARGE)).healthy

    asyncio.run(main())


@pytest.mark.usefixtures("_small_buffers")
def test_an_answer_counts_before_the_request_is_taken() -> None:
    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await asyncio.Event().wait()

    async def main() -> None:
        async with servers.serving(refuses) as target:
            result = await ask(target, LARGE)
        assert result.sentence.startswith('status 413 "Too Large", expected 200-299 (L7) after ')

    asyncio.run(main())


def test_a_bug_of_ours_is_no_verdict_on_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> str:
        raise RuntimeError("oh")

    monkeypatch.setattr(asking, "judge", fails)

    async def main() -> None:
        async with servers.serving(FINE) as target:
            with pytest.raises(ProbeError, match="unexpected RuntimeError: oh"):
                await ask(target, HttpOptions())

    asyncio.run(main())


@pytest.mark.parametrize(
    ("number", "outcome", "sentence"),
    [
        (errno.ENOBUFS, ProbeError, "the connection to 127.0.0.1:80 cannot be used: no buffer"),
        (errno.ECONNRESET, Failure, "connection lost: connection reset by peer"),
        (errno.EHOSTUNREACH, Failure, "connection lost: no route to host"),
    ],
)
def test_whose_fault_a_lost_connection_is(
    number: int, outcome: type[Exception], sentence: str
) -> None:
    told = dial.lost(Target(servers.LOOPBACK, 80), OSError(number, os.strerror(number)))
    assert type(told) is outcome
    assert str(told).startswith(sentence)


def test_a_scheduler_asks_again_and_again_and_leaves_nothing_open() -> None:
    async def main() -> None:
        results: list[Result] = []
        enough = asyncio.Event()

        def count(_: str, result: Result) -> None:
            results.append(result)
            if len(results) == 6:
                enough.set()

        scheduler = Scheduler(lambda *_: None, count)
        timing = Timing(interval=0.2, timeout=0.2)
        async with servers.serving(FINE) as fine, servers.serving(servers.silent) as silent:
            scheduler.update(
                {
                    name: Check(name, target, HttpOptions(contains="fine", inverted=turned), timing)
                    for name, target, turned in (("a", fine, False), ("b", silent, True))
                }
            )
            running = asyncio.create_task(scheduler.run())
            async with asyncio.timeout(PATIENCE_S):
                await enough.wait()
            await scheduler.aclose()
            await running
        assert all(result.healthy for result in results)
        assert {result.sentence.partition(" in ")[0] for result in results} >= {"status 200"}
        assert any("(inverted): no answer (L7) after" in result.sentence for result in results)

    asyncio.run(main())


def test_a_deadline_says_how_far_it_got() -> None:
    async def main() -> None:
        with servers.full_backlog() as target:
            assert (await ask(target, HttpOptions(), 0.2)).reason is Reason.L4_TIMEOUT
        async with servers.serving(servers.silent) as target:
            assert (await ask(target, HttpOptions(), 0.2)).reason is Reason.L7_TIMEOUT

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "is_quick"),
    [
        (HttpOptions(path="/a", headers={"X": "y"}, body="x", method="POST"), True),
        (HttpOptions(path=("/a", "/b")), False),
        (HttpOptions(token="x"), False),
        (HttpOptions(username="x", password_file="/etc/x"), False),
        (HttpsOptions(), False),
    ],
)
def test_what_needs_no_task_has_none(options: HttpOptions, is_quick: bool) -> None:
    assert options.is_quick is is_quick
