"""The reply to one HTTP/1.1 request, read without I/O: bytes in, a reply or the wish for more out.

The problem: a server under test may send anything, endlessly, a byte at a time or not at all; and
the verdict must depend on what it sent, not on how the network cut it up. The approach: a machine
with six parts, each of which takes what it can from the bytes that are there, or nothing:

    HEAD --content length--> COUNTED                              --all there--> reply
         --chunked--> CHUNK_HEADER -> COUNTED -> CHUNK_END -> ... TRAILERS ----> reply
         --neither--> UNTIL_CLOSED                              --end of all---> reply
         --interim reply (1xx)--> HEAD

What frames the body is decided as by RFC 9112 6.3, and refused where a client must refuse it.
Lenient where servers in use are: a bare LF ends a line, a phrase may be missing, folded headers.
The reply is there as soon as nothing that may follow could change it: the end of the body, or one
byte more than is wanted of it.

Must never hold more than its bounds: `limits.HTTP_HEAD_BYTES_MAX` of headers, the wanted part of
the body, and of everything together `limits.HTTP_OVERHEAD_BYTES_MAX` more than that part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, NoReturn

from checkers import limits
from checkers.base import Reason
from checkers.recording import Failure, quoted

_BEGINNING = b"HTTP/"
_BLANK_LINE = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/[0-9]\.[0-9] ([1-9][0-9]{2})(?: ([^\0\r\n\v\f]*))?\r?\n")
_FIELD = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]++:[^\0\r\n\v\f]*+\r?\n"  # RFC 9110 5.6.2, 5.5
_FIELDS = re.compile(rb"(?:" + _FIELD + rb")*+")
_FOLD = re.compile(rb"\r?\n[ \t]+")  # RFC 9112 5.2
_TOLD = re.compile(rb"^(content-length|transfer-encoding|location):(.*)$", re.IGNORECASE | re.M)
_LENGTH = re.compile(rb"[0-9]{1,20}")
_CHUNK_HEADER = re.compile(rb"([0-9A-Fa-f]{1,20})(?:;[^\n]*|[ \t]*)")
_WITHOUT_BODY = (204, 304)


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered."""

    status: int
    phrase: bytes
    location: bytes
    body: bytes
    whole: bool
    """Whether that is all of the body."""


class _Part(IntEnum):
    HEAD = 0
    COUNTED = 1
    CHUNK_HEADER = 2
    CHUNK_END = 3
    TRAILERS = 4
    UNTIL_CLOSED = 5


