"""Making a probe's socket, and giving it the way it is to leave this host by.

A source address is bound without a port: the kernel finds one when the socket connects, so that one
address can have as many probes under way as there are free pairs, not free ports (ip(7),
IP_BIND_ADDRESS_NO_PORT). An interface needs no privilege while the socket has none yet; a mark
needs CAP_NET_ADMIN.

A probe through a virtual address goes to that address with the mark of one server: its owner has
the kernel (IPVS) send what is so marked to that server alone, as it sends clients' packets. It
comes from the address that this host has towards the server, for towards the virtual address, which
may be its own, it might choose that very one. The answers come *from* an address of our own, and
over IPv4 the kernel drops such packets unless told not to (accept_local; net/ipv4/fib_frontend.c):
so that is looked at first, lest a server be blamed for it.

Whatever cannot be done is our own side's fault: a ProbeError.

Must never leave a descriptor behind.
"""

from __future__ import annotations

import errno
import socket
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from checkers.base import ANY_WAY, ProbeError, Target, Way

Address = IPv4Address | IPv6Address

_IPV4 = Path("/proc/sys/net/ipv4/conf")
_ROUTES = Path("/proc/thread-self/net/route")  # of this thread's network namespace
_SEGMENT_BYTES = 1200  # fits every tunnel, and IPv6's least packet
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
    source = way.source
    if way.server is not None:
        _check_answers_come(way.server, made)
        source = _address_towards(way.server) if source is None else source
        if made.type == socket.SOCK_STREAM:
            # Towards an address of our own the kernel takes the loopback's 64 KiB for its limit.
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_BYTES)
    if source is not None:
        try:
            if made.type != socket.SOCK_RAW:  # that has no port to begin with
                made.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            made.bind((str(source), 0))
        except OSError as error:
            raise not_made(f"no probe from {source}", error) from error


def _address_towards(server: Address) -> Address:
    """Our address by which the routing table reaches a server. Raises ProbeError."""
    family = socket.AF_INET6 if isinstance(server, IPv6Address) else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((str(server), 9))  # sends nothing
            return ip_address(asked.getsockname()[0])
    except OSError as error:
        raise not_made(f"no way to {server}", error) from error


def _check_answers_come(server: Address, made: socket.socket) -> None:
    """Raise ProbeError if the kernel would drop what this server answers from our own address."""
    if made.family != socket.AF_INET:
        return
    interface = None if isinstance(server, IPv6Address) else _interface_towards(server)
    names = ["all", *([interface] if interface else [])]
    if not any(_accepts_local(name) for name in names):
        raise ProbeError(
            "answers from the virtual address would be dropped where this host holds it: set "
            f"net.ipv4.conf.{names[-1]}.accept_local=1"
        )


def _accepts_local(interface: str) -> bool:
    try:
        return (_IPV4 / interface / "accept_local").read_text().strip() == "1"
    except OSError:
        return False


def _interface_towards(server: IPv4Address) -> str | None:
    """By the longest prefix of the main routing table; None if none fits."""
    found: tuple[int, str] | None = None
    try:
        lines = _ROUTES.read_text().splitlines()[1:]
    except OSError:
        return None
    number = int.from_bytes(server.packed, sys.byteorder)  # the table's numbers are as in memory
    for line in lines:
        name, destination, _, _, _, _, _, mask, *_ = line.split()
        bits = int(mask, 16)
        if number & bits == int(destination, 16):
            found = max(found or (-1, ""), (bits.bit_count(), name))
    return found and found[1]


def not_made(what: str, error: OSError) -> ProbeError:
    """The error for what this host could not do."""
    name = errno.errorcode.get(error.errno or 0, "unknown error")
    return ProbeError(f"{what}: {(error.strerror or str(error)).lower()} ({name})")
