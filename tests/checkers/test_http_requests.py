"""What the check `http` sends: headers, credentials, bodies, several paths."""

import asyncio
from dataclasses import replace

import pytest

from checkers.base import OptionError, Reason, Result
from checkers.http import HttpOptions
from tests.checkers import servers

pytestmark = pytest.mark.usefixtures("no_leak")


class Listening:
    """Answers by path, and keeps every request."""

    def __init__(self, **status: int) -> None:
        self.requests: list[bytes] = []
        self._status = status

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        self.requests.append(head + await reader.readexactly(int(length or 0)))
        status = self._status.get(head.split()[1].decode().strip("/"), 200)
        if status == 0:
            await asyncio.Event().wait()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
        await writer.drain()


def against(server: Listening, options: HttpOptions, timeout_s: float = 5.0) -> Result:
    async def main() -> Result:
        async with servers.serving(server) as target:
            return await options.make_probe().probe(target, timeout_s, keep_transcript=True)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (HttpOptions(headers={"X-Probe": "lvs", "Empty": ""}), b"X-Probe: lvs\r\nEmpty: \r\n"),
        (HttpOptions(headers={"user-agent": "mine"}), b"user-agent: mine\r\n"),
        (HttpOptions(username="joe", password="s:ä"), b"Authorization: Basic am9lOnM6w6Q=\r\n"),
        (HttpOptions(token="abc.def"), b"Authorization: Bearer abc.def\r\n"),
    ],
    ids=["headers", "replaced", "basic", "bearer"],
)
def test_a_header_is_sent_once(options: HttpOptions, line: bytes) -> None:
    server = Listening()
    result = against(server, options)
    assert result.healthy
    assert line in server.requests[0]
    assert server.requests[0].lower().count(b"user-agent:") == 1
    assert "am9lOnM6w6Q" not in "".join(result.transcript)
    assert "abc.def" not in "".join(result.transcript)


def test_a_post_sends_its_body() -> None:
    server = Listening()
    headers = {"Content-Type": "application/json"}
    assert against(server, HttpOptions(method="POST", body='{"q": "ä"}', headers=headers)).healthy
    assert server.requests[0].startswith(b"POST / HTTP/1.1\r\n")
    assert b"Content-Length: 11\r\n" in server.requests[0]
    assert server.requests[0].endswith('\r\n\r\n{"q": "ä"}'.encode())


def test_several_paths_must_all_pass() -> None:
    server = Listening(b=503)
    good = against(server, HttpOptions(path=("/a", "/c")))
    assert good.sentence.startswith("2 paths answered as expected, the last with status 200 in ")
    bad = against(server, HttpOptions(path=("/a", "/b", "/c")))
    assert bad.reason is Reason.L7_STATUS
    assert bad.sentence.startswith('/b: status 503 "X", expected 200-299 (L7) after ')
    assert len(server.requests) == 4  # and what comes after a failure is not asked


def test_several_paths_share_one_timeout() -> None:
    result = against(Listening(b=0), HttpOptions(path=("/a", "/b")), timeout_s=0.3)
    assert result.reason is Reason.L7_TIMEOUT
    assert result.sentence.startswith("/b: no answer (L7) after 3")
    assert result.latency_ms < 2000


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"path": ("/a", "b")}, "path", "'b' does not begin with a slash"),
        ({"username": "joe"}, "password", "go together"),
        ({"password": "x"}, "username", "go together"),
        ({"username": "a:b", "password": "x"}, "username", "a colon"),
        ({"token": "x", "username": "a", "password": "b"}, "token", "either a token or"),
        ({"token": "a b"}, "token", "no spaces"),
        ({"headers": {"Host": "x"}}, "headers", "write the option `host`"),
        ({"headers": {"X": "a\r\nInjected: b"}}, "headers", "is no header of HTTP"),
        ({"headers": {"X Y": "a"}}, "headers", "is no header of HTTP"),
        ({"headers": {"authorization": "x"}, "token": "y"}, "headers", "either this or"),
        ({"body": "x"}, "body", "add `method: POST`"),
        ({"json_key": "a"}, "json_value", "go together"),
        ({"json_value": False}, "json_key", "go together"),
        ({"matches": "("}, "matches", "is no regular expression"),
        ({"matches": "a", "method": "HEAD"}, "matches", "HEAD has no body"),
        ({"matches": "a", "body_limit": 0}, "body_limit", "without a body"),
    ],
)
def test_options_that_cannot_work_name_their_field(
    change: dict[str, object], field: str, sentence: str
) -> None:
    with pytest.raises(OptionError, match=sentence) as error:
        replace(HttpOptions(), **change)  # type: ignore[arg-type]
    assert error.value.field == field
