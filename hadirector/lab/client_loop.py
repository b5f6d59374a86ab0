"""Inside the client's process: one epoll loop for probes, long-lived connections and questions.

See `probes` for why, and for the questions. On one CPU the handshake is over when connect()
returns, so the request is sent at once, and only a connection that is not ready yet waits for it:
a probe costs socket, bind, connect, send, register, receive, close and a share of two waits.

It must never block but in epoll, except to hand over an answer to the lab process.
"""

from __future__ import annotations

import contextlib
import errno
import json
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from hadirector.ipvs.model import Protocol

IN_FLIGHT_MAX: Final = 512
BURST_MAX: Final = 3
"""Probes sent at once after a late wake-up; what was missed beyond that is let go."""
UNCOLLECTED_MAX: Final = 200_000
TOUCH_INTERVAL_S: Final = 0.5
"""From one request to the next on each long-lived connection."""
OPEN_BOUND_S: Final = 5.0
ANSWER_MAX: Final = 65536
PORT_FIRST: Final = 2048
PORT_LAST: Final = 64999
"""Source ports of probes."""

NAME_MARK: Final = b"\r\nServer-Name: "
REQUEST_ONCE: Final = b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n"
REQUEST_KEPT: Final = b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n"
DATAGRAM: Final = b"probe"

BOTH_WAYS: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET
WRITABLE: Final = select.EPOLLOUT
FAILED: Final = select.EPOLLERR

FAILURES: Final = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "timeout",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
}

Ended = tuple[int, float, float | None, str, str]
"""Target, sent at, answered at, server, failure: see `samples.Sample`."""


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """A service to ask: its protocol, its virtual address as text, its port."""

    protocol: Protocol
    address: str
    port: int


def failure_of(number: int) -> str:
    """A word for an error number."""
    return FAILURES.get(number, errno.errorcode.get(number, str(number)))


def read_answer(data: bytes) -> tuple[str, str]:
    """The server's name and what is wrong with an HTTP answer (empty: nothing)."""
    if not data:
        return "", "closed"
    name = data.partition(NAME_MARK)[2].partition(b"\r\n")[0].decode(errors="replace")
    status = data[9:12].decode(errors="replace")
    return name, "" if status == "200" else f"status {status}"


@dataclass(slots=True)
class _Target:
    family: socket.AddressFamily
    kind: socket.SocketKind
    address: tuple[str, int]
    request: bytes


@dataclass(slots=True)
class _Probe:
    socket: socket.socket
    target: int
    sent_at: float
    requested: bool


@dataclass(slots=True, eq=False)
class _Connection:
    """A long-lived connection. `asked` while a request is unanswered."""

    socket: socket.socket
    asked: bool = False
    alive: bool = True
    answered_at: float = -1.0


@dataclass(slots=True)
class _Question:
    """A question whose answer takes time: `done` tells when, `answer` what."""

    deadline: float
    done: Callable[[], bool]
    answer: Callable[[], object]


@dataclass(slots=True)
class _Connections:
    """All long-lived connections; `turn` is the order in which they are touched."""

    by_descriptor: dict[int, _Connection] = field(default_factory=dict)
    turn: deque[_Connection] = field(default_factory=deque)
    next_touch_at: float = 0.0


