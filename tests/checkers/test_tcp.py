"""The check `tcp` against real listeners."""

import asyncio
import contextlib
import re
import socket
import time
from dataclasses import replace
from ipaddress import ip_address

import pytest

from checkers.base import OptionError, Reason, Result, Target
from checkers.tcp import TcpOptions
from tests.checkers import servers

pytestmark = pytest.mark.usefixtures("no_leak")


def probe(target: Target, timeout_s: float = 2.0, *, keep_transcript: bool = False) -> Result:
    made = TcpOptions().make_probe()
    return asyncio.run(made.probe(target, timeout_s, keep_transcript=keep_transcript))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_listener_passes(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.closing(socket.create_server((address, 0), family=family)) as listener:
        before = time.time()
        result = probe(Target(ip_address(address), listener.getsockname()[1]))
    assert (result.healthy, result.reason, result.transcript) == (True, Reason.OK, ())
    assert re.fullmatch(r"connected in \d+\.\d ms", result.sentence)
    assert 0 < result.latency_ms < 2000
    assert before <= result.at <= time.time()


def test_the_transcript_of_a_pass_is_there_for_the_asking() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        target = Target(servers.LOOPBACK, listener.getsockname()[1])
        result = probe(target, keep_transcript=True)
    steps = [line.split(" ms  ")[1] for line in result.transcript]
    assert steps == [f"connect to {target}", "connected"]


def test_a_closed_port_is_refused_with_a_transcript() -> None:
    result = probe(Target(servers.LOOPBACK, servers.free_port()))
    assert (result.healthy, result.reason) == (False, Reason.L4_REFUSED)
    assert re.fullmatch(r"connection refused \(L4\) after \d+\.\d ms", result.sentence)
    assert result.transcript[-1].endswith(result.sentence)


def test_a_full_queue_times_out_within_the_deadline() -> None:
    with servers.full_backlog() as target:
        result = probe(target, timeout_s=0.2)
    assert result.reason is Reason.L4_TIMEOUT
    assert result.sentence.startswith("no connection (L4) after 2")
    assert 190 <= result.latency_ms < 2000


def test_a_process_that_never_accepts_passes_until_its_queue_is_full() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0), backlog=5)) as listener:
        assert probe(Target(servers.LOOPBACK, listener.getsockname()[1])).healthy


async def greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"+OK ready ")
    await writer.drain()
    if await reader.readline() == b"PING\r\n":
        writer.write(b"to serve\r\n")
    else:
        writer.write(b"-ERR loading\r\n")
    await writer.drain()
    writer.close()


async def chatters(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 10_000)
        await writer.drain()


async def says_a_little(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"+O")
    await asyncio.Event().wait()


async def closes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def against(handler: servers.Handler, options: TcpOptions, timeout_s: float = 5.0) -> Result:
    async def main() -> Result:
        async with servers.serving(handler) as target:
            return await options.make_probe().probe(target, timeout_s, keep_transcript=True)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (TcpOptions(expect="+OK"), 'answered "+OK" in '),
        (TcpOptions(send="PING\r\n", expect="ready to serve"), 'answered "ready to serve" in '),
        (TcpOptions(send_hex="50494e470d0a", expect_hex="2b4f4b"), 'answered "+OK" in '),
        (TcpOptions(send="PING\r\n"), "connected and sent in "),
    ],
    ids=["greeting", "dialogue", "hex", "send only"],
)
def test_the_expected_answer_passes(options: TcpOptions, sentence: str) -> None:
    assert against(greets, options).sentence.startswith(sentence)


@pytest.mark.parametrize(
    ("handler", "options", "reason", "sentence"),
    [
        (
            greets,
            TcpOptions(send="HELP\r\n", expect="serve"),
            Reason.L7_CONTENT,
            'answered "+OK ready -ERR loading\\r\\n", expected "serve" (L7) after ',
        ),
        (
            greets,
            TcpOptions(send="HELP\r\n", expect="serve", refuse="-ERR"),
            Reason.L7_CONTENT,
            '"-ERR" came, which is refused (L7) after ',
        ),
        (
            chatters,
            TcpOptions(expect="+OK"),
            Reason.L7_PROTOCOL,
            "more than 65536 bytes without the expected answer (L7) after ",
        ),
        (
            says_a_little,
            TcpOptions(expect="+OK"),
            Reason.L7_TIMEOUT,
            'expected answer not complete ("+O" so far) (L7) after ',
        ),
        (
            servers.silent,
            TcpOptions(expect="+OK"),
            Reason.L7_TIMEOUT,
            "no expected answer (L7) after ",
        ),
        (
            closes,
            TcpOptions(expect="+OK"),
            Reason.L7_CLOSED,
            "connection closed without an answer (L7) after ",
        ),
    ],
    ids=["other", "refused", "endless", "partial", "silent", "closes"],
)
def test_any_other_answer_fails(
    handler: servers.Handler, options: TcpOptions, reason: Reason, sentence: str
) -> None:
    result = against(handler, options, timeout_s=0.5)
    assert (result.reason, result.sentence[: len(sentence)]) == (reason, sentence)


@pytest.mark.parametrize("options", [TcpOptions(expect="x"), TcpOptions(send="x")])
def test_failures_below_the_dialogue_are_those_of_the_connection(options: TcpOptions) -> None:
    made = options.make_probe()
    refused = asyncio.run(made.probe(Target(servers.LOOPBACK, servers.free_port()), 2.0))
    assert refused.reason is Reason.L4_REFUSED
    with servers.full_backlog() as target:
        assert asyncio.run(made.probe(target, 0.2)).reason is Reason.L4_TIMEOUT


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"send": "a", "send_hex": "61"}, "send_hex"),
        ({"expect_hex": "6"}, "expect_hex"),
        ({"refuse": "x", "send": "a"}, "refuse"),
        ({"half_open": True, "send": "a"}, "half_open"),
        ({"hold": True, "expect": "a"}, "hold"),
        ({"hold": True, "half_open": True}, "hold"),
        ({"hold": True, "inverted": True}, "hold"),
        ({"half_open": True, "mark": 7}, "mark"),
        ({"half_open": True, "through_vip": True}, "through_vip"),
    ],
)
def test_options_that_cannot_work_name_their_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(OptionError) as error:
        replace(TcpOptions(), **change)  # type: ignore[arg-type]
    assert error.value.field == field
