"""One connection for a probe that talks: bounded reads, writes, and TLS from any point on.

The problem: protocols differ in what is said, hardly in what can go wrong while it is said: no
connection, no TLS, silence, half an answer, an endless one, a closed or reset connection. The
approach: `converse` owns deadline, connection and verdict; a kind supplies a *dialogue*, which
talks over the `Stream` and returns the sentence of a pass or raises Failure. Every failure gets the
reason of the layer that the stream had reached, and the name of what was being waited for.

TLS runs on memory buffers over the same socket, so that a dialogue can start it midway (STARTTLS).

What a server sends is counted where it comes in, whatever it is worth: TLS has records that bring
a dialogue nothing (tickets, key updates), and a server may send them for ever. A read that did not
have to wait gives way to everybody else, its own deadline among them: a socket that is never empty
must not hold the event loop.

Must never hold more than `limits.DIALOGUE_BYTES_MAX` of what a server sends, and never wait for a
polite farewell.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable

from checkers import limits
from checkers.base import ProbeError, Reason, Result, Target
from checkers.dial import dial, lost
from checkers.recording import Failure, Recording, quoted
from checkers.trust import Client, check_descriptors


class Stream:
    """A connection under way. Reads raise Failure when the server ends it or sends too much."""

    def __init__(
        self, target: Target, recording: Recording, *, bytes_max: int = limits.TLS_BYTES_MAX
    ) -> None:
        """`bytes_max`: what a server may send, all records of TLS as they are."""
        self.target = target
        self.recording = recording
        self._connection: socket.socket | None = None
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._stage = Reason.L4_TIMEOUT
        self._buffer = bytearray()
        self._received = 0
        self._taken = 0  # of which, with TLS, not all is for the dialogue
        self._bytes_max = bytes_max
        self._expected = "answer"

    async def open(self) -> None:
        """Connect."""
        self._connection = await dial(self.target, self.recording)
        self._stage = Reason.L7_TIMEOUT

    def close(self) -> None:
        """Drop the connection; may be called more than once."""
        if self._connection is not None:
            self._connection.close()

    @property
    def local(self) -> tuple[str, int]:
        """Our own address and port, once connected."""
        assert self._connection is not None
        host, port = self._connection.getsockname()[:2]
        return str(host), int(port)

    def expect(self, what: str) -> None:
        """Name what is waited for next, as in "no greeting"."""
        self._expected = what

    def timed_out(self) -> Failure:
        """What to say when the deadline came: as far as it had got."""
        if self._stage is Reason.L4_TIMEOUT:
            return Failure(self._stage, "no connection")
        if self._stage is Reason.TLS_TIMEOUT:
            return Failure(self._stage, "TLS handshake not finished")
        if self._buffer:
            got = quoted(bytes(self._buffer), 40)
            return Failure(self._stage, f"{self._expected} not complete ({got} so far)")
        return Failure(self._stage, f"no {self._expected}")

    async def secure(self, client: Client) -> str:
        """Speak TLS from here on, and say how; the certificate is judged. Raises Failure."""
        if self._buffer:
            # Taken for part of the secured dialogue, it would be an injected answer (RFC 3207 6).
            raise Failure(
                Reason.L7_PROTOCOL, f"{quoted(bytes(self._buffer), 40)} sent before the TLS began"
            )
        context = client.context()
        before, self._stage = self._stage, Reason.TLS_TIMEOUT
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=client.name(self.target)
        )
        await self._shake_hands(self._tls)
        cipher = self._tls.cipher()
        self.recording.note("TLS established: %s, %s", self._tls.version(), cipher and cipher[0])
        left = client.judge(self._tls.getpeercert(), self.recording)
        self._stage = before
        until = "" if left is None else f", the certificate valid for {left} days more,"
        return f"{self._tls.version()} established{until}"

    async def _shake_hands(self, tls: ssl.SSLObject) -> None:
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLCertVerificationError as error:
                check_descriptors()
                await self._flush()  # the alert that tells the server why
                refused = f"certificate refused: {error.verify_message.rstrip('.')}"
                raise Failure(Reason.TLS_CERTIFICATE, refused) from error
            except ssl.SSLError as error:
                raise tls_failure(error) from error
            else:
                await self._flush()
                return

    async def send(self, data: bytes, *, shown: str | None = None) -> None:
        """Send; the transcript shows `shown` in place of data that holds a secret or is binary."""
        self.recording.note("> %s", shown if shown is not None else quoted(data, 120))
        if self._tls is None:
            await self._transmit(data)
            return
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise tls_failure(error) from error
        await self._flush()

    async def line(self) -> bytes:
        """The next line without its end (CR LF or LF)."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > limits.DIALOGUE_LINE_BYTES_MAX:
                raise Failure(
                    Reason.L7_PROTOCOL,
                    f"{self._expected} without a line end within "
                    f"{limits.DIALOGUE_LINE_BYTES_MAX} bytes ({quoted(bytes(self._buffer), 40)})",
                )
            await self.more()
        line = bytes(self._buffer[:end]).rstrip(b"\r")
        del self._buffer[: end + 1]
        return line

    async def exactly(self, count: int) -> bytes:
        """The next `count` bytes."""
        while len(self._buffer) < count:
            await self.more()
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    @property
    def pending(self) -> bytes:
        """All that came and was not taken by `line` or `exactly`."""
        return bytes(self._buffer)

    async def more(self) -> bytes:
        """Like `some`, but the end of the connection is a failure."""
        data = await self.some()
        if not data:
            raise self._closed()
        return data

    async def some(self) -> bytes:
        """What comes next, which also stays to be read; nothing at the end of the connection."""
        data = await self.receive()
        self._received += len(data)
        self._buffer += data
        if data:
            self.recording.note("< %s", quoted(data, 120))
        if self._received > limits.DIALOGUE_BYTES_MAX:
            raise Failure(
                Reason.L7_PROTOCOL,
                f"more than {limits.DIALOGUE_BYTES_MAX} bytes without the {self._expected}",
            )
        return data

    def _closed(self) -> Failure:
        if self._buffer:
            got = quoted(bytes(self._buffer), 40)
            return Failure(Reason.L7_CLOSED, f"connection closed after {got}")
        return Failure(Reason.L7_CLOSED, f"connection closed without {self._expected}")

    async def receive(self) -> bytes:
        """What comes next, for who keeps a bound and a buffer of their own; nothing at the end."""
        while self._tls is not None:
            try:
                return self._tls.read(limits.DIALOGUE_READ_BYTES)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            except ssl.SSLError as error:  # as when the server wants a certificate of ours
                raise tls_failure(error) from error
        return await self._take()

    async def _fill(self) -> None:
        data = await self._take()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._transmit(self._outgoing.read())

    async def _take(self) -> bytes:
        connection = self._connection
        assert connection is not None
        try:
            try:
                data = connection.recv(limits.DIALOGUE_READ_BYTES)
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                data = await loop.sock_recv(connection, limits.DIALOGUE_READ_BYTES)
            else:
                # asyncio's own reads do not give way when they need not wait, nor does this one.
                await asyncio.sleep(0)
        except OSError as error:
            raise self._lost(error) from error
        self._taken += len(data)
        if self._taken > self._bytes_max:  # without TLS, `some` has long refused
            what = f"more than {self._bytes_max} bytes without the"
            if self._stage is Reason.TLS_TIMEOUT:
                raise Failure(Reason.TLS, f"{what} TLS handshake's end")
            raise Failure(Reason.L7_PROTOCOL, f"{what} {self._expected}")
        return data

    async def _transmit(self, data: bytes) -> None:
        assert self._connection is not None
        try:
            await asyncio.get_running_loop().sock_sendall(self._connection, data)
        except OSError as error:
            raise self._lost(error) from error

    def _lost(self, error: OSError) -> Failure | ProbeError:
        outcome = lost(self.target, error)
        if isinstance(outcome, Failure) and self._stage is Reason.TLS_TIMEOUT:
            reason = (error.strerror or str(error)).lower()
            return Failure(Reason.TLS, f"connection lost during the TLS handshake: {reason}")
        return outcome


