"""The check `http` against nginx and against servers that misbehave."""

import asyncio
import re
import socket
import struct
import time
from dataclasses import replace

import pytest

from checkers import limits
from checkers.base import OptionError, ProbeError, Reason, Result, Target
from checkers.http import HttpOptions, Status, parse_status
from tests.checkers import servers

DEFAULTS = HttpOptions()


async def ask(
    target: Target,
    options: HttpOptions = DEFAULTS,
    timeout_s: float = 5.0,
    *,
    keep_transcript: bool = False,
) -> Result:
    return await options.make_probe().probe(target, timeout_s, keep_transcript=keep_transcript)


def probe(target: Target, options: HttpOptions = DEFAULTS) -> Result:
    return asyncio.run(ask(target, options))


def against(
    handler: servers.Handler, options: HttpOptions = DEFAULTS, timeout_s: float = 5.0
) -> Result:
    async def main() -> Result:
        async with servers.serving(handler) as target:
            return await ask(target, options, timeout_s)

    return asyncio.run(main())


def blank(sentence: str) -> str:
    """The sentence without its time."""
    return re.sub(r"\d+(\.\d)? ms$", "…", sentence)


# nginx


def test_nginx_answers_as_expected(nginx: Target) -> None:
    result = probe(nginx, HttpOptions(path="/ok", contains="is fine"))
    assert (result.healthy, result.reason, result.transcript) == (True, Reason.OK, ())
    assert blank(result.sentence) == "status 200 in …"


EXPECTED = "expected 200-299 (L7) after …"
LACKS_NEEDLE = 'does not contain "needle" (L7) after …'


@pytest.mark.parametrize(
    ("options", "reason", "sentence"),
    [
        (
            HttpOptions(path="/fail"),
            Reason.L7_STATUS,
            'status 503 "Service Temporarily Unavailable", expected 200-299 (L7) after …',
        ),
        (
            HttpOptions(path="/moved"),
            Reason.L7_STATUS,
            f'status 302 "Moved Temporarily" to "http://elsewhere.example/", {EXPECTED}',
        ),
        (
            HttpOptions(path="/ok", status=(204, "300-399")),
            Reason.L7_STATUS,
            'status 200 "OK", expected 204, 300-399 (L7) after …',
        ),
        (
            HttpOptions(path="/ok", contains="gone"),
            Reason.L7_CONTENT,
            'status 200, but the body ("everything is fine") does not contain "gone" (L7) after …',
        ),
        (
            HttpOptions(path="/big", contains="needle", body_limit=1000),
            Reason.L7_CONTENT,
            f'status 200, but the first 1000 bytes of the body ("{"x" * 40}…") {LACKS_NEEDLE}',
        ),
    ],
    ids=["status", "redirect", "list", "content", "limit"],
)
def test_nginx_answers_otherwise(
    nginx: Target, options: HttpOptions, reason: Reason, sentence: str
) -> None:
    result = probe(nginx, options)
    assert (result.healthy, result.reason) == (False, reason)
    assert blank(result.sentence) == sentence


@pytest.mark.parametrize(
    "options",
    [
        HttpOptions(path="/fail", status=503),
        HttpOptions(path="/moved", status="301,302"),
        HttpOptions(path="/ok", method="HEAD"),
        HttpOptions(path="/who", host="www.example.org", contains="host www.example.org"),
        HttpOptions(path="/big", contains="needle", body_limit=300_000),
        HttpOptions(path="/big", body_limit=0),
        HttpOptions(path="/agent", contains="health-check,close,HTTP/1.1"),
    ],
    ids=["status", "set", "head", "host", "large", "headers only", "request"],
)
def test_nginx_passes(nginx: Target, options: HttpOptions) -> None:
    assert probe(nginx, options).sentence.startswith("status ")
    assert probe(nginx, options).healthy


def test_a_failure_carries_its_transcript(nginx: Target) -> None:
    steps = [line.split(" ms  ")[1] for line in probe(nginx, HttpOptions(path="/fail")).transcript]
    assert steps[:3] == [f"connect to {nginx}", "connected", f"> GET /fail (Host: {nginx})"]
    assert steps[3].startswith(r"< HTTP/1.1 503 Service Temporarily Unavailable\r\nServer: nginx")
    assert steps[4] == "status 503, 13 bytes of body"


