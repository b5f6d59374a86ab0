"""The check `sip`: does a telephony server answer OPTIONS?

RFC 3261 11: a request that any server answers and that begins no call. Over UDP or TCP; a
provisional answer (1xx) is passed over. Must never send a request that changes anything, nor one
again.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import MaxLen, MinLen, doc

from checkers.base import OptionError, Probe, Reason, Result, Target
from checkers.http import Status, parse_status
from checkers.options import CheckOptions
from checkers.recording import Failure, Recording, quoted

if TYPE_CHECKING:
    from checkers.stream import Stream

_URI = re.compile(r"sips?:[!-;=?-~]+", re.ASCII)
_STATUS_LINE = re.compile(rb"SIP/2\.0 ([1-6][0-9]{2}) ?([^\r\n]*)")
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class SipOptions(CheckOptions):
    """Options of the check `sip`."""

    kind: ClassVar[str] = "sip"

    transport: Annotated[Literal["udp", "tcp"], doc("How the server is asked.")] = "udp"
    uri: Annotated[
        Annotated[str, MinLen(5), MaxLen(255)] | None,
        doc("What is asked about, such as `sip:example.org`; else the server's address."),
    ] = None
    status: Annotated[
        Status | tuple[Status, ...],
        doc('The status expected: `200`, a range `"200-299"`, or a list of both.'),
    ] = "200-299"

    def __post_init__(self) -> None:
        parse_status(self.status)
        if self.uri is not None and not _URI.fullmatch(self.uri):
            raise OptionError("uri", f"{self.uri!r} is no URI such as sip:example.org")

    def make_probe(self) -> Probe:
        """A probe that asks once."""
        return SipProbe(self)


class SipProbe:
    """Asks once."""

    __slots__ = ("_options", "_wanted")

    def __init__(self, options: SipOptions) -> None:
        self._options = options
        self._wanted = parse_status(options.status)

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Ask once; raises ProbeError if that could not be tried."""
        call = os.urandom(8).hex()
        if self._options.transport == "tcp":
            from checkers.stream import converse

            async def talk(stream: Stream) -> str:
                await stream.send(self._request(target, stream.local, call))
                return await self._hear(stream, call)

            return await converse(target, timeout_s, talk, keep_transcript=keep_transcript)
        from checkers.datagram import ask, open_datagram

        connection = open_datagram(target)
        host, port = connection.getsockname()[:2]
        return await ask(
            connection,
            self._request(target, (host, port), call),
            lambda answer: self._judge(answer, call),
            timeout_s,
            Recording(keep_transcript=keep_transcript),
        )

    def _request(self, target: Target, local: tuple[str, int], call: str) -> bytes:
        own = _bracketed(local[0])
        uri = self._options.uri or f"sip:{_bracketed(target.host)}:{target.port}"
        via = f"SIP/2.0/{self._options.transport.upper()} {own}:{local[1]}"
        lines = (
            f"OPTIONS {uri} SIP/2.0",
            f"Via: {via};branch=z9hG4bK{call};rport",
            "Max-Forwards: 70",
            f"From: <sip:health-check@{own}>;tag={call}",
            f"To: <{uri}>",
            f"Call-ID: {call}",
            "CSeq: 1 OPTIONS",
            f"Contact: <sip:health-check@{own}:{local[1]}>",
            "Accept: application/sdp",
            "Content-Length: 0",
        )
        return "\r\n".join((*lines, "", "")).encode()

    async def _hear(self, stream: Stream, call: str) -> str:
        """Answers of OPTIONS have no body worth reading: the headers end each."""
        seen = 0
        while True:
            while (end := stream.pending.find(_END, seen)) < 0:
                await stream.more()
            sentence = self._judge(stream.pending[seen:], call)
            if sentence is not None:
                return sentence
            seen = end + len(_END)

    def _judge(self, answer: bytes, call: str) -> str | None:
        match = _STATUS_LINE.match(answer)
        if match is None:
            raise Failure(Reason.L7_PROTOCOL, f"{quoted(answer, 40)} is no answer of SIP")
        headers = answer.partition(_END)[0]
        if match[1].startswith(b"1") or call.encode() not in headers:
            return None
        status = int(match[1])
        if status not in self._wanted:
            written = self._options.status
            wanted = ", ".join(map(str, written)) if isinstance(written, tuple) else written
            raise Failure(
                Reason.L7_STATUS, f"status {status} {quoted(match[2], 40)}, expected {wanted}"
            )
        return f"status {status}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
