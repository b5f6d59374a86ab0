"""The check `tcp`: does the server accept a connection, and, where told, say the right thing?

Without further options the cheapest check there is, and the right one where nothing is known of the
protocol. It says only that the server's kernel completed the handshake: a process that hangs behind
its listen queue passes until the queue is full. With `send` and `expect` it holds a dialogue of one
question and one answer. Where the protocol has a kind of its own, that one says more.

`half_open` asks the same of the kernel without a connection, and `hold` keeps one, to see a process
end at once (`checkers.connecting`, `checkers.half_open`).

Without a dialogue it must never send or read a byte of payload.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import MaxLen, MinLen, doc

from checkers.base import OptionError, Probe, Reason, Result, Target
from checkers.options import CheckOptions
from checkers.payload import Expect, ExpectHex, Send, SendHex, payload
from checkers.recording import Failure, quoted

if TYPE_CHECKING:
    from checkers.quick import Place, Quick
    from checkers.stream import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpOptions(CheckOptions):
    """Options of the check `tcp`: what to send and what to expect, both optional."""

    kind: ClassVar[str] = "tcp"

    send: Send = None
    send_hex: SendHex = None
    expect: Expect = None
    expect_hex: ExpectHex = None
    half_open: Annotated[
        bool,
        doc(
            "Send a SYN and take the SYN-ACK for an answer: no connection on the server. Takes "
            "CAP_NET_RAW."
        ),
    ] = False
    hold: Annotated[
        bool,
        doc(
            "Keep the connection of one probe until the next one's: a process that ends is seen at "
            "once, and takes the server out whatever `fall` says."
        ),
    ] = False
    refuse: Annotated[
        Annotated[str, MinLen(1), MaxLen(1024)] | None,
        doc("Fail as soon as this text comes, whatever else does; needs an expectation."),
    ] = None

    def __post_init__(self) -> None:
        payload("send", self.send, self.send_hex)
        expected = payload("expect", self.expect, self.expect_hex)
        if self.refuse is not None and not expected:
            raise OptionError("refuse", "without `expect` no answer is read")
        self._check_ways_to_connect()

    def make_probe(self) -> Probe:
        """A probe that connects, talks if there is something to say or hear, and closes."""
        return TcpProbe(self)

    def make_quick(self, place: Place) -> Quick | None:
        """What connects without a task; None where there is a dialogue."""
        if self._talks:
            return None
        if self.half_open:
            from checkers.half_open import HalfOpen

            return HalfOpen(place)
        from checkers.connecting import Connecting, Holding

        return Holding(place) if self.hold else Connecting(place)

    def describe(self) -> str:
        """`tcp`, and how it connects where that is not as ever."""
        return self.kind + " half-open" * self.half_open + " hold" * self.hold

    @property
    def _talks(self) -> bool:
        written = (self.send, self.send_hex, self.expect, self.expect_hex)
        return any(text is not None for text in written)

    def _check_ways_to_connect(self) -> None:
        for name in ("half_open", "hold"):
            if getattr(self, name) and self._talks:
                raise OptionError(name, "holds no dialogue: leave out `send` and `expect`")
        if self.half_open and self.hold:
            raise OptionError("hold", "with `half_open` there is no connection to hold")
        if self.hold and self.inverted:
            raise OptionError("hold", "what must not answer leaves no connection to hold")
        if self.half_open and (self.mark is not None or self.through_vip):
            name = "mark" if self.mark is not None else "through_vip"
            sentence = "the reset that ends a half-open probe is the kernel's, and carries no mark"
            raise OptionError(name, sentence)


class TcpProbe:
    """Connects, talks if it was told what, and closes."""

    __slots__ = ("_expected", "_options", "_refused", "_sent")

    def __init__(self, options: TcpOptions) -> None:
        self._options = options
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
        # Here and not above: reading a configuration needs no event loop.
        from checkers.quick import run_quick

        make = self._options.make_quick
        return await run_quick(make, target, timeout_s, keep_transcript=keep_transcript)

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
