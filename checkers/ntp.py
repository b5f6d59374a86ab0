"""The check `ntp`: does a time server answer, and is it synchronized?

RFC 5905, client mode. The answer must be to our question (it repeats our timestamp), from a server
whose clock is set: leap indicator not 3, stratum within bounds. A "kiss of death" (stratum 0) is a
refusal. Must never set or judge our own clock.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le, doc

from checkers.base import Probe, Reason, Result, Target
from checkers.options import CheckOptions
from checkers.recording import Failure, Recording, quoted

_LENGTH = 48
_CLIENT_V4 = 0x23  # leap 0, version 4, mode 3
_SERVER = 4
_UNSYNCHRONIZED = 3
_STRATUM_MAX = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class NtpOptions(CheckOptions):
    """Options of the check `ntp`."""

    kind: ClassVar[str] = "ntp"

    stratum_max: Annotated[
        int,
        Ge(1),
        Le(_STRATUM_MAX),
        doc("Fail if the server is further than this from a reference clock."),
    ] = _STRATUM_MAX

    def make_probe(self) -> Probe:
        """A probe that asks once."""
        return NtpProbe(self.stratum_max)


class NtpProbe:
    """Asks once."""

    __slots__ = ("_stratum_max",)

    def __init__(self, stratum_max: int) -> None:
        self._stratum_max = stratum_max

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Ask once; raises ProbeError if that could not be tried."""
        from checkers.datagram import ask, open_datagram

        # A random transmit timestamp tells no time and cannot be guessed; the server repeats it.
        stamp = os.urandom(8)
        question = bytes((_CLIENT_V4,)) + bytes(_LENGTH - 9) + stamp
        recording = Recording(keep_transcript=keep_transcript)
        return await ask(
            open_datagram(target),
            question,
            lambda answer: self._judge(answer, stamp),
            timeout_s,
            recording,
        )

    def _judge(self, answer: bytes, stamp: bytes) -> str | None:
        if len(answer) < _LENGTH or answer[0] & 7 != _SERVER:
            raise Failure(Reason.L7_PROTOCOL, f"{quoted(answer, 40)} is no answer of NTP")
        if answer[24:32] != stamp:
            return None
        leap, stratum = answer[0] >> 6, answer[1]
        if stratum == 0:
            code = quoted(answer[12:16].rstrip(b"\0"), 4)
            raise Failure(Reason.L7_STATUS, f"refused: kiss of death {code}")
        if leap == _UNSYNCHRONIZED or stratum > _STRATUM_MAX:
            raise Failure(Reason.L7_STATUS, f"not synchronized (stratum {stratum})")
        if stratum > self._stratum_max:
            raise Failure(
                Reason.L7_CONTENT, f"stratum {stratum}, expected {self._stratum_max} at most"
            )
        return f"synchronized, stratum {stratum}, answered"
