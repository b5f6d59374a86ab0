"""Reading a reply: its forms, what is refused, and that no cutting of the bytes matters.

h11 reads the same bytes as a second opinion.
"""

from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers import limits
from checkers.base import Reason
from checkers.recording import Failure
from checkers.response import Reply, ReplyReader

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
Outcome = Reply | tuple[Reason, str]


def outcome(
    *pieces: bytes, method: str = "GET", body_limit: int = 100, ends: bool = False
) -> Outcome:
    """The reply, or what is said of a server that sent these pieces, and then closed or nothing."""
    reader = ReplyReader(method, body_limit)
    try:
        for piece in pieces:
            reply = reader.feed(piece)
            if reply is not None:
                return reply
        if ends:
            return reader.end()
    except Failure as failure:
        return failure.reason, failure.what
    late = reader.timed_out()
    return late.reason, late.what


def hello(*, whole: bool = True, location: bytes = b"", phrase: bytes = b"OK") -> Reply:
    return Reply(200, phrase, location, b"hello", whole)


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", hello()),
        (OK + b"content-length:5 \r\n\r\nhello and more", hello()),
        (OK + b"Content-Length: 5, 5\r\nContent-Length: 5\r\n\r\nhello", hello()),
        (b"HTTP/1.1 200\nContent-Length: 5\n\nhello", hello(phrase=b"")),
        (b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", hello(phrase=b"")),
        (OK + b"X: a\r\n  folded\r\n\tagain\r\nContent-Length:\r\n 5\r\n\r\nhello", hello()),
        (
            OK + b"LOCATION: /a\r\nLocation: /b\r\nContent-Length: 5\r\n\r\nhello",
            hello(location=b"/a"),
        ),
        (
            b"HTTP/1.1 103 Early\r\nLink: <x>\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
            hello(),
        ),
        (CHUNKED + b"2;x=y\r\nhe\r\n03  \r\nllo\r\n0\r\n\r\n", hello()),
        (CHUNKED + b"5\r\nhello\r\n0\r\nX: trailer\r\n\r\n", hello()),
        (
            OK + b"Content-Length: 9\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\n",
            hello(),
        ),
        (b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", Reply(204, b"No", b"", b"", True)),
        (b"HTTP/1.1 304 No\r\n\r\n", Reply(304, b"No", b"", b"", True)),
        (OK + b"Content-Length: 0\r\n\r\n", Reply(200, b"OK", b"", b"", True)),
    ],
)
def test_a_reply_is_known_with_its_last_byte_and_not_before(data: bytes, reply: Reply) -> None:
    assert outcome(data) == reply
    end = data.index(b"hello and") + 5 if b"hello and" in data else len(data)
    reader = ReplyReader("GET", 100)
    known = [reader.feed(data[at : at + 1]) for at in range(end)]
    assert known[:-1] == [None] * (end - 1)
    assert known[-1] == reply


def test_what_has_no_length_ends_with_the_connection() -> None:
    assert outcome(b"HTTP/1.0 200 OK\r\n\r\nhello", ends=True) == hello()
    assert outcome(OK + b"\r\nhello") == (
        Reason.L7_TIMEOUT,
        "status 200, but the body not complete (5 bytes)",
    )


def test_no_more_of_a_body_is_read_than_is_wanted() -> None:
    head = OK + b"Content-Length: 9\r\n\r\n"
    assert outcome(head + b"hello", body_limit=5)[0] is Reason.L7_TIMEOUT  # type: ignore[index]
    assert outcome(head + b"hello ", body_limit=5) == hello(whole=False)
    assert outcome(head, body_limit=0) == Reply(200, b"OK", b"", b"", False)
    assert outcome(head, method="HEAD") == Reply(200, b"OK", b"", b"", True)


NOT_HTTP = "not an HTTP reply: "


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"S", "it does not begin with HTTP/"),
        (b"\x16\x03\x03", "it does not begin with HTTP/"),
        (b"\r\n" + OK, "it does not begin with HTTP/"),
        (b"HTTP/1.1 2OO OK\r\n", 'illegal status line: "HTTP/1.1 2OO OK"'),
        (b"HTTP/1.1 099 No\r\n", 'illegal status line: "HTTP/1.1 099 No"'),
        (b"HTTP/1.1  200 OK\r\n", 'illegal status line: "HTTP/1.1  200 OK"'),
        (b"HTTP/1.1 200 \0\r\n", r'illegal status line: "HTTP/1.1 200 \x00"'),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "it changes the protocol, which nobody asked for"),
        (OK + b" folded: x\r\n\r\n", 'illegal header line: " folded: x"'),
        (OK + b"A: b\r\nBad name: x\r\n\r\n", 'illegal header line: "Bad name: x"'),
        (OK + b"Content-Length : 5\r\n\r\n", 'illegal header line: "Content-Length : 5"'),
        (OK + b"X: a\rb\r\n\r\n", r'illegal header line: "X: a\rb"'),
        (OK + b"Content-Length: 5, 6\r\n\r\n", 'illegal content length: "5, 6"'),
        (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 'illegal content length: "6"'),
        (OK + b"Content-Length: -5\r\n\r\n", 'illegal content length: "-5"'),
        (OK + b"Content-Length: \r\n\r\n", 'illegal content length: ""'),
        (
            OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
            "a transfer encoding other than chunked",
        ),
        (CHUNKED.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n"), "a transfer enc"),
        (CHUNKED + b"zz\r\n", 'illegal chunk header: "zz"'),
        (CHUNKED + b"5 ;x\r\n", 'illegal chunk header: "5 ;x"'),
        (CHUNKED + b"5\r\nhello!", "a chunk is longer than it says"),
        (CHUNKED + b"0\r\nno trailer\r\n\r\n", 'illegal header line: "no trailer"'),
    ],
)
def test_what_a_client_must_refuse_is_refused_at_once(data: bytes, what: str) -> None:
    reason, sentence = outcome(data)  # type: ignore[misc]
    assert reason is Reason.L7_PROTOCOL
    assert sentence.startswith(NOT_HTTP + what)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (OK + b"X: y\r\n" * 3000, "headers longer than 16384 bytes"),
        (b"HTTP/1.1 200 " + b"x" * 17_000, "headers longer than 16384 bytes"),
        (CHUNKED + b"5;" + b"x" * 17_000, "chunk header longer than 16384 bytes"),
        (CHUNKED + b"0\r\n" + b"X: y\r\n" * 3000, "trailers longer than 16384 bytes"),
    ],
)
def test_every_part_has_a_bound(data: bytes, what: str) -> None:
    assert outcome(data) == (Reason.L7_PROTOCOL, NOT_HTTP + what)
    assert outcome(data + b"\r\n\r\n") == (Reason.L7_PROTOCOL, NOT_HTTP + what)


