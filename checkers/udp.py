"""The check `udp`: one datagram, and the answer to it.

For protocols over UDP that have no kind of their own. A UDP server is not heard unless it is asked
something it answers; where nothing is known that it answers, silence can be made a pass, and only
the ICMP error of a host where nobody listens fails. Must never send more than one datagram.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import doc

from checkers.base import OptionError, Probe, Reason, Result, Target
from checkers.options import CheckOptions
from checkers.payload import Expect, ExpectHex, Send, SendHex, payload
from checkers.recording import Failure, Recording, quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpOptions(CheckOptions):
    """Options of the check `udp`: what to send and what to expect."""

    kind: ClassVar[str] = "udp"

    send: Send = None
    send_hex: SendHex = None
    expect: Expect = None
    expect_hex: ExpectHex = None
    silence: Annotated[
        bool,
        doc("Whether no answer is a pass as well; then only ICMP errors and wrong answers fail."),
    ] = False

    def __post_init__(self) -> None:
        if not payload("send", self.send, self.send_hex):
            raise OptionError("send", "is missing: a UDP server is not heard unless it is asked")
        payload("expect", self.expect, self.expect_hex)

    def make_probe(self) -> Probe:
        """A probe that asks once."""
        return UdpProbe(self)


class UdpProbe:
    """Asks once."""

    __slots__ = ("_expected", "_sent", "_silence")

    def __init__(self, options: UdpOptions) -> None:
        self._sent = payload("send", options.send, options.send_hex)
        self._expected = payload("expect", options.expect, options.expect_hex)
        self._silence = "no error from the network" if options.silence else None

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Ask once; raises ProbeError if that could not be tried."""
        from checkers.datagram import ask, open_datagram

        recording = Recording(keep_transcript=keep_transcript)
        return await ask(
            open_datagram(target),
            self._sent,
            self._judge,
            timeout_s,
            recording,
            silence=self._silence,
        )

    def _judge(self, answer: bytes) -> str:
        if self._expected not in answer:
            wanted = quoted(self._expected, 40)
            raise Failure(Reason.L7_CONTENT, f"answered {quoted(answer, 40)}, expected {wanted}")
        return f"answered {quoted(self._expected or answer, 40)}"
