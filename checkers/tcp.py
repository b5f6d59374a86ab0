"""The check `tcp`: does the server accept a connection?

The cheapest check there is, and the right one where nothing is known of the protocol. It says only
that the server's kernel completed the handshake: a process that hangs behind its listen queue
passes until the queue is full. Where the protocol is known, check that.

Must never send or read a byte of payload.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from checkers.base import CheckOptions, Probe, Reason, Result, Target
from checkers.recording import Failure, Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpOptions(CheckOptions):
    """Options of the check `tcp`: only those that every check has."""

    kind: ClassVar[str] = "tcp"

    def make_probe(self) -> Probe:
        """A probe that connects and closes."""
        return TcpProbe()


class TcpProbe:
    """Connects and closes."""

    __slots__ = ()

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Connect once; raises ProbeError if that could not be tried."""
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
