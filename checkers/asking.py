"""A quick probe that asks one thing over HTTP/1.1 and reads the reply.

It connects as `checkers.connecting` does. Once connected, it sends the request, which was made when
the probe was, and feeds what comes to `checkers.exchange` until that knows the verdict; then it
closes, whatever else the server may have to say.

Must never read more than one piece of a reply before everybody else gets a turn.
"""

from __future__ import annotations

from checkers.base import ProbeError
from checkers.connecting import Connecting
from checkers.dial import lost
from checkers.exchange import Exchange, Request
from checkers.poller import READABLE, WRITABLE
from checkers.quick import Place
from checkers.recording import Failure
from checkers.replies import Expected, judge

_READ_BYTES = 16_384


class Asking(Connecting):
    """Connects, asks, and judges the reply."""

    __slots__ = ("_data", "_exchange", "_expected", "_request", "_unsent")

    def __init__(self, place: Place, request: Request, expected: Expected) -> None:
        super().__init__(place)
        self._request = request
        self._expected = expected
        self._data = request.encoded()
        self._unsent = b""
        self._exchange: Exchange | None = None  # there is none before there is a connection

    def start(self) -> None:
        """Begin to connect."""
        self._exchange = None
        super().start()

    def _connected(self) -> None:
        self._recording.note("> %s", self._request)
        self._exchange = Exchange(self._request, self._recording)
        self._unsent = self._data
        self._go_on(WRITABLE)

    def _late(self) -> Failure:
        return super()._late() if self._exchange is None else self._exchange.timed_out()

    def _go_on(self, events: int) -> None:
        """Send and read what can be; ends the probe once its verdict is known."""
        place = self._place
        try:
            sentence = self._advance(events)
        except Failure as failure:
            self._drop()
            self._failed(failure)
        except ProbeError as error:
            self._drop()
            place.ended(error)
        except Exception as error:  # noqa: BLE001 - as at a task's boundary; told as a ProbeError
            self._drop()
            unexpected = ProbeError(f"unexpected {type(error).__name__}: {error}")
            unexpected.__cause__ = error
            place.ended(unexpected)
        else:
            if sentence is not None:
                self._drop()
                place.ended(self._recording.passed(sentence))

    def _advance(self, events: int) -> str | None:
        """What to say of a pass, once it is known; raises Failure or ProbeError."""
        connection, exchange = self._connection, self._exchange
        assert connection is not None
        assert exchange is not None
        try:
            if self._unsent:
                if events & WRITABLE:
                    self._unsent = self._unsent[connection.send(self._unsent) :]
                    # A server may answer before it has taken all of a request.
                    awaited = READABLE | WRITABLE if self._unsent else READABLE
                    self._place.poller.change(connection.fileno(), awaited, self._go_on)
                if not events & ~WRITABLE:
                    return None
            data = connection.recv(_READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise lost(self._place.target, error) from error
        reply = exchange.hear(data)
        return None if reply is None else judge(self._expected, reply)