class ReplyReader:
    """Reads one reply. `feed` it until there is one; at the end of the connection, `end`."""

    __slots__ = (
        "_body",
        "_body_limit",
        "_bytes_max",
        "_chunked",
        "_left",
        "_location",
        "_method",
        "_part",
        "_phrase",
        "_reply",
        "_rest",
        "_searched",
        "_status",
        "received",
    )

    def __init__(self, method: str, body_limit: int) -> None:
        """`method` of the request; `body_limit`: bytes of the body that are wanted at most."""
        self._method = method
        self._body_limit = body_limit
        self._bytes_max = body_limit + limits.HTTP_OVERHEAD_BYTES_MAX
        self._part = _Part.HEAD
        self._rest = bytearray()  # came, and belongs to no part yet
        self._searched = 0  # of that, how much holds no end of the headers
        self._left = 0  # of what is counted
        self._chunked = False
        self._body = bytearray()
        self._status = 0
        self._phrase = b""
        self._location = b""
        self._reply: Reply | None = None
        self.received = 0
        """Bytes, as far as they were looked at."""

    def feed(self, data: bytes) -> Reply | None:
        """The reply, if it is known with these bytes; raises Failure if it can be none."""
        room = self._bytes_max - self.received
        if len(data) > room:
            data = data[:room]
        self.received += len(data)
        self._rest += data
        while self._reply is None and self._TAKE[self._part](self):
            pass
        if self._reply is None and self.received >= self._bytes_max:
            if self._status == 0:
                what = f"no reply within {self.received} bytes"
                raise Failure(Reason.L7_PROTOCOL, what)
            self._enough(whole=False)
        return self._reply

    def end(self) -> Reply:
        """The reply, now that the server sends no more; raises Failure if it is not complete."""
        if self._part is _Part.UNTIL_CLOSED:
            return self._enough(whole=True)
        raise self.closed()

    def closed(self) -> Failure:
        """What to say of a connection that ended here, in the middle."""
        if self._status:
            what = f"status {self._status}, but the connection closed within the body"
        elif self.received:
            what = "connection closed within the headers"
        else:
            what = "connection closed without an answer"
        return Failure(Reason.L7_CLOSED, what)

    def timed_out(self) -> Failure:
        """What to say when the deadline came: as far as the reply had got."""
        if self._status:
            got = f"status {self._status}, but the body not complete ({len(self._body)} bytes)"
            return Failure(Reason.L7_TIMEOUT, got)
        what = "headers not complete" if self.received else "no answer"
        return Failure(Reason.L7_TIMEOUT, what)

    def _take_head(self) -> bool:
        rest = self._rest
        if not rest.startswith(_BEGINNING) and not _BEGINNING.startswith(rest):
            _refuse("it does not begin with HTTP/")
        line = _STATUS_LINE.match(rest)
        if line is None and (end := rest.find(b"\n", 0, limits.HTTP_HEAD_BYTES_MAX)) >= 0:
            _refuse(f"illegal status line: {quoted(bytes(rest[:end].rstrip()), 40)}")
        found = _BLANK_LINE.search(rest, self._searched)
        if (len(rest) if found is None else found.end()) > limits.HTTP_HEAD_BYTES_MAX:
            _refuse(f"headers longer than {limits.HTTP_HEAD_BYTES_MAX} bytes")
        if found is None or line is None:
            self._searched = max(0, len(rest) - 2)
            return False
        told = _told(rest[line.end() : found.start() + 1])
        status, phrase = int(line[1]), line[2] or b""
        del rest[: found.end()]  # and what was found in it says nothing any more
        self._searched = 0
        if status >= 200:
            self._status, self._phrase = status, phrase
            self._location = told.get(b"location", b"")
            self._frame(told)
        elif status == 101:
            _refuse("it changes the protocol, which nobody asked for")
        return True

    def _frame(self, told: Mapping[bytes, bytes]) -> None:
        """Decide how the body ends (RFC 9112 6.3)."""
        if self._body_limit == 0:
            self._enough(whole=False)
        elif self._method == "HEAD" or self._status in _WITHOUT_BODY:
            self._enough(whole=True)
        elif b"transfer-encoding" in told:
            self._chunked = True
            self._part = _Part.CHUNK_HEADER
        elif b"content-length" in told:
            self._count(int(told[b"content-length"]))
        else:
            self._part = _Part.UNTIL_CLOSED

    def _count(self, count: int) -> None:
        self._left = count
        self._part = _Part.COUNTED
        if not count:
            self._enough(whole=True)

    def _take_counted(self) -> bool:
        rest, left = self._rest, self._left
        if not rest:
            return False
        data = rest[:left]
        del rest[:left]
        self._left = left = left - len(data)
        self._keep(data)
        if left == 0 and self._reply is None:
            if not self._chunked:
                self._enough(whole=True)
            self._part = _Part.CHUNK_END
        return True

    def _take_chunk_header(self) -> bool:
        rest = self._rest
        end = rest.find(b"\r\n")
        # Of an end that is cut in two, the first half is no part of the header yet.
        if max(end, len(rest) - 1 if end < 0 else 0) > limits.HTTP_HEAD_BYTES_MAX:
            _refuse(f"chunk header longer than {limits.HTTP_HEAD_BYTES_MAX} bytes")
        if end < 0:
            return False
        header = _CHUNK_HEADER.fullmatch(rest, 0, end)
        if header is None:
            _refuse(f"illegal chunk header: {quoted(bytes(rest[:end]), 40)}")
        self._left = int(header[1], base=16)
        del rest[: end + 2]
        self._part = _Part.COUNTED if self._left else _Part.TRAILERS
        return True

    def _take_chunk_end(self) -> bool:
        end = self._rest[:2]
        if not b"\r\n".startswith(end):
            _refuse("a chunk is longer than it says")
        if len(end) < 2:
            return False
        del self._rest[:2]
        self._part = _Part.CHUNK_HEADER
        return True

    def _take_trailers(self) -> bool:
        rest = self._rest
        if rest.startswith((b"\r\n", b"\n")):
            self._enough(whole=True)
            return True
        found = _BLANK_LINE.search(rest)
        if (len(rest) if found is None else found.end()) > limits.HTTP_HEAD_BYTES_MAX:
            _refuse(f"trailers longer than {limits.HTTP_HEAD_BYTES_MAX} bytes")
        if found is None:
            return False
        _told(rest[: found.start() + 1])  # refuses what are no headers
        self._enough(whole=True)
        return True

    def _take_all(self) -> bool:
        self._keep(self._rest)
        self._rest.clear()
        return False

    def _keep(self, data: bytearray) -> None:
        room = self._body_limit - len(self._body)
        self._body += data if len(data) <= room else data[:room]
        if len(data) > room:
            self._enough(whole=False)

    def _enough(self, *, whole: bool) -> Reply:
        reply = Reply(self._status, self._phrase, self._location, bytes(self._body), whole)
        self._reply = reply
        return reply

    _TAKE: ClassVar[tuple[Callable[[ReplyReader], bool], ...]] = (
        _take_head,
        _take_counted,
        _take_chunk_header,
        _take_chunk_end,
        _take_trailers,
        _take_all,
    )
    """By part: takes what it can; says whether there may be more to take."""


def _told(fields: bytearray) -> dict[bytes, bytes]:
    """Of header lines, those that matter here, by name in small letters. Raises Failure."""
    if b"\n " in fields or b"\n\t" in fields:
        fields = bytearray(_FOLD.sub(b" ", fields))
    end = _FIELDS.match(fields).end()  # type: ignore[union-attr]  # it matches nothing, too
    if end != len(fields):
        line = fields[end:].partition(b"\n")[0]
        _refuse(f"illegal header line: {quoted(bytes(line.rstrip()), 40)}")
    told: dict[bytes, bytes] = {}
    for written, untrimmed in _TOLD.findall(fields):
        name, value = written.lower(), untrimmed.strip()
        if name == b"content-length":
            told[name] = _one_length(value, told.get(name))
        elif name == b"transfer-encoding" and (name in told or value.lower() != b"chunked"):
            _refuse("a transfer encoding other than chunked")
        else:
            told.setdefault(name, value)
    return told


def _one_length(value: bytes, before: bytes | None) -> bytes:
    """The length that is told, be it several times (RFC 9110 8.6). Raises Failure."""
    if before is None and _LENGTH.fullmatch(value):
        return value
    lengths = {length.strip() for length in value.split(b",")}
    if before is not None:
        lengths.add(before)
    length = lengths.pop()
    if lengths or not _LENGTH.fullmatch(length):
        _refuse(f"illegal content length: {quoted(value, 40)}")
    return length


def _refuse(what: str) -> NoReturn:
    raise Failure(Reason.L7_PROTOCOL, f"not an HTTP reply: {what}")
