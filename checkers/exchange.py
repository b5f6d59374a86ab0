"""One HTTP/1.1 request and its reply: h11 for the protocol, asyncio for the bytes.

The problem: a server under test may send anything, endlessly, a byte at a time or not at all. The
approach: h11 parses without I/O; this shell feeds it what arrives and stops at the first of: reply
complete, enough of the body read, too many bytes altogether, an error, the end of the connection.
The caller owns the deadline.

TLS comes on top of a connection that is already there, so that a failure to connect, a failure of
TLS and a failure of HTTP are three different things.

Must never hold more than the bounds in `checkers.limits`, and never wait for a polite farewell: the
connection is dropped as soon as the verdict is known.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from typing import cast

import h11

from checkers import limits
from checkers.base import Reason
from checkers.recording import Failure, Recording, plain

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


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered."""

    status: int
    phrase: bytes
    location: bytes
    body: bytes
    whole: bool
    """Whether that is all of the body."""
    certificate: object
    """The server's, as `SSLObject.getpeercert` gives it; None without TLS."""


class Exchange(asyncio.Protocol):
    """One request on one connection. Use `over` once, then `close`."""

    def __init__(self, request: Request, recording: Recording) -> None:
        self._request = request
        self._recording = recording
        self._parser = h11.Connection(h11.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._response: h11.Response | None = None
        self._body = bytearray()
        self._received = 0
        self._stage = Reason.L4_TIMEOUT

    async def over(
        self,
        connection: socket.socket,
        context: ssl.SSLContext | None,
        name: str | None,
        timeout_s: float,
    ) -> Reply:
        """Ask over a connected socket, which this takes over; raises Failure."""
        loop = asyncio.get_running_loop()
        self._stage = Reason.L7_TIMEOUT if context is None else Reason.TLS_TIMEOUT
        try:
            await loop.create_connection(
                lambda: self,
                sock=connection,
                ssl=context,
                server_hostname=name,
                # The caller's deadline is the one that counts; asyncio's own must come after it.
                ssl_handshake_timeout=None if context is None else timeout_s + 60,
            )
        except ssl.SSLCertVerificationError as error:
            raise Failure(
                Reason.TLS_CERTIFICATE, f"certificate refused: {error.verify_message.rstrip('.')}"
            ) from error
        except OSError as error:
            raise _tls_failure(error) from error
        finally:
            if self._transport is None:
                connection.close()  # no transport took it over; closing twice does no harm
        return await self._reply

    def timed_out(self) -> Failure:
        """What to say when the deadline came: as far as the exchange had got."""
        if self._stage is Reason.L4_TIMEOUT:
            return Failure(self._stage, "no connection")
        if self._stage is Reason.TLS_TIMEOUT:
            return Failure(self._stage, "TLS handshake not finished")
        if self._response is not None:
            got = f"status {self._response.status_code}, but the body not complete"
            return Failure(self._stage, f"{got} ({len(self._body)} bytes)")
        return Failure(self._stage, "headers not complete" if self._received else "no answer")

    def close(self) -> None:
        """Drop the connection; may be called at any time and more than once."""
        if not self._reply.cancel() and not self._reply.cancelled():
            self._reply.exception()  # looked at, so that asyncio does not complain of it
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected (and, with TLS, verified): send the request."""
        self._transport = cast(asyncio.Transport, transport)
        self._stage = Reason.L7_TIMEOUT
        if (cipher := transport.get_extra_info("cipher")) is not None:
            self._recording.note("TLS established: %s, %s", cipher[1], cipher[0])
        request = self._request
        self._recording.note("> %s %s (Host: %s)", request.method, request.path, request.host)
        headers = {
            "host": ("Host", request.host),
            "user-agent": ("User-Agent", USER_AGENT),
            "accept": ("Accept", "*/*"),
            "connection": ("Connection", "close"),
        }
        if request.body:
            headers["content-length"] = ("Content-Length", str(len(request.body)))
        headers |= {name.lower(): (name, value) for name, value in request.headers}
        head = h11.Request(method=request.method, target=request.path, headers=[*headers.values()])
        data = self._parser.send(head) or b""
        if request.body:
            data += self._parser.send(h11.Data(data=request.body)) or b""
        self._transport.write(data + (self._parser.send(h11.EndOfMessage()) or b""))

    def data_received(self, data: bytes) -> None:
        """Some of the reply."""
        if self._reply.done():
            return
        if not self._received:
            self._recording.note("< %s", _First(data))
        self._received += len(data)
        self._feed(data)
        if (
            not self._reply.done()
            and self._received > self._request.body_limit + limits.HTTP_OVERHEAD_BYTES_MAX
        ):
            self._enough(whole=False)

    def eof_received(self) -> None:
        """The server sends no more: for some replies that is the end, for others a breach."""
        self._recording.note("the server closed the connection")
        if not self._reply.done():
            self._feed(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; if no verdict fell before, that is the verdict."""
        if self._reply.done():
            return
        if isinstance(exc, ssl.SSLError):  # as when the server wants a certificate of ours
            self._fail(_tls_failure(exc))
        elif exc is not None:
            self._fail(Failure(Reason.L7_CLOSED, f"connection lost ({exc.__class__.__name__})"))
        else:
            self._fail(self._closed())

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.receive_data(data)
            while not self._reply.done():
                event = self._parser.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    return
                self._handle(event)
        except h11.RemoteProtocolError as error:
            if not data:
                self._fail(self._closed())
                return
            self._fail(
                Failure(Reason.L7_PROTOCOL, f"not an HTTP reply: {plain(str(error).encode(), 120)}")
            )

    def _handle(self, event: object) -> None:
        if isinstance(event, h11.Response):
            self._response = event
            if self._request.body_limit == 0:
                self._enough(whole=False)
        elif isinstance(event, h11.Data):
            room = self._request.body_limit - len(self._body)
            self._body += event.data[:room]
            if len(event.data) > room:
                self._enough(whole=False)
        elif isinstance(event, h11.EndOfMessage):
            self._enough(whole=True)
        elif isinstance(event, h11.ConnectionClosed):
            self._fail(self._closed())

    def _enough(self, *, whole: bool) -> None:
        response = self._response
        if response is None:
            self._fail(Failure(Reason.L7_PROTOCOL, f"no reply within {self._received} bytes"))
            return
        location = next((value for name, value in response.headers if name == b"location"), b"")
        body = bytes(self._body)
        self._recording.note("status %s, %s bytes of body", response.status_code, len(body))
        transport = self._transport
        certificate = None if transport is None else transport.get_extra_info("peercert")
        self._reply.set_result(
            Reply(
                response.status_code,
                bytes(response.reason),
                bytes(location),
                body,
                whole,
                certificate,
            )
        )

    def _closed(self) -> Failure:
        if self._response is not None:
            what = f"status {self._response.status_code}, but the connection closed within the body"
        elif self._received:
            what = "connection closed within the headers"
        else:
            what = "connection closed without an answer"
        return Failure(Reason.L7_CLOSED, what)

    def _fail(self, failure: Failure) -> None:
        self._reply.set_exception(failure)


class _First:
    """The first bytes of a reply, made printable only if the transcript is wanted."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data[: limits.TRANSCRIPT_LINE_CHARACTERS_MAX]

    def __str__(self) -> str:
        return plain(self._data, limits.TRANSCRIPT_LINE_CHARACTERS_MAX)


def _tls_failure(error: OSError) -> Failure:
    if isinstance(error, ssl.SSLError):
        text = (error.reason or str(error)).replace("_", " ").lower()
        return Failure(Reason.TLS, f"TLS failed: {text}")
    return Failure(Reason.TLS, "connection closed during the TLS handshake")
