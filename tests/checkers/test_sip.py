"""The check `sip` against servers that speak it as RFC 3261 says, and others."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from checkers.base import OptionError, Reason
from checkers.sip import SipOptions
from tests.checkers import datagrams
from tests.checkers.dialogues import against

pytestmark = pytest.mark.usefixtures("no_leak")

UDP = SipOptions()
TCP = SipOptions(transport="tcp")


def answer(request: bytes, status: bytes = b"200 OK") -> bytes:
    """The status, and the headers that an answer repeats (RFC 3261 8.2.6.2)."""
    assert request.endswith(b"\r\n\r\n")
    repeated = re.findall(rb"^(?:Via|From|To|Call-ID|CSeq): .*\r\n", request, re.MULTILINE)
    assert len(repeated) == 5
    return b"SIP/2.0 " + status + b"\r\n" + b"".join(repeated) + b"Content-Length: 0\r\n\r\n"


def trying_first(request: bytes) -> Sequence[bytes]:
    return [answer(request, b"100 Trying"), answer(request)]


def late(request: bytes) -> Sequence[bytes]:
    return [b"SIP/2.0 503 No\r\nCall-ID: another\r\n\r\n", answer(request)]


def over_tcp(*statuses: bytes) -> object:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        for status in statuses:
            writer.write(answer(request, status))
        await reader.read()

    return handle


@pytest.mark.parametrize("server", [lambda data: [answer(data)], trying_first, late])
def test_the_answer_passes_whatever_came_before(server: datagrams.Answering) -> None:
    result = datagrams.against(server, UDP)
    assert result.sentence.startswith("status 200 in ")


def test_the_request_is_complete() -> None:
    seen: list[bytes] = []

    def server(data: bytes) -> Sequence[bytes]:
        seen.append(data)
        return [answer(data)]

    assert datagrams.against(server, replace(UDP, uri="sip:example.org")).healthy
    head, *headers = seen[0].decode().rstrip().split("\r\n")
    assert head == "OPTIONS sip:example.org SIP/2.0"
    names = {line.partition(":")[0] for line in headers}
    assert names >= {"Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Content-Length"}
    assert re.match(r"Via: SIP/2\.0/UDP 127\.0\.0\.1:\d+;branch=z9hG4bK\w+;rport$", headers[0])


def test_the_same_over_tcp() -> None:
    assert against(over_tcp(b"200 OK"), TCP).healthy  # type: ignore[arg-type]
    assert against(over_tcp(b"100 Trying", b"200 OK"), TCP).healthy  # type: ignore[arg-type]
    result = against(over_tcp(b"100 Trying", b"503 Full"), TCP)  # type: ignore[arg-type]
    assert result.sentence.startswith('status 503 "Full", expected 200-299 (L7) after ')
    waiting = against(over_tcp(b"100 Trying"), TCP, 0.3)  # type: ignore[arg-type]
    assert waiting.reason is Reason.L7_TIMEOUT


def test_other_answers_fail_unless_expected() -> None:
    def refusing(data: bytes) -> Sequence[bytes]:
        return [answer(data, b"404 Not Found")]

    result = datagrams.against(refusing, UDP)
    assert result.reason is Reason.L7_STATUS
    assert result.sentence.startswith('status 404 "Not Found", expected 200-299 (L7) after ')
    assert datagrams.against(refusing, replace(UDP, status=(200, 404))).healthy
    garbage = datagrams.against(lambda _: [b"HTTP/1.1 200 OK"], UDP)
    assert garbage.reason is Reason.L7_PROTOCOL
    assert datagrams.against(datagrams.silent, UDP, 0.2).reason is Reason.L7_TIMEOUT


@pytest.mark.parametrize("uri", ["example.org", "sip:a b", "sip:a>\r\nX: y", "http://a"])
def test_what_is_no_uri_is_refused(uri: str) -> None:
    with pytest.raises(OptionError, match="is no URI") as error:
        SipOptions(uri=uri)
    assert error.value.field == "uri"