# Misbehaviour


def test_nobody_listens() -> None:
    result = probe(Target(servers.LOOPBACK, servers.free_port()))
    assert (result.reason, blank(result.sentence)) == (
        Reason.L4_REFUSED,
        "connection refused (L4) after …",
    )


def test_the_queue_is_full() -> None:
    with servers.full_backlog() as target:
        result = asyncio.run(ask(target, timeout_s=0.2))
    assert (result.reason, blank(result.sentence)) == (
        Reason.L4_TIMEOUT,
        "no connection (L4) after …",
    )


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"


@pytest.mark.parametrize(
    ("handler", "sentence"),
    [
        (servers.silent, "no answer (L7) after …"),
        (servers.answering(b"HTTP/1.1 200 OK\r\nX: ", keep_open=True), "headers not complete"),
        (servers.answering(HALF, keep_open=True), "status 200, but the body not complete (5 bytes"),
        (drips, "status 200, but the body not complete ("),
    ],
    ids=["silent", "headers", "body", "drip"],
)
@pytest.mark.usefixtures("no_leak")
def test_slow_servers_fail_at_the_deadline(handler: servers.Handler, sentence: str) -> None:
    result = against(handler, timeout_s=0.3)
    assert result.reason is Reason.L7_TIMEOUT
    assert blank(result.sentence).startswith(sentence)
    assert 290 <= result.latency_ms < 2000


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    # Closing without lingering sends RST instead of FIN (socket(7)).
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MANY_HEADERS = b"HTTP/1.1 200 OK\r\n" + b"X-Filler: 0123456789\r\n" * 20_000
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000


@pytest.mark.parametrize(
    ("handler", "reason", "sentence"),
    [
        (servers.answering(b""), Reason.L7_CLOSED, "connection closed without an answer (L7)"),
        (servers.answering(b"HTTP/1.1 200"), Reason.L7_CLOSED, "connection closed within the head"),
        (servers.answering(HALF), Reason.L7_CLOSED, "status 200, but the connection closed within"),
        (
            servers.answering(CHUNKED + b"5\r\nhello\r\n"),
            Reason.L7_CLOSED,
            "status 200, but the connection closed within the body (L7)",
        ),
        (resets, Reason.L7_CLOSED, "connection lost: connection reset by peer (L7)"),
        (
            servers.answering(b"SSH-2.0-OpenSSH_9.2\r\n\x1b[31m\r\n\r\n"),
            Reason.L7_PROTOCOL,
            "not an HTTP reply: it does not begin with HTTP/",
        ),
        (
            servers.answering(CHUNKED + b"zz\r\n"),
            Reason.L7_PROTOCOL,
            "not an HTTP reply: illegal chunk header",
        ),
        (servers.answering(MANY_HEADERS), Reason.L7_PROTOCOL, "not an HTTP reply: headers longer"),
        (servers.answering(INTERIM), Reason.L7_PROTOCOL, "no reply within "),
    ],
    ids=[
        "nothing",
        "half a line",
        "half a body",
        "half a chunk",
        "reset",
        "garbage",
        "bad chunk",
        "endless headers",
        "endless interim replies",
    ],
)
@pytest.mark.usefixtures("no_leak")
def test_improper_replies_fail(handler: servers.Handler, reason: Reason, sentence: str) -> None:
    result = against(handler)
    assert (result.healthy, result.reason) == (False, reason)
    assert result.sentence.startswith(sentence)
    assert result.sentence.isprintable()
    assert all(line.isprintable() for line in result.transcript)


def steps(result: Result) -> list[str]:
    """The transcript without times and ports."""
    lines = (blank(line.partition(" ms  ")[2]) for line in result.transcript)
    return [re.sub(r"127\.0\.0\.1:\d+", "server", line) for line in lines]


