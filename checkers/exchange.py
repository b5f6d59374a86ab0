"""One HTTP/1.1 request and its reply, with the notes of both; the bytes are somebody else's.

The problem: two hands carry a request to a server, with a task (over TLS, say) and without, and
what is asked, noted and concluded must not depend on which. The approach: both send what a
`Request` says and tell an `Exchange` what came; how a reply is read is in `checkers.response`.

Must never do I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

from checkers import limits
from checkers.recording import Failure, Recording, plain
from checkers.response import Reply, ReplyReader

USER_AGENT = "health-check"


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask for, and how much of the answer to read."""

    method: str
    path: str
    host: str
    body_limit: int
    headers: tuple[tuple[str, str], ...] = ()
    """Sent after those that every request has; one of the same name takes its place."""
    body: bytes = b""

    def encoded(self) -> bytes:
        """The request as it is sent."""
        headers = {
            "host": ("Host", self.host),
            "user-agent": ("User-Agent", USER_AGENT),
            "accept": ("Accept", "*/*"),
            "connection": ("Connection", "close"),
        }
        if self.body:
            headers["content-length"] = ("Content-Length", str(len(self.body)))
        headers |= {name.lower(): (name, value) for name, value in self.headers}
        lines = (f"{self.method} {self.path} HTTP/1.1", *map(": ".join, headers.values()))
        return "".join(f"{line}\r\n" for line in lines).encode("ascii") + b"\r\n" + self.body

    def __str__(self) -> str:
        """For the transcript, without what may be secret: `GET /ok (Host: www.example.org)`."""
        return f"{self.method} {self.path} (Host: {self.host})"


class Exchange:
    """One request on a connection that is there, and what is heard of it."""

    __slots__ = ("_reader", "_recording")

    def __init__(self, request: Request, recording: Recording) -> None:
        self._recording = recording
        self._reader = ReplyReader(request.method, request.body_limit)

    def hear(self, data: bytes) -> Reply | None:
        """The reply, if it is known with these bytes; none of them: the server sends no more.

        Raises Failure if there is no proper one.
        """
        reader = self._reader
        if not data:
            self._recording.note("the server closed the connection")
            reply: Reply | None = reader.end()
        else:
            if not reader.received:
                self._recording.note("< %s", _First(data))
            reply = reader.feed(data)
        if reply is not None:
            self._recording.note("status %s, %s bytes of body", reply.status, len(reply.body))
        return reply

    def timed_out(self) -> Failure:
        """What to say when the deadline came: as far as the reply had got."""
        return self._reader.timed_out()


class _First:
    """The first bytes of a reply, made printable only if the transcript is wanted."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data[: limits.TRANSCRIPT_LINE_CHARACTERS_MAX]

    def __str__(self) -> str:
        return plain(self._data, limits.TRANSCRIPT_LINE_CHARACTERS_MAX)
