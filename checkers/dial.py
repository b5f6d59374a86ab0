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

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
"""As the socket module has it: host and port, and of IPv6 flow and scope besides."""

_ANSWERS = {
    errno.ECONNREFUSED: (Reason.L4_REFUSED, "connection refused"),
    errno.ECONNRESET: (Reason.L4_RESET, "connection reset"),
    errno.ETIMEDOUT: (Reason.L4_TIMEOUT, "connection timed out"),
}
"""What a server's own host answers, be it another host or this one."""
_OUR_FAULT = {errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.EPERM}
"""Errors on a connection that say nothing about its other end."""


async def dial(target: Target, recording: Recording) -> socket.socket:
    """Connect and return the non-blocking socket, which is the caller's to close.

    Raises Failure if the server is at fault, ProbeError if we are. Waits for ever otherwise: to be
    called within `asyncio.timeout`, whose end is the caller's to report as L4_TIMEOUT.
    """
    if target.way == ANY_WAY:
        recording.note("connect to %s", target)
    else:
        recording.note("connect to %s %s", target, target.way)
    connection = begin(target, socket_address(target))
    try:
        await _writable(connection)
        check_connected(connection, target.port)
    except BaseException:
        connection.close()
        raise
    recording.note("connected")
    return connection


def begin(target: Target, address: SocketAddress) -> socket.socket:
    """Begin to connect; the socket is writable, and not before, when that is decided.

    `address` is the target's `socket_address`. Raises Failure or ProbeError.
    """
    connection = open_socket(target, socket.SOCK_STREAM)
    code = connection.connect_ex(address)
    if code in (0, errno.EINPROGRESS):
        return connection
    connection.close()
    if code in _ANSWERS:
        raise Failure(*_ANSWERS[code])
    raise not_made(f"no connection to {target}", OSError(code, os.strerror(code)))


def check_connected(connection: socket.socket, port: int) -> None:
    """Raise Failure unless a connection to this port that is decided was made."""
    code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise Failure(*_ANSWERS.get(code, (Reason.L4_UNREACHABLE, os.strerror(code).lower())))
    check_others(connection, port)


def check_others(connection: socket.socket, port: int) -> None:
    """Raise Failure if the other end of a connection that was made to this port is its own.

    On this very host, a closed port in the ephemeral range can be hit by the one socket whose own
    port it happens to be (TCP simultaneous open, RFC 9293 3.5): nobody answered.
    """
    try:
        ours = connection.getsockname()
        itself = ours[1] == port and ours == connection.getpeername()
    except OSError as error:  # reset between connect and here
        raise Failure(Reason.L4_RESET, "connection reset") from error
    if itself:
        raise Failure(Reason.L4_REFUSED, "connection refused (connected to itself)")


def lost(target: Target, error: OSError) -> Failure | ProbeError:
    """What an error on a connection that was made says, and about whom."""
    reason = (error.strerror or str(error)).lower()
    if error.errno in _OUR_FAULT:
        return ProbeError(f"the connection to {target} cannot be used: {reason}")
    return Failure(Reason.L7_CLOSED, f"connection lost: {reason}")


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


def socket_address(target: Target) -> SocketAddress:
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
