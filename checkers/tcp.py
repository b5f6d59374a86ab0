"""The check `tcp`: does the server accept a connection, and, where told, say the right thing?

Without further options the cheapest check there is, and the right one where nothing is known of the
protocol. It says only that the server's kernel completed the handshake: a process that hangs behind
its listen queue passes until the queue is full. With `send` and `expect` it holds a dialogue of one
question and one answer. Where the protocol has a kind of its own, that one says more.

Without those options it must never send or read a byte of payload.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import MaxLen, MinLen, doc

from checkers.base import CheckOptions, OptionError, Probe, Reason, Result, Target
from checkers.payload import Expect, ExpectHex, Send, SendHex, payload
from checkers.recording import Failure, Recording, quoted

if TYPE_CHECKING:
    from checkers.stream import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpOptions(CheckOptions):
    """Options of the check `tcp`: what to send and what to expect, both optional."""

    kind: ClassVar[str] = "tcp"

    send: Send = None
    send_hex: SendHex = None
    expect: Expect = None
    expect_hex: ExpectHex = None
    refuse: Annotated[
        Annotated[str, MinLen(1), MaxLen(1024)] | None,
        doc("Fail as soon as this text comes, whatever else does; needs an expectation."),
    ] = None

    def __post_init__(self) -> None:
        payload("send", self.send, self.send_hex)
        expected = payload("expect", self.expect, self.expect_hex)
        if self.refuse is not None and not expected:
            raise OptionError("refuse", "without `expect` no answer is read")

    def make_probe(self) -> Probe:
        """A probe that connects, talks if there is something to say or hear, and closes."""
        return TcpProbe(self)


class TcpProbe:
    """Connects, talks if it was told what, and closes."""

    __slots__ = ("_expected", "_refused", "_sent")

    def __init__(self, options: TcpOptions) -> None:
        self._sent = payload("send", options.send, options.send_hex)
        self._expected = payload("expect", options.expect, options.expect_hex)
        self._refused = (options.refuse or "").encode()

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Connect once; raises ProbeError if that could not be tried."""
        if self._sent or self._expected:
            from checkers.stream import converse

            return await converse(target, timeout_s, self._talk, keep_transcript=keep_transcript)
        return await _connect(target, timeout_s, keep_transcript=keep_transcript)

    async def _talk(self, stream: Stream) -> str:
        if self._sent:
            await stream.send(self._sent)
        if not self._expected:
            return "connected and sent"
        stream.expect("expected answer")
        heard = b""
        while True:
            if self._refused and self._refused in heard:
                raise Failure(Reason.L7_CONTENT, f"{quoted(self._refused)} came, which is refused")
            if self._expected in heard:
                return f"answered {quoted(self._expected, 40)}"
            if not await stream.some():
                raise self._ended(heard)
            heard = stream.pending

    def _ended(self, heard: bytes) -> Failure:
        if not heard:
            return Failure(Reason.L7_CLOSED, "connection closed without an answer")
        wanted = quoted(self._expected, 40)
        return Failure(Reason.L7_CONTENT, f"answered {quoted(heard, 40)}, expected {wanted}")


async def _connect(target: Target, timeout_s: float, *, keep_transcript: bool) -> Result:
    # Here and not above: reading a configuration needs no event loop.
    import asyncio

    from checkers.dial import dial

    recording = Recording(keep_transcript=keep_transcript)
    try:
        async with asyncio.timeout(timeout_s):
            connection = await dial(target, recording)
        connection.close()
    except TimeoutError:
        recording.check_punctual(timeout_s)
        failure = Failure(Reason.L4_TIMEOUT, "no connection")
    except Failure as error:
        failure = error
    else:
        return recording.passed("connected")
    return recording.failed(failure)