@pytest.mark.parametrize(
    "handler",
    [
        servers.answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        servers.answering(b"HTTP/1.0 200 OK\r\n\r\nhello"),
        servers.answering(b""),
        servers.answering(HALF),
        servers.answering(HALF, keep_open=True),
        servers.silent,
        resets,
        servers.answering(MANY_HEADERS),
    ],
    ids=["length", "until closed", "nothing", "half", "stuck", "silent", "reset", "endless"],
)
@pytest.mark.usefixtures("no_leak")
def test_with_a_task_and_without_the_verdict_is_the_same(handler: servers.Handler) -> None:
    quick = against(handler, timeout_s=0.3)
    slow = against(handler, HttpOptions(token="takes-a-task"), 0.3)
    assert (quick.reason, blank(quick.sentence)) == (slow.reason, blank(slow.sentence))
    assert steps(quick) == steps(slow)


async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"y" * 65536)
        await writer.drain()


@pytest.mark.usefixtures("no_leak")
def test_an_endless_body_is_judged_by_its_beginning() -> None:
    assert against(floods).healthy
    result = against(floods, HttpOptions(contains="x", body_limit=100))
    assert result.reason is Reason.L7_CONTENT
    assert "the first 100 bytes of the body" in result.sentence


def test_a_body_in_tiny_chunks_stops_at_the_bound_on_framing() -> None:
    chunks = b"1;" + b"e" * 2000 + b"\r\nx\r\n"
    reply = CHUNKED + chunks * (2 * limits.HTTP_OVERHEAD_BYTES_MAX // len(chunks))
    result = against(servers.answering(reply, keep_open=True), HttpOptions(body_limit=1000))
    assert result.healthy


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.0 200 OK\r\n\r\nhello world",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
        CHUNKED + b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello worldHTTP/1.1 200 surplus",
    ],
    ids=["until closed", "interim", "chunked", "surplus"],
)
def test_the_forms_of_a_proper_reply_pass(reply: bytes) -> None:
    assert against(servers.answering(reply), HttpOptions(contains="hello world")).healthy


def test_cancelling_a_probe_leaves_nothing_behind(no_leak: None) -> None:
    async def main() -> None:
        async with servers.serving(servers.silent) as target:
            for steps in range(6):
                task = asyncio.create_task(ask(target))
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    asyncio.run(main())


def test_a_process_that_stood_still_blames_nobody() -> None:
    async def main() -> None:
        async with servers.serving(servers.silent) as target:
            asyncio.get_running_loop().call_later(0.01, time.sleep, 0.5)
            with pytest.raises(ProbeError, match="stalled: the deadline was noticed"):
                await ask(target, timeout_s=0.1)

    asyncio.run(main())


# Options


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (200, {200}),
        ("204", {204}),
        ("200-202", {200, 201, 202}),
        ("200, 301 - 302", {200, 301, 302}),
        ((200, "401-402"), {200, 401, 402}),
    ],
)
def test_a_set_of_statuses(status: Status | tuple[Status, ...], wanted: set[int]) -> None:
    assert parse_status(status) == wanted


@pytest.mark.parametrize(
    "status", ["", "ok", "2xx", 99, 600, "299-200", "200-", "-200", True, "200;204", "٢٠٠", -200]
)
def test_nonsense_for_a_status_is_refused_with_what_would_be_right(status: Status) -> None:
    with pytest.raises(OptionError, match="is not a status: expected 100 to 599") as error:
        HttpOptions(status=status)
    assert error.value.field == "status"


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"status": ()}, "status", "an empty list"),
        ({"path": "healthz"}, "path", "'healthz' does not begin with a slash"),
        ({"path": "/a b"}, "path", "holds a space"),
        ({"path": "/\r\nX: y"}, "path", "to be written as %XX"),
        ({"path": "/ü"}, "path", "to be written as %XX"),
        ({"host": "a b"}, "host", "'a b' is not a host name"),
        ({"method": "HEAD", "contains": "x"}, "contains", "HEAD has no body"),
        ({"contains": "xyz", "body_limit": 2}, "body_limit", "smaller than the text"),
    ],
)
def test_options_that_cannot_work_name_their_field(
    change: dict[str, object], field: str, sentence: str
) -> None:
    with pytest.raises(OptionError, match=sentence) as error:
        replace(DEFAULTS, **change)  # type: ignore[arg-type]
    assert error.value.field == field
