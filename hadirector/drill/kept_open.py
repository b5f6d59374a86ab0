"""Connections that a client holds open over a drill, and which of them survived.

The problem: a connection that says nothing looks alive whatever became of it, and what a service
would answer is not known here. The approach: the kernel's own keepalive asks the other end once a
second; a connection whose last acknowledgement is young is alive, whatever is spoken on it.

Reference: tcp(7), `struct tcp_info` in linux/tcp.h.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from checkers.base import Target

CONNECT_S: Final = 2.0
ASK_EVERY_S: Final = 1
ASKED_MAX: Final = 120  # unanswered, before the kernel gives a connection up: longer than a drill
ACKNOWLEDGED_LATELY_MS: Final = 2500
SETTLE_S: Final = 3.0
"""After the last outage, until each has been asked again."""

_ESTABLISHED, _CLOSE_WAIT = 1, 8
_TCP_INFO_BYTES: Final = 104
_LAST_ACK_RECEIVED: Final = 56  # tcpi_last_ack_recv, ms


@dataclass(frozen=True, slots=True)
class Kept:
    """How many were opened, are alive, and were closed in good order by the other end."""

    opened: int
    kept: int
    closed: int


class KeptOpen:
    """Opens the connections on entering; those that cannot be opened are not counted as lost."""

    def __init__(self, target: Target, number: int) -> None:
        self._target = target
        self._number = number
        self._open: list[socket.socket] = []
        self._exits = ExitStack()

    def __enter__(self) -> KeptOpen:
        """Open them, for CONNECT_S in all."""
        deadline = time.monotonic() + CONNECT_S
        for _ in range(self._number):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            with suppress(OSError):
                self._open.append(self._exits.enter_context(self._connect(left)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close them."""
        self._exits.close()

    def count(self) -> Kept:
        """How many are alive now; waits until each has been asked again."""
        if self._open:
            time.sleep(SETTLE_S)
        found = [_look(each) for each in self._open]
        alive = sum(state == _ESTABLISHED and age <= ACKNOWLEDGED_LATELY_MS for state, age in found)
        closed = sum(state == _CLOSE_WAIT for state, _ in found)
        return Kept(opened=len(found), kept=alive, closed=closed)

    def _connect(self, wait_s: float) -> socket.socket:
        address, port = str(self._target.address), self._target.port
        source = self._target.way.source
        made = socket.create_connection(
            (address, port), wait_s, None if source is None else (str(source), 0)
        )
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, ASK_EVERY_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, ASK_EVERY_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, ASKED_MAX)
        return made


def _look(connection: socket.socket) -> tuple[int, int]:
    """Its state, and how long ago the other end last acknowledged anything, in ms."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    (age_ms,) = struct.unpack_from("=I", info, _LAST_ACK_RECEIVED)
    return info[0], age_ms
