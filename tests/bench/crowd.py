"""Clients that hold connections through a failover, and the server that they talk to.

A crowd lives in the benchmark's own process: its sockets are opened inside the client's network
namespace, and stay there. Those that talk send a word twice a second; the silent ones have only
completed the handshake. Whether one survived is asked in the end: is a last word answered?
"""

from __future__ import annotations

import select
import selectors
import socket
import struct
import time
from contextlib import suppress

from hadirector.lab.forked import Forked, Ready
from hadirector.lab.namespaces import inside

CONNECT_S = 5.0
TALK_EVERY_S = 0.5
LAST_WORD_S = 20.0
"""As long as a kernel needs to send again what was lost in an outage of some seconds."""
HELD_MAX = 600
"""Connections that a server holds: two crowds. Nobody tells it of the end of one that its director
has lost, so without a bound it would run out of descriptors after some failovers."""
RESET = struct.pack("ii", 1, 0)


def echo_server(name: str, namespace: str, port: int) -> Forked:
    """A real server that says back what it hears, as a process of its own in its namespace."""

    def run(ready: Ready) -> None:
        listener = socket.create_server(("", port), backlog=512)
        loop = selectors.DefaultSelector()
        loop.register(listener, selectors.EVENT_READ)
        held: dict[socket.socket, None] = {}  # in order of age

        def end(connection: socket.socket) -> None:
            del held[connection]
            loop.unregister(connection)
            connection.close()

        ready()
        while True:
            for key, _ in loop.select():
                assert isinstance(key.fileobj, socket.socket)
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    loop.register(connection, selectors.EVENT_READ)
                    held[connection] = None
                    continue
                heard = b""
                with suppress(OSError):
                    heard = key.fileobj.recv(4096)
                    key.fileobj.sendall(heard)
                if not heard:
                    end(key.fileobj)
            while len(held) > HELD_MAX:
                oldest = next(iter(held))
                # With a reset, which a new connection of the same port does not answer.
                oldest.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end(oldest)

    return Forked(name, namespace, run)


class Crowd:
    """Connections to one service: `talking` ones, and `silent` ones."""

    def __init__(self, namespace: str, address: tuple[str, int], *, talking: int, silent: int):
        with inside(namespace):
            opened = [
                socket.create_connection(address, timeout=CONNECT_S)
                for _ in range(talking + silent)
            ]
        for each in opened:
            each.setblocking(False)
        self._talking, self._silent = opened[:talking], opened[talking:]

    def talk(self, seconds: float) -> None:
        """Let time pass; the talking ones go on all the while, spread over their interval."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            for number, each in enumerate(self._talking):
                due = now + (number + 1) * TALK_EVERY_S / len(self._talking)
                with suppress(OSError):  # it is counted at the end
                    each.recv(4096)
                with suppress(OSError):
                    each.send(b"word")
                time.sleep(max(0.0, due - time.monotonic()))

    def survivors(self) -> tuple[int, int]:
        """How many of the talking and of the silent ones answer a last word."""
        for each in self._talking:
            with suppress(OSError):
                while each.recv(4096):
                    pass  # what was said before
        mark = b"\nthe last word"
        asked = {each.fileno(): each for each in (*self._talking, *self._silent)}
        said = dict.fromkeys(asked, b"")
        answered: set[int] = set()
        waiting: set[int] = set()
        poll = select.poll()
        for number, each in asked.items():
            with suppress(OSError):
                each.send(mark)
                poll.register(number, select.POLLIN)
                waiting.add(number)
        until = time.monotonic() + LAST_WORD_S
        while waiting and (left_s := until - time.monotonic()) > 0:
            for number, _ in poll.poll(left_s * 1000):
                heard = b""
                with suppress(OSError):
                    heard = asked[number].recv(4096)
                said[number] += heard
                if said[number].endswith(mark):
                    answered.add(number)
                if not heard or number in answered:  # not heard: it was reset
                    poll.unregister(number)
                    waiting.discard(number)
        kept = tuple(
            sum(each.fileno() in answered for each in crowd)
            for crowd in (self._talking, self._silent)
        )
        return kept[0], kept[1]

    def close(self) -> None:
        """End them all."""
        for each in (*self._talking, *self._silent):
            each.close()