def test_all_together_has_a_bound() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" * 4000
    most = 100 + limits.HTTP_OVERHEAD_BYTES_MAX
    assert outcome(interim) == (Reason.L7_PROTOCOL, f"no reply within {most} bytes")
    framing = (b"1;" + b"x" * 10_000 + b"\r\ny\r\n") * 8
    assert outcome(CHUNKED + framing) == Reply(200, b"OK", b"", b"y" * 6, False)


def test_of_what_ended_too_early_is_told_how_far_it_got() -> None:
    assert outcome(ends=True)[1] == "connection closed without an answer"  # type: ignore[index]
    assert outcome()[1] == "no answer"  # type: ignore[index]
    assert outcome(b"HTT")[1] == "headers not complete"  # type: ignore[index]
    for data in (OK + b"Content-Length: 5\r\n\r\nhell", CHUNKED + b"5\r\nhello\r\n"):
        assert outcome(data, ends=True) == (
            Reason.L7_CLOSED,
            "status 200, but the connection closed within the body",
        )


# Whatever comes, however it is cut

STATUS_LINES = st.sampled_from(
    (b"HTTP/1.1 200 OK", b"HTTP/1.0 503", b"HTTP/1.1 204 ", b"HTTP/1.1 100 Go", b"HTTP/1.1 99 X")
)
FIELDS = st.sampled_from(
    (
        b"Content-Length: 5",
        b"content-length: 12",
        b"Content-Length: 5,5",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
        b"Location: /x",
        b"Server: a b",
        b" folded",
        b"Empty:",
        b"Bad name: x",
    )
)
LINE_ENDS = st.sampled_from((b"\r\n", b"\r\n", b"\r\n", b"\n"))
BODY_PARTS = st.sampled_from(
    (b"hello", b"5\r\nhello\r\n", b"c;a=b\r\nhello, world\r\n", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n")
)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    lines = [draw(STATUS_LINES), *draw(st.lists(FIELDS, max_size=4)), b""]
    return b"".join(line + draw(LINE_ENDS) for line in lines)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Replies and what is nearly one: here and there a byte is changed, put in or left out."""
    data = b"".join(draw(st.lists(heads(), min_size=1, max_size=2)))
    data += b"".join(draw(st.lists(BODY_PARTS, max_size=4)))
    for _ in range(draw(st.sampled_from((0, 0, 1, 2)))):
        at = draw(st.integers(0, len(data)))
        put = draw(st.sampled_from((b"", b"\r", b"\n", b"\0", b" ", b":", b"1", b"\xff")))
        data = data[:at] + put + data[at + draw(st.integers(0, 2)) :]
    return data


@given(
    data=streams(),
    cuts=st.lists(st.integers(0, 300), max_size=8),
    method=st.sampled_from(("GET", "HEAD")),
    body_limit=st.sampled_from((0, 4, 5, 6, 100)),
    head_max=st.sampled_from((30, 60, 16_384)),
    overhead_max=st.sampled_from((50, 100, 65_536)),
    ends=st.booleans(),
)
def test_no_cutting_of_the_bytes_changes_the_verdict(
    data: bytes,
    cuts: list[int],
    method: str,
    body_limit: int,
    head_max: int,
    overhead_max: int,
    ends: bool,
) -> None:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:end] for start, end in pairwise(places)]
    single = [data[at : at + 1] for at in range(len(data))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "HTTP_HEAD_BYTES_MAX", head_max)
        patch.setattr(limits, "HTTP_OVERHEAD_BYTES_MAX", overhead_max)
        whole, cut, one_by_one = (
            outcome(*parts, method=method, body_limit=body_limit, ends=ends)
            for parts in ([data] if data else [], pieces, single)
        )
    assert whole == cut == one_by_one


@given(data=streams(), method=st.sampled_from(("GET", "HEAD")))
def test_h11_reads_the_same(data: bytes, method: str) -> None:
    ours = outcome(*([data] if data else []), method=method, body_limit=10_000, ends=True)
    assert (ours if isinstance(ours, Reply) else None) == second_opinion(data, method)


def second_opinion(data: bytes, method: str) -> Reply | None:
    """What h11 makes of it; None: no reply."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1_000_000)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    body = b""
    head: h11.Response | None = None
    try:
        if data:
            connection.receive_data(data)
        connection.receive_data(b"")
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                found = dict(reversed(list(head.headers)))
                where = bytes(found.get(b"location", b""))
                return Reply(head.status_code, bytes(head.reason), where, body, True)
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None
