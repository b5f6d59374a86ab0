"""One question in a datagram, and the answer: for `udp`, `dns`, `ntp` and their like.

The problem: without connections, silence, an answer to somebody else and "nobody listens" (ICMP)
must be told apart. The approach: a *connected* datagram socket, which takes packets from the target
only and reports ICMP errors as errors of the socket. Linux reports only "port unreachable" unless
asked for all of them (IP_RECVERR, ip(7)). A kind supplies the question and a judge, which says what
an answer is worth; None means that it answers something else.

A flood of datagrams that answer something else gives way to everybody else after each of them.
Must never send twice: a lost datagram is a failed probe, and rise and fall exist for that.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from ipaddress import IPv6Address

from checkers import limits
from checkers.base import ProbeError, Reason, Result, Target
from checkers.dial import socket_address
from checkers.recording import Failure, Recording, quoted
from checkers.way import not_made, open_socket

_READ_BYTES = 65_536
_IP_RECVERR, _IPV6_RECVERR = 11, 25  # linux/in.h, linux/in6.h; not in Python's socket module
_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EPROTO, errno.EACCES}
"""What ICMP errors become (net/ipv4/icmp.c, net/ipv6/icmp.c)."""

_QUOTED_BYTES = 128

Judge = Callable[[bytes], str | None]
"""What to say of a datagram that passes, None if it is not for us; raises Failure."""

IsOurs = Callable[[bytes], bool]
"""Whether the message that an ICMP error quotes, without its IP header, is the one we sent."""


def open_datagram(target: Target) -> socket.socket:
    """A connected UDP socket. Raises ProbeError: whatever goes wrong here is our own side."""
    return open_connected(target, socket.SOCK_DGRAM, 0)


def open_connected(target: Target, kind: int, protocol: int) -> socket.socket:
    """A connected socket of this kind that hears ICMP errors. Raises ProbeError."""
    connection = open_socket(target, kind, protocol)
    try:
        if isinstance(target.address, IPv6Address):
            connection.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        else:
            connection.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        connection.connect(socket_address(target))
    except OSError as error:
        connection.close()
        raise not_made(f"no way to {target}", error) from error
    except ProbeError:
        connection.close()
        raise
    return connection


async def ask(
    connection: socket.socket,
    question: bytes,
    judge: Judge,
    timeout_s: float,
    recording: Recording,
    *,
    silence: str | None = None,
    missed: Failure | None = None,
    is_ours: IsOurs | None = None,
) -> Result:
    """Send and wait for an answer that the judge takes; the socket is closed at the end.

    `silence`: what to say if none comes and that is a pass. `missed`: the failure otherwise.
    `is_ours`: for a socket that is told of ICMP errors about others' packets, too.
    Raises ProbeError if it could not be asked.
    """
    try:
        async with asyncio.timeout(timeout_s):
            sentence = await _exchange(connection, question, judge, recording, is_ours=is_ours)
    except TimeoutError:
        recording.check_punctual(timeout_s)
        if silence is not None:
            return recording.passed(silence)
        return recording.failed(missed or Failure(Reason.L7_TIMEOUT, "no answer"))
    except Failure as failure:
        return recording.failed(failure)
    finally:
        connection.close()
    return recording.passed(sentence)


async def _exchange(
    connection: socket.socket,
    question: bytes,
    judge: Judge,
    recording: Recording,
    *,
    is_ours: IsOurs | None,
) -> str:
    loop = asyncio.get_running_loop()
    recording.note("> %s", quoted(question, 120))
    await _send(connection, question, hears_others=is_ours is not None)
    ignored = 0
    while ignored < limits.DATAGRAMS_IGNORED_MAX:
        try:
            answer = await loop.sock_recv(connection, _READ_BYTES)
        except OSError as error:
            if is_ours is None or any(map(is_ours, _blamed(connection))):
                raise _failed(error) from error
            recording.note("an ICMP error (%s) about somebody else's packet", error.strerror)
            await asyncio.sleep(0)
            continue
        recording.note("< %s", quoted(answer, 120))
        sentence = judge(answer)
        if sentence is not None:
            return sentence
        recording.note("that answers something else")
        ignored += 1
        await asyncio.sleep(0)  # where the next one is there already, nothing else would give way
    raise Failure(
        Reason.L7_PROTOCOL,
        f"{limits.DATAGRAMS_IGNORED_MAX} datagrams that do not answer the question",
    )


async def _send(connection: socket.socket, question: bytes, *, hears_others: bool) -> None:
    """Send; an error about somebody else's packet, told of in its place, is passed over."""
    for _ in range(limits.DATAGRAMS_IGNORED_MAX):
        try:
            await asyncio.get_running_loop().sock_sendall(connection, question)
        except ConnectionRefusedError as error:
            raise _failed(error) from error
        except OSError as error:
            if not (hears_others and _blamed(connection)):
                raise not_made("the question could not be sent", error) from error
            await asyncio.sleep(0)
        else:
            return
    raise ProbeError("the question could not be sent for errors about others' packets")


def _blamed(connection: socket.socket) -> list[bytes]:
    """The messages that the ICMP errors which wait there are about, as far as they are quoted."""
    blamed: list[bytes] = []
    try:
        while len(blamed) < limits.DATAGRAMS_IGNORED_MAX:
            blamed.append(connection.recv(_QUOTED_BYTES, socket.MSG_ERRQUEUE))
    except BlockingIOError:
        pass
    return blamed


def _failed(error: OSError) -> Failure | ProbeError:
    if error.errno == errno.ECONNREFUSED:
        return Failure(Reason.L4_REFUSED, "nobody listens (ICMP port unreachable)")
    if error.errno in _UNREACHABLE:
        text = os.strerror(error.errno or 0).lower()
        return Failure(Reason.L4_UNREACHABLE, f"{text} (ICMP)")
    return not_made("no answer can be read", error)