class ClientLoop:
    """The client's one loop."""

    def __init__(
        self,
        control: socket.socket,
        targets: Sequence[ProbeTarget],
        *,
        interval_s: float,
        bound_s: float,
    ) -> None:
        self._control = control
        self._unread = b""
        self._targets = [_resolve(target) for target in targets]
        self._tick_s = interval_s / max(1, len(targets))
        self._bound_s = bound_s
        self._next_at = time.monotonic()
        self._next_target = 0
        self._probes: dict[int, _Probe] = {}
        self._ended: deque[Ended] = deque(maxlen=UNCOLLECTED_MAX)
        self._connections = _Connections()
        self._port = PORT_LAST
        self._question: _Question | None = None
        self._epoll = select.epoll()
        self._epoll.register(control.fileno(), select.EPOLLIN)

    def run(self) -> None:
        """Until the process is killed or the lab process is gone."""
        now = time.monotonic()
        while True:
            if self._targets and now >= self._next_at:
                self._send_due(now)
            wait_s = max(0.0, self._next_at - now) if self._targets else TOUCH_INTERVAL_S
            events = self._epoll.poll(wait_s)
            # One look at the clock for all of them: here it is a system call like any other.
            now = time.monotonic()
            for descriptor, event in events:
                if (probe := self._probes.get(descriptor)) is not None:
                    self._progress(probe, event, now)
                elif descriptor == self._control.fileno():
                    if not self._hear(now):
                        return
                elif (kept := self._connections.by_descriptor.get(descriptor)) is not None:
                    self._talk(kept, event, now)
            self._expire(now)
            self._touch(now)
            self._reply(now)

    # Probes

    def _send_due(self, now: float) -> None:
        for _ in range(BURST_MAX):
            if now < self._next_at:
                return
            self._send(self._next_target, now)
            self._next_target = (self._next_target + 1) % len(self._targets)
            self._next_at += self._tick_s
        self._next_at = max(self._next_at, now)

    def _send(self, index: int, now: float) -> None:
        target = self._targets[index]
        if len(self._probes) >= IN_FLIGHT_MAX:
            self._ended.append((index, now, None, "", "too many in flight"))
            return
        sock = socket.socket(target.family, target.kind | socket.SOCK_NONBLOCK)
        self._bind_to_a_fresh_port(sock)
        probe = _Probe(sock, index, now, False)
        error = sock.connect_ex(target.address)
        if error in (0, errno.EINPROGRESS):
            try:
                sock.send(target.request)
                probe.requested = True
            except BlockingIOError:
                pass
            except OSError as failure:
                error = failure.errno or 0
        if error in (0, errno.EINPROGRESS):
            self._probes[sock.fileno()] = probe
            self._epoll.register(sock, select.EPOLLIN if probe.requested else BOTH_WAYS)
        else:
            sock.close()
            self._ended.append((index, now, None, "", failure_of(error)))

    def _bind_to_a_fresh_port(self, sock: socket.socket) -> None:
        """Take the next port in turn: IPVS sends a port it has seen to the same server as before.

        It remembers a datagram for 300 s and a connection for minutes, which is less than one turn
        of ports at 10 ms. A port used again too soon would ask a server that died long ago.
        """
        self._port = self._port + 1 if self._port < PORT_LAST else PORT_FIRST
        with contextlib.suppress(OSError):  # it is in use: then any port
            sock.bind(("", self._port))

    def _progress(self, probe: _Probe, event: int, now: float) -> None:
        try:
            if not probe.requested and event & WRITABLE and not event & FAILED:
                probe.socket.send(self._targets[probe.target].request)
                probe.requested = True
                return
            data = probe.socket.recv(ANSWER_MAX)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(probe, None, "", failure_of(error.errno or 0))
            return
        if self._targets[probe.target].kind == socket.SOCK_DGRAM:
            self._end(probe, now, data.rpartition(b" ")[2].decode(errors="replace"), "")
            return
        name, failure = read_answer(data)
        self._end(probe, None if failure else now, name, failure)

    def _end(self, probe: _Probe, answered_at: float | None, name: str, failure: str) -> None:
        del self._probes[probe.socket.fileno()]
        probe.socket.close()
        self._ended.append((probe.target, probe.sent_at, answered_at, name, failure))

    def _expire(self, now: float) -> None:
        """Probes are kept in the order in which they were sent, so the oldest is first."""
        while self._probes:
            oldest = next(iter(self._probes.values()))
            if now - oldest.sent_at < self._bound_s:
                return
            self._end(oldest, None, "", "timeout")

    # Long-lived connections

    def _open(self, count: int, index: int) -> None:
        target = self._targets[index]
        for _ in range(count):
            sock = socket.socket(target.family, target.kind | socket.SOCK_NONBLOCK)
            sock.connect_ex(target.address)
            connection = _Connection(sock)
            self._connections.by_descriptor[sock.fileno()] = connection
            self._connections.turn.append(connection)
            self._epoll.register(sock, BOTH_WAYS)

    def _talk(self, connection: _Connection, event: int, now: float) -> None:
        """Take in an answer; the first request leaves as soon as the connection stands."""
        try:
            data = connection.socket.recv(ANSWER_MAX)
        except BlockingIOError:
            if event & WRITABLE and connection.answered_at < 0:
                self._request(connection)
            return
        except OSError:
            data = b""
        if data:
            connection.answered_at = now
            connection.asked = False
        else:
            self._drop(connection)

    def _request(self, connection: _Connection) -> None:
        if connection.alive and not connection.asked:
            try:
                connection.socket.send(REQUEST_KEPT)
                connection.asked = True
            except BlockingIOError:
                pass
            except OSError:
                self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        if connection.alive:
            connection.alive = False
            del self._connections.by_descriptor[connection.socket.fileno()]
            connection.socket.close()

    def _touch(self, now: float) -> None:
        """One request on one connection at a time, spread evenly over the interval."""
        turn = self._connections.turn
        if turn and now >= self._connections.next_touch_at:
            self._connections.next_touch_at = now + TOUCH_INTERVAL_S / len(turn)
            turn.rotate(-1)
            if turn[0].answered_at >= 0:
                self._request(turn[0])

    # Questions

    def _hear(self, now: float) -> bool:
        """Take in a question; False when the lab process is gone."""
        data = self._control.recv(ANSWER_MAX)
        self._unread += data
        while b"\n" in self._unread:
            line, _, self._unread = self._unread.partition(b"\n")
            question = json.loads(line)
            if question["do"] == "collect":
                self._say(list(self._ended))
                self._ended.clear()
            elif question["do"] == "open":
                self._ask_open(int(question["count"]), int(question["target"]), now)
            else:
                self._ask_count(float(question["bound_s"]), now)
        return bool(data)

    def _ask_open(self, count: int, target: int, now: float) -> None:
        self._open(count, target)
        opened = list(self._connections.turn)[-count:]
        self._question = _Question(
            now + OPEN_BOUND_S,
            lambda: all(each.answered_at >= 0 or not each.alive for each in opened),
            lambda: sum(each.answered_at >= 0 for each in opened),
        )

    def _ask_count(self, bound_s: float, now: float) -> None:
        opened = [each for each in self._connections.turn if each.answered_at >= 0]
        for each in opened:
            self._request(each)

        def close_and_count() -> object:
            kept = sum(each.alive and each.answered_at > now for each in opened)
            for each in self._connections.turn:
                self._drop(each)
            self._connections.turn.clear()
            return [len(opened), kept]

        self._question = _Question(
            now + bound_s,
            lambda: all(each.answered_at > now or not each.alive for each in opened),
            close_and_count,
        )

    def _reply(self, now: float) -> None:
        question = self._question
        if question is not None and (question.done() or now >= question.deadline):
            self._question = None
            self._say(question.answer())

    def _say(self, answer: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._control.sendall(json.dumps(answer).encode() + b"\n")


def _resolve(target: ProbeTarget) -> _Target:
    family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
    address = (target.address, target.port)
    if target.protocol == Protocol.UDP:
        return _Target(family, socket.SOCK_DGRAM, address, DATAGRAM)
    return _Target(family, socket.SOCK_STREAM, address, REQUEST_ONCE)
