"""A quick probe that opens no connection: SYN, SYN-ACK, RST (RFC 9293 3.5).

The problem: a probe that connects costs the server a connection, a place in its listen queue and a
line in many a log. The approach: `checkers.segments` sends a SYN and hears who answered; the kernel
knows of no such connection and resets it by itself.

If the address that the routing table has us send from has changed since the SYN was made, the probe
could not be made as it should, and the server is not to blame. Must never blame a server for what
this host did not send.
"""

from __future__ import annotations

from checkers.base import ANY_WAY, ProbeError, Reason
from checkers.quick import Place
from checkers.recording import Failure, Recording
from checkers.segments import RST, Asked, Sender


class HalfOpen:
    """Asks one target for a connection, and takes none."""

    __slots__ = ("_asked", "_awaited", "_place", "_recording", "_sender", "_what", "_where")

    def __init__(self, place: Place) -> None:
        target = place.target
        self._place = place
        self._where = (target,) if target.way == ANY_WAY else (target, target.way)
        self._what = "SYN to" + " %s" * len(self._where)
        self._recording: Recording
        self._sender: Sender | None = None
        self._asked: Asked | None = None  # looked up anew after a failure
        self._awaited: int | None = None

    def start(self) -> None:
        """Send the SYN."""
        place = self._place
        self._recording = Recording(keep_transcript=place.keep_transcript)
        self._recording.note(self._what, *self._where)
        try:
            if self._sender is None:
                self._sender = place.senders.towards(place.target)
            if self._asked is None:
                self._asked = self._sender.look_up(place.target)
            self._awaited = self._sender.ask(self._asked, self._answered)
        except ProbeError as error:
            self._asked = None
            place.ended(error)

    def expire(self) -> None:
        """No answer in time."""
        place, asked = self._place, self._asked
        self._forget()
        self._asked = None
        try:
            self._recording.check_punctual(place.timeout_s)
            now = place.senders.towards(place.target).look_up(place.target)
            if asked is not None and now.source != asked.source:
                raise ProbeError(f"sent from {asked.source}, but the way is from {now.source} now")
        except ProbeError as error:
            place.ended(error)
            return
        place.ended(self._recording.failed(Failure(Reason.L4_TIMEOUT, "no answer to the SYN")))

    def close(self) -> None:
        """Await nothing any more."""
        self._forget()

    def _answered(self, flags: int) -> None:
        self._awaited = None
        if flags & RST:
            failure = Failure(Reason.L4_REFUSED, "connection refused")
            self._place.ended(self._recording.failed(failure))
            return
        if self._place.keep_transcript:
            self._recording.note("SYN-ACK came; the kernel resets")
        self._place.ended(self._recording.passed("SYN answered"))

    def _forget(self) -> None:
        if self._awaited is not None and self._sender is not None:
            self._sender.forget(self._awaited)
            self._awaited = None
