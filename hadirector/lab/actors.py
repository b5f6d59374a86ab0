"""Actors: the real servers of the world, one small process each.

The problem: servers must satisfy the checks the file configures and say to clients who answered,
and in the embedded kernel every system call costs about 50 microseconds while a client asks every
10 ms. The approach: one forked process per server with one epoll loop; answers are ready-made
bytes, looked up by path; the kernel hands a connection over only once its request is there
(TCP_DEFER_ACCEPT), so that a request costs five calls: wait, accept, receive, send, close.

A server can die (`kill`), hang (`freeze`, `thaw`) and answer wrongly (`misbehave`: status 503).
It must never: keep a connection's state beyond its request, or answer what was not asked.
"""

from __future__ import annotations

import contextlib
import http
import select
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hadirector.ipvs.model import Protocol
from hadirector.lab.certificates import make_certificate
from hadirector.lab.forked import Forked, Ready
from hadirector.lab.roles import Answer, Listener
from hadirector.lab.world import RealServer

if TYPE_CHECKING:
    import ssl  # at run time only where a port speaks TLS: it is slow to import

NAME_HEADER: Final = b"Server-Name: "
BACKLOG: Final = 512
REQUEST_MAX: Final = 16384
DATAGRAM_MAX: Final = 2048
TLS_BOUND_S: Final = 2.0
TLS_HANDSHAKE: Final = 0x16
UNAVAILABLE: Final = 503


class Actor:
    """The process of one real server. `certificate`: PEM file with key and chain, for TLS ports."""

    def __init__(self, server: RealServer, *, certificate: Path | None = None) -> None:
        self.server = server
        self._forked = Forked(
            f"real server {server.name}",
            server.machine.namespace,
            lambda ready: _serve(server, certificate, ready),
        )

    @property
    def runs(self) -> bool:
        """Whether its process was started and not killed."""
        return self._forked.pid is not None

    def start(self) -> None:
        """Start it, and wait until it listens. Raises LabError."""
        self._forked.start()
        try:
            self._forked.await_ready()
        except BaseException:
            self._forked.kill()
            raise

    def kill(self) -> None:
        """Its process dies: from now on its ports refuse connections."""
        self._forked.kill()

    def freeze(self) -> None:
        """It hangs: the kernel still accepts connections, nobody answers."""
        self._forked.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._forked.signal(signal.SIGCONT)

    def misbehave(self) -> None:
        """It answers every request with status 503; called again, it behaves."""
        self._forked.signal(signal.SIGUSR1)


def start_actors(servers: Mapping[str, RealServer], directory: Path) -> dict[str, Actor]:
    """Start all real servers; where some speak TLS, with a certificate made in `directory`.

    Directors that verify it must trust `directory / certificates.CERTIFICATE` (SSL_CERT_FILE).
    Raises LabError when one does not start; then none is left.
    """
    certificate = make_certificate(servers.values(), directory)
    actors = {name: Actor(server, certificate=certificate) for name, server in servers.items()}
    try:
        for actor in actors.values():
            actor.start()
    except BaseException:
        for actor in actors.values():
            actor.kill()
        raise
    return actors


def response(name: str, answer: Answer) -> bytes:
    """The whole HTTP answer of a server called `name`."""
    body = f"{name}\n{answer.body}\n".encode()
    try:
        phrase = http.HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = "Configured"
    head = f"HTTP/1.1 {answer.status} {phrase}\r\n".encode()
    length = f"\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return head + NAME_HEADER + name.encode() + length + body


class Answers:
    """Which bytes answer which request, per port."""

    def __init__(self, name: str, answers: Mapping[str, Answer]) -> None:
        self._default = response(name, Answer())
        self._by_path = {path.encode(): response(name, each) for path, each in answers.items()}
        self._wrong = response(name, Answer(UNAVAILABLE))
        self.wrong = False

    def to(self, request: bytes) -> bytes:
        """The answer to a request whose first line is complete."""
        method, _, rest = request.partition(b" ")
        path = rest.partition(b" ")[0]
        answer = self._wrong if self.wrong else self._by_path.get(path, self._default)
        if method == b"HEAD":
            return answer[: answer.index(b"\r\n\r\n") + 4]
        return answer


def _serve(server: RealServer, certificate: Path | None, ready: Ready) -> None:
    """The life of one real server's process."""
    loop = _Loop(server, certificate)
    signal.signal(signal.SIGUSR1, lambda _number, _frame: loop.misbehave())
    ready()
    loop.run()


