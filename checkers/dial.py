"""Opening a TCP connection for a probe, and saying who is at fault when that fails.

The problem: an operating-system error while connecting means either "the server refused or could
not be reached" (a failed probe) or "this host could not even try" (a ProbeError), and asyncio's
streams hide the difference. The approach: connect on a raw non-blocking socket. What `connect(2)`
itself returns is, but for the answers of a server on this very host, our own side: no descriptor,
no buffer, no port left, no permission (a local firewall), no route. What arrives later through
SO_ERROR came from the network, and counts against the server.

    from connect(2) at once                                  later, through SO_ERROR
    ECONNREFUSED, ECONNRESET, ETIMEDOUT   the server         everything: the server or the way to it
    anything else                         ProbeError

A router's or the neighbour table's "unreachable" arrives later and therefore counts as a failure;
"no route" in our own table arrives at once and does not.

Must never wait longer than its caller's own timeout scope, and never leave a descriptor behind.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from ipaddress import IPv6Address

from checkers.base import ANY_WAY, ProbeError, Reason, Target
from checkers.recording import Failure, Recording
from checkers.way import not_made, open_socket

_ANSWERS = {
    errno.ECONNREFUSED: (Reason.L4_REFUSED, "connection refused"),
    errno.ECONNRESET: (Reason.L4_RESET, "connection reset"),
    errno.ETIMEDOUT: (Reason.L4_TIMEOUT, "connection timed out"),
}
"""What a server's own host answers, be it another host or this one."""


async def dial(target: Target, recording: Recording) -> socket.socket:
    """Connect and return the non-blocking socket, which is the caller's to close.

    Raises Failure if the server is at fault, ProbeError if we are. Waits for ever otherwise: to be
    called within `asyncio.timeout`, whose end is the caller's to report as L4_TIMEOUT.
    """
    if target.way == ANY_WAY:
        recording.note("connect to %s", target)
    else:
        recording.note("connect to %s %s", target, target.way)
    connection = open_socket(target, socket.SOCK_STREAM)
    try:
        await _connect(connection, target)
        # On this very host, a closed port in the ephemeral range can be hit by the one socket whose
        # own port it happens to be (TCP simultaneous open, RFC 9293 3.5): nobody answered.
        if connection.getsockname() == connection.getpeername():
            raise Failure(Reason.L4_REFUSED, "connection refused (connected to itself)")
    except BaseException as error:
        connection.close()
        if isinstance(error, OSError):  # from getpeername(): reset between connect and here
            raise Failure(Reason.L4_RESET, "connection reset") from error
        raise
    recording.note("connected")
    return connection


async def _connect(connection: socket.socket, target: Target) -> None:
    code = connection.connect_ex(socket_address(target))
    if code == 0:
        return
    if code in _ANSWERS:
        raise Failure(*_ANSWERS[code])
    if code != errno.EINPROGRESS:
        raise not_made(f"no connection to {target}", OSError(code, os.strerror(code)))
    await _writable(connection)
    code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        unreachable = (Reason.L4_UNREACHABLE, os.strerror(code).lower())
        raise Failure(*_ANSWERS.get(code, unreachable))


async def _writable(connection: socket.socket) -> None:
    """Wait until the connection is decided; the selector then calls it writable either way."""
    loop = asyncio.get_running_loop()
    decided: asyncio.Future[None] = loop.create_future()

    def decide() -> None:
        if not decided.done():
            decided.set_result(None)

    try:
        loop.add_writer(connection, decide)
    except OSError as error:  # epoll's own limits: max_user_watches, memory
        raise not_made("cannot wait for the connection", error) from error
    try:
        await decided
    finally:
        loop.remove_writer(connection)


def socket_address(target: Target) -> tuple[str, int] | tuple[str, int, int, int]:
    """The target as the socket module wants it. Raises ProbeError if its zone does not exist."""
    address = target.address
    if not isinstance(address, IPv6Address):
        return target.host, target.port
    if address.scope_id is None:
        return target.host, target.port, 0, 0
    try:  # link-local, as in fe80::1%eth0
        scope = socket.if_nametoindex(address.scope_id)
    except OSError as error:
        raise ProbeError(f"no interface {address.scope_id} for {target}") from error
    return target.host, target.port, 0, scope
