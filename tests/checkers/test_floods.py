"""A server that never lets a probe's socket run empty: bounded bytes, and a loop that goes on.

Each flood comes from a process or thread of its own, so that nothing in the probe's event loop
slows it down; beside each probe, a timer measures how long that loop was held.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
import trustme

from checkers import limits
from checkers.base import Reason, Result, Target
from checkers.datagram import ask
from checkers.grpc import GrpcOptions
from checkers.http import HttpOptions
from checkers.https import HttpsOptions
from checkers.imap import ImapOptions
from checkers.options import CheckOptions
from checkers.recording import Recording
from checkers.tcp import TcpOptions
from checkers.tls import TlsOptions
from tests.checkers.dialogues import NAME
from tests.checkers.servers import LOOPBACK

HELLO_REQUEST = bytes.fromhex("160303000400000000")
"""A record that a TLS client takes no notice of while it shakes hands (RFC 5246 7.4.1.1)."""
TIMEOUT_S = 0.4
HELD_MAX_S = 0.25
"""How long everybody else may wait at one go, on a machine that does other things, too."""


def probe_beside_a_timer(target: Target, options: CheckOptions) -> tuple[Result, float]:
    """The result, and the longest time that the event loop was held."""

    async def main() -> tuple[Result, float]:
        loop = asyncio.get_running_loop()
        longest = 0.0

        async def turns() -> None:
            nonlocal longest
            while True:
                before = loop.time()
                await asyncio.sleep(0.001)
                longest = max(longest, loop.time() - before)

        beside = asyncio.create_task(turns())
        await asyncio.sleep(0)
        result = await options.make_probe().probe(target, TIMEOUT_S)
        beside.cancel()
        return result, longest

    return asyncio.run(main())


@contextmanager
def flooding(flood: Callable[[socket.socket], None]) -> Iterator[Target]:
    """A server that treats one connection so, in a thread, until the probe has dropped it."""
    with socket.create_server((str(LOOPBACK), 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError), listener.accept()[0] as connection:
                flood(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Target(LOOPBACK, listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=30)
            assert not thread.is_alive()


def endlessly(data: bytes) -> Callable[[socket.socket], None]:
    def flood(connection: socket.socket) -> None:
        while True:
            connection.sendall(data * 2000)

    return flood


@pytest.mark.parametrize("options", [TlsOptions(verify=False), HttpsOptions(verify=False)])
def test_a_handshake_that_is_never_empty_nor_finished_is_cut_off(options: CheckOptions) -> None:
    with flooding(endlessly(HELLO_REQUEST)) as target:
        result, held_s = probe_beside_a_timer(target, options)
    assert result.reason is Reason.TLS
    assert "without the TLS handshake's end" in result.sentence
    assert result.latency_ms < TIMEOUT_S * 1000 + 500
    assert held_s < HELD_MAX_S


def test_a_deadline_comes_while_the_socket_is_never_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TLS_BYTES_MAX", 2**40)
    with flooding(endlessly(HELLO_REQUEST)) as target:
        result, held_s = probe_beside_a_timer(target, HttpsOptions(verify=False))
    assert result.reason is Reason.TLS_TIMEOUT
    assert result.latency_ms < TIMEOUT_S * 1000 + 500
    assert held_s < HELD_MAX_S


def test_records_without_content_are_counted(authority: trustme.CA, ca_file: str) -> None:
    """Session tickets by the thousand (RFC 8446 4.6.1), and the greeting never comes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME, "127.0.0.1").configure_cert(context)
    context.num_tickets = 50_000

    def flood(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    options = ImapOptions(tls="implicit", ca=ca_file)
    with flooding(flood) as target:
        result, held_s = probe_beside_a_timer(target, options)
    assert result.reason is Reason.L7_PROTOCOL, result
    assert result.sentence.startswith(f"more than {limits.TLS_BYTES_MAX} bytes")
    assert result.latency_ms < TIMEOUT_S * 1000 + 500
    assert held_s < HELD_MAX_S


PING_FRAME = bytes.fromhex("000008060000000000") + bytes(8)
SETTINGS_FRAME = bytes.fromhex("000000040000000000")


@pytest.mark.parametrize(
    ("options", "flood"),
    [
        (TcpOptions(expect="ready"), b"x" * 10),
        (ImapOptions(), b"* \r\n"),
        (HttpOptions(), b"HTTP/1.1 100 Continue\r\n\r\n"),
        (GrpcOptions(), SETTINGS_FRAME),
        (GrpcOptions(), SETTINGS_FRAME + PING_FRAME * 50),
    ],
)
def test_an_answer_without_end_gives_way_to_others(options: CheckOptions, flood: bytes) -> None:
    with flooding(endlessly(flood)) as target:
        result, held_s = probe_beside_a_timer(target, options)
    assert result.reason is Reason.L7_PROTOCOL, result
    assert held_s < HELD_MAX_S


def test_datagrams_without_end_give_way_to_others() -> None:
    """Each is followed by another before it is judged, so that the socket never runs empty."""
    foreign = b"the answer to another question"

    async def main() -> tuple[Result, list[int]]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setblocking(False)
        turns, seen = 0, []

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        def judge(_: bytes) -> None:
            seen.append(turns)
            theirs.send(foreign)

        beside = asyncio.create_task(others())
        with theirs:
            theirs.send(foreign)
            result = await ask(ours, b"a question", judge, 10.0, Recording())
        beside.cancel()
        return result, seen

    result, seen = asyncio.run(main())
    assert result.reason is Reason.L7_PROTOCOL
    assert len(seen) == limits.DATAGRAMS_IGNORED_MAX
    assert all(before < after for before, after in pairwise(seen))