Dialogue = Callable[[Stream], Awaitable[str]]
"""Talks to a server; returns what to say of a pass, or raises Failure."""


async def converse(
    target: Target,
    timeout_s: float,
    dialogue: Dialogue,
    *,
    client: Client | None = None,
    keep_transcript: bool = False,
) -> Result:
    """Connect, speak TLS first if there is a `client`, hold the dialogue, and judge.

    Raises ProbeError if that could not be tried.
    """
    recording = Recording(keep_transcript=keep_transcript)
    stream = Stream(target, recording)
    try:
        async with asyncio.timeout(timeout_s):
            await stream.open()
            if client is not None:
                await stream.secure(client)
            sentence = await dialogue(stream)
    except TimeoutError:
        recording.check_punctual(timeout_s)
        failure = stream.timed_out()
    except Failure as error:
        failure = error
    else:
        return recording.passed(sentence)
    finally:
        stream.close()
    return recording.failed(failure)


def tls_failure(error: OSError) -> Failure:
    """What went wrong in TLS, for people."""
    if isinstance(error, ssl.SSLEOFError) or not isinstance(error, ssl.SSLError):
        return Failure(Reason.TLS, "connection closed during the TLS handshake")
    text = (error.reason or str(error)).replace("_", " ").lower()
    return Failure(Reason.TLS, f"TLS failed: {text}")
