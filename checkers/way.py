"""Making a probe's socket, and giving it the way it is to leave this host by.

A source address is bound without a port: the kernel finds one when the socket connects, so that one
address can have as many probes under way as there are free pairs, not free ports (ip(7),
IP_BIND_ADDRESS_NO_PORT). An interface needs no privilege while the socket has none yet; a mark
needs CAP_NET_ADMIN. Whatever cannot be done is our own side's fault: a ProbeError.

Must never leave a descriptor behind.
"""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv6Address

from checkers.base import ANY_WAY, ProbeError, Target, Way

_BIND_ADDRESS_NO_PORT = 24  # linux/in.h; not in Python's socket module before 3.13


def open_socket(target: Target, kind: int, protocol: int = 0) -> socket.socket:
    """A non-blocking socket for this target, closed on exec. Raises ProbeError."""
    family = socket.AF_INET6 if isinstance(target.address, IPv6Address) else socket.AF_INET
    try:
        made = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
    except OSError as error:
        raise not_made("no socket", error) from error
    if target.way is not ANY_WAY:
        try:
            _lead(made, target.way)
        except BaseException:
            made.close()
            raise
    return made


def _lead(made: socket.socket, way: Way) -> None:
    if way.mark is not None:
        try:
            # As a signed number: the socket module takes no other, and the kernel reads 32 bits.
            mark = way.mark if way.mark < 1 << 31 else way.mark - (1 << 32)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        except OSError as error:
            raise not_made(f"mark {way.mark} cannot be set", error) from error
    if way.interface is not None:
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, way.interface.encode())
        except OSError as error:
            raise not_made(f"interface {way.interface} cannot be used", error) from error
    if way.source is not None:
        try:
            made.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            made.bind((str(way.source), 0))
        except OSError as error:
            raise not_made(f"no probe from {way.source}", error) from error


def not_made(what: str, error: OSError) -> ProbeError:
    """The error for what this host could not do."""
    name = errno.errorcode.get(error.errno or 0, "unknown error")
    return ProbeError(f"{what}: {(error.strerror or str(error)).lower()} ({name})")