class _Loop:
    """One epoll loop over all ports and all kept connections of a server."""

    def __init__(self, server: RealServer, certificate: Path | None) -> None:
        self._name = server.name
        self._epoll = select.epoll()
        self._ports: dict[int, tuple[socket.socket, Answers]] = {}
        self._datagram_ports: dict[int, socket.socket] = {}
        self._connections: dict[int, tuple[socket.socket, Answers]] = {}
        self._partial: dict[int, bytes] = {}
        self._kept: set[int] = set()
        self._tls = _tls_context(certificate)
        for listener in server.listeners:
            if listener.protocol == Protocol.UDP:
                for address in server.udp_addresses:
                    self._open_datagram_port((str(address), listener.port))
            else:
                self._open_port(listener)

    def _open_port(self, listener: Listener) -> None:
        port = socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        port.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
        port.bind(("::", listener.port))
        port.listen(BACKLOG)
        self._ports[port.fileno()] = (port, Answers(self._name, listener.answers))
        self._epoll.register(port.fileno(), select.EPOLLIN)

    def _open_datagram_port(self, address: tuple[str, int]) -> None:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        port = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        port.bind(address)
        self._datagram_ports[port.fileno()] = port
        self._epoll.register(port.fileno(), select.EPOLLIN)

    def misbehave(self) -> None:
        for _, answers in self._ports.values():
            answers.wrong = not answers.wrong

    def run(self) -> None:
        while True:
            for descriptor, _ in self._epoll.poll():
                with contextlib.suppress(OSError):  # the peer went away
                    if descriptor in self._ports:
                        self._accept(*self._ports[descriptor])
                    elif descriptor in self._datagram_ports:
                        self._echo(self._datagram_ports[descriptor])
                    elif descriptor in self._connections:
                        self._answer(*self._connections[descriptor])

    def _accept(self, port: socket.socket, answers: Answers) -> None:
        connection, _ = port.accept()
        self._connections[connection.fileno()] = (connection, answers)
        self._answer(connection, answers)

    def _echo(self, port: socket.socket) -> None:
        data, sender = port.recvfrom(DATAGRAM_MAX)
        port.sendto(data + b" " + self._name.encode(), sender)

    def _answer(self, connection: socket.socket, answers: Answers) -> None:
        """Answer the request that has arrived, and close unless the client wants to go on."""
        descriptor = connection.fileno()
        try:
            data = connection.recv(REQUEST_MAX, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._keep(descriptor)
            return
        except OSError:
            self._forget(connection)
            return
        if data and data[0] == TLS_HANDSHAKE and self._tls is not None:
            self._answer_tls(connection, data, answers)
            return
        request = self._partial.pop(descriptor, b"") + data
        if not data or len(request) > REQUEST_MAX:
            self._forget(connection)
        elif not request.endswith(b"\r\n\r\n"):
            self._partial[descriptor] = request
            self._keep(descriptor)
        elif b"\r\nConnection: close\r\n" in request:
            # MSG_MORE holds the answer back until close, so that it leaves in one packet with FIN.
            with contextlib.suppress(OSError):
                connection.send(answers.to(request), socket.MSG_MORE | socket.MSG_DONTWAIT)
            self._forget(connection)
        else:
            connection.send(answers.to(request), socket.MSG_DONTWAIT)
            self._keep(descriptor)

    def _answer_tls(self, connection: socket.socket, first: bytes, answers: Answers) -> None:
        """A whole TLS conversation at once: rare, short, and bounded."""
        import ssl

        assert self._tls is not None
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        incoming.write(first)
        tls = self._tls.wrap_bio(incoming, outgoing, server_side=True)
        connection.settimeout(TLS_BOUND_S)
        request = b""
        with contextlib.suppress(OSError):
            while not request.endswith(b"\r\n\r\n"):
                try:
                    request += tls.read(REQUEST_MAX)
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    if not (data := connection.recv(REQUEST_MAX)):
                        break
                    incoming.write(data)
            else:
                tls.write(answers.to(request))
                with contextlib.suppress(ssl.SSLError):
                    tls.unwrap()
                connection.sendall(outgoing.read())
        self._forget(connection)

    def _keep(self, descriptor: int) -> None:
        if descriptor not in self._kept:
            self._kept.add(descriptor)
            self._epoll.register(descriptor, select.EPOLLIN)

    def _forget(self, connection: socket.socket) -> None:
        descriptor = connection.fileno()
        self._connections.pop(descriptor, None)
        self._partial.pop(descriptor, None)
        self._kept.discard(descriptor)  # closing takes it out of the epoll set as well
        connection.close()


def _tls_context(certificate: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
