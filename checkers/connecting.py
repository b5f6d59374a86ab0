"""Quick probes that connect: `tcp` without a dialogue, and its `hold`.

Without `hold`, a connection is closed as soon as it is made. With it, the connection of one probe
is kept until that of the next one has been made, so that none is ever older than an interval: there
is always one idle connection, and the moment that a server's kernel closes or resets it is seen.

What that means is asked at once, by connecting anew. Refused or reset: the process is gone, and the
failure decides by itself, whatever `fall` says. Connected: a server may close an idle connection,
or one worker of several has ended; the new connection is held instead, and nothing is told. Any
other failure is a failure like any other. A server that keeps closing is asked again ever later,
from `limits.HELD_AGAIN_S` on and doubling, until its next probe in turn.

Must never send or read a byte of payload, nor hold more than one connection besides the one that is
being made.
"""

from __future__ import annotations

import socket
from dataclasses import replace

from checkers import limits
from checkers.base import ANY_WAY, ProbeError, Reason
from checkers.dial import begin, check_connected, check_others, socket_address
from checkers.poller import BROKEN, CLOSED_BY_PEER, WRITABLE
from checkers.quick import Place
from checkers.recording import Failure, Recording
from checkers.way import not_made

_GONE = (Reason.L4_REFUSED, Reason.L4_RESET)


class Connecting:
    """Connects and closes."""

    __slots__ = ("_address", "_connection", "_place", "_recording", "_what", "_where")

    def __init__(self, place: Place) -> None:
        target = place.target
        self._place = place
        # A zone's number changes when its interface is made anew: that one is looked up each time.
        fixed = getattr(target.address, "scope_id", None) is None
        self._address = socket_address(target) if fixed else None
        self._where = (target,) if target.way == ANY_WAY else (target, target.way)
        self._what = "connect to" + " %s" * len(self._where)
        self._connection: socket.socket | None = None
        self._recording: Recording

    def start(self) -> None:
        """Begin to connect."""
        place = self._place
        self._recording = Recording(keep_transcript=place.keep_transcript)
        self._recording.note(self._what, *self._where)
        try:
            connection = begin(place.target, self._address or socket_address(place.target))
        except Failure as failure:
            self._failed(failure)
            return
        except ProbeError as error:
            place.ended(error)
            return
        try:
            place.poller.watch(connection.fileno(), WRITABLE, self._decided)
        except OSError as error:  # epoll's own limits: max_user_watches, memory
            connection.close()
            place.ended(not_made("cannot wait for the connection", error))
            return
        self._connection = connection

    def expire(self) -> None:
        """There is no verdict in time."""
        self._drop()
        try:
            self._recording.check_punctual(self._place.timeout_s)
        except ProbeError as error:
            self._place.ended(error)
            return
        self._failed(self._late())

    def close(self) -> None:
        """Have no connection any more."""
        self._drop()

    def _decided(self, events: int) -> None:
        connection = self._connection
        assert connection is not None
        try:
            if events & BROKEN:
                check_connected(connection, self._place.target.port)
            else:
                check_others(connection, self._place.target.port)
        except Failure as failure:
            self._drop()
            self._failed(failure)
            return
        self._recording.note("connected")
        self._connected()

    def _connected(self) -> None:
        self._drop()
        self._place.ended(self._recording.passed("connected"))

    def _late(self) -> Failure:
        return Failure(Reason.L4_TIMEOUT, "no connection")

    def _failed(self, failure: Failure) -> None:
        self._place.ended(self._recording.failed(failure))

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._place.poller.forget(connection.fileno())
            connection.close()


class Holding(Connecting):
    """Connects, and keeps the connection until it has the next."""

    __slots__ = ("_asked_again", "_held", "_hurried", "_lost")

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._held: socket.socket | None = None
        self._lost = False  # and not known yet why
        self._hurried = False  # the next start is out of turn, or this one was
        self._asked_again = 0  # times since the last probe in turn

    def start(self) -> None:
        """Begin to connect, in turn or because the connection was lost."""
        self._asked_again = self._asked_again + 1 if self._hurried else 0
        super().start()

    def close(self) -> None:
        """Have no connection any more."""
        super().close()
        self._let_go()

    def _connected(self) -> None:
        self._let_go()
        held, self._connection = self._connection, None
        assert held is not None
        self._place.poller.change(held.fileno(), CLOSED_BY_PEER | BROKEN, self._closed)
        self._held = held
        self._lost = False
        hurried, self._hurried = self._hurried, False
        self._place.ended(None if hurried else self._recording.passed("connected, and held"))

    def _failed(self, failure: Failure) -> None:
        lost, self._lost, self._hurried = self._lost, False, False
        if not lost or failure.reason not in _GONE:
            super()._failed(failure)
            return
        what = f"held connection lost, new one: {failure.what}"
        result = self._recording.failed(Failure(failure.reason, what))
        self._place.ended(replace(result, decisive=True))

    def _closed(self, _: int) -> None:
        self._let_go()
        self._lost = True
        again = self._asked_again
        pause_s = limits.HELD_AGAIN_S * 2 ** (again - 1) if again else 0.0
        # Not where a probe is under way or due before: that one says what the loss means.
        self._hurried = self._place.hurry(pause_s)

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._place.poller.forget(held.fileno())
            held.close()
