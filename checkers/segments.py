"""TCP segments without a connection: a SYN out, and whether a SYN-ACK or a reset comes back.

One raw socket does that for all probes of an address family and way (raw(7), RFC 9293 3.1). The
ports that the SYNs come from are reserved by sockets that are bound and neither connect nor listen:
no connection of this host gets such a port, and the SYN-ACK for it meets nobody, so that the kernel
resets it. A filter in the kernel (BPF) lets only answers to those ports through. An answer is known
by its acknowledgement number, one above a number that was drawn at random for its SYN.

Over IPv4 the checksum is ours to make, and it covers the address that the kernel will send from:
whoever asks looks that up once (`Asked`), and again when it may have changed. Over IPv6 the kernel
makes it.

Takes CAP_NET_RAW. Must never leave a descriptor behind, nor believe an answer that nobody awaits.
"""

from __future__ import annotations

import itertools
import secrets
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from checkers import limits
from checkers.base import Target, Way
from checkers.dial import SocketAddress, socket_address
from checkers.poller import READABLE, Poller
from checkers.socket_filter import Code, Instruction, attach, beyond_ip, leave, take
from checkers.way import not_made, open_socket

SYN, RST, ACK = 0x02, 0x04, 0x10

_SEGMENT = struct.Struct("!HHIIBBHHHBBH")  # with one option: the greatest segment
_ANSWER = struct.Struct("!HHIIBB")
_SEGMENT_WORDS = _SEGMENT.size // 4
_WINDOW = 64_240
_GREATEST_SEGMENT = 1220  # fits IPv6's least packet, and so every way
_ANSWER_BYTES_MAX = 128
_RECEIVED_BYTES = 1024 * 1024
_CHECKSUM_AT = 16
_NUMBER = struct.Struct("I")
_DRAWN_BYTES = 4096

Answered = Callable[[int], None]
"""Called with the flags of the answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom a SYN goes to, and what of it is always the same."""

    to: SocketAddress
    packed: bytes
    port: int
    source: str
    """Our address towards it."""
    fixed_sum: int
    """Of the checksum, everything but our port and the sequence number; 0 over IPv6."""


def syn(asked: Asked, port: int, sequence: int) -> bytes:
    """The segment from this port of ours."""
    checksum = 0
    if asked.fixed_sum:
        checksum = asked.fixed_sum + port + (sequence >> 16) + (sequence & 0xFFFF)
        while checksum >> 16:
            checksum = (checksum & 0xFFFF) + (checksum >> 16)
        checksum ^= 0xFFFF
    return _SEGMENT.pack(
        port,
        asked.port,
        sequence,
        0,
        _SEGMENT_WORDS << 4,
        SYN,
        _WINDOW,
        checksum,
        0,
        2,  # kind and length of the option (RFC 9293 3.2)
        4,
        _GREATEST_SEGMENT,
    )


def fixed_sum(source: bytes, destination: bytes, port: int) -> int:
    """The sum over pseudo header and segment, without our port, sequence number and checksum."""
    pseudo = struct.pack("!4s4sHH", source, destination, socket.IPPROTO_TCP, _SEGMENT.size)
    bare = Asked(("", 0), destination, port, "", 0)
    return sum(word for (word,) in struct.iter_unpack("!H", pseudo + syn(bare, 0, 0)))


class Sender:
    """Sends SYNs to targets of one address family by one way, and hears the answers."""

    def __init__(self, poller: Poller, target: Target) -> None:
        """`target`: any of those; raises ProbeError."""
        self._poller = poller
        self._awaited: dict[int, tuple[Asked, Answered]] = {}  # by acknowledgement number
        self._opened: list[socket.socket] = []
        try:
            self._raw = self._open(target, socket.SOCK_RAW, socket.IPPROTO_TCP)
            self._is_ipv4 = self._raw.family == socket.AF_INET
            reserved = [self._reserved(target) for _ in range(limits.HALF_OPEN_PORTS)]
            self._set_up(reserved)
        except BaseException as error:
            self._close()
            if isinstance(error, OSError):
                raise not_made("no half-open probes", error) from error
            raise
        self._ports: Iterator[int] = itertools.cycle(reserved)
        self._drawn = _random_numbers()

    def look_up(self, target: Target) -> Asked:
        """What there is to know of a target; raises ProbeError if there is no way to it."""
        to = socket_address(target)
        with open_socket(target, socket.SOCK_DGRAM) as route:
            try:
                route.connect(to)  # sends nothing
                source = route.getsockname()[0]
            except OSError as error:
                raise not_made(f"no way to {target}", error) from error
        packed = target.address.packed
        fixed = 0
        if self._is_ipv4:
            fixed = fixed_sum(socket.inet_aton(source), packed, target.port)
        # The kernel wants no port on a raw socket's address (ipv6(7)).
        return Asked((to[0], 0, *to[2:]), packed, target.port, source, fixed)

    def ask(self, asked: Asked, answered: Answered) -> int:
        """Send a SYN; what it returns is for `forget`. Raises ProbeError if it cannot."""
        sequence = next(self._drawn)
        while (awaited := (sequence + 1) & 0xFFFFFFFF) in self._awaited:
            sequence = next(self._drawn)
        try:
            self._raw.sendto(syn(asked, next(self._ports), sequence), asked.to)
        except OSError as error:
            raise not_made(f"no SYN to {asked.to[0]}", error) from error
        self._awaited[awaited] = asked, answered
        return awaited

    def forget(self, awaited: int) -> None:
        """Await this answer no longer."""
        self._awaited.pop(awaited, None)

    def close(self) -> None:
        """Close everything; nobody is told anything more."""
        self._poller.forget(self._raw.fileno())
        self._close()

    def _close(self) -> None:
        for opened in self._opened:
            opened.close()

    def _open(self, target: Target, kind: int, protocol: int = 0) -> socket.socket:
        made = open_socket(target, kind, protocol)
        self._opened.append(made)
        return made

    def _reserved(self, target: Target) -> int:
        """A port that this host gives to nobody else."""
        anywhere = Target(target.address, target.port)  # bound to all addresses, not to the way's
        kept = self._open(anywhere, socket.SOCK_STREAM)
        kept.bind(("" if self._is_ipv4 else "::", 0))
        port: int = kept.getsockname()[1]
        return port

    def _set_up(self, ports: list[int]) -> None:
        raw = self._raw
        attach(raw, _filter(ports, ipv4=self._is_ipv4))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED_BYTES)
        if not self._is_ipv4:
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, _CHECKSUM_AT)
        self._poller.watch(raw.fileno(), READABLE, self._readable)

    def _readable(self, _: int) -> None:
        for _ in range(limits.SEGMENTS_PER_LOOK_MAX):
            try:
                if self._is_ipv4:  # the packet says where it comes from
                    data, origin = self._raw.recv(_ANSWER_BYTES_MAX), ("",)
                else:
                    data, origin = self._raw.recvfrom(_ANSWER_BYTES_MAX)
            except BlockingIOError:
                return
            if self._is_ipv4:
                self._hear(data[12:16], data, (data[0] & 0xF) * 4)
            else:
                self._hear(socket.inet_pton(socket.AF_INET6, origin[0].partition("%")[0]), data, 0)

    def _hear(self, source: bytes, data: bytes, at: int) -> None:
        if len(data) < at + _ANSWER.size:
            return
        port, _, _, acknowledged, _, flags = _ANSWER.unpack_from(data, at)
        found = self._awaited.get(acknowledged)
        if found is None:  # late, or not for us
            return
        asked, answered = found
        if asked.port != port or asked.packed != source:
            return
        del self._awaited[acknowledged]
        answered(flags)


def _random_numbers() -> Iterator[int]:
    """Numbers of 32 bits that nobody can guess; the kernel is asked for many at a time."""
    while True:
        for (number,) in _NUMBER.iter_unpack(secrets.token_bytes(_DRAWN_BYTES)):
            yield number


def _filter(ports: list[int], *, ipv4: bool) -> Iterator[Instruction]:
    """A SYN-ACK, or a reset that acknowledges, to one of these ports."""
    yield beyond_ip(ipv4=ipv4)
    yield Instruction(Code.LOAD_BYTE, 13)  # the flags
    yield Instruction(Code.AND, SYN | RST | ACK)
    yield Instruction(Code.IF_EQUAL, SYN | ACK, then=1)
    yield Instruction(Code.IF_EQUAL, RST | ACK, otherwise=len(ports) + 1)
    yield Instruction(Code.LOAD_HALF, 2)  # the port
    for number, port in enumerate(ports):
        yield Instruction(Code.IF_EQUAL, port, then=len(ports) - number)
    yield leave()
    yield take()


class Senders:
    """The senders of one poller, each made when it is first needed."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._made: dict[tuple[int, Way], Sender] = {}

    def towards(self, target: Target) -> Sender:
        """The one for this target. Raises ProbeError."""
        key = target.address.version, target.way
        sender = self._made.get(key)
        if sender is None:
            sender = self._made[key] = Sender(self._poller, target)
        return sender

    def close(self) -> None:
        """Close all of them."""
        for sender in self._made.values():
            sender.close()
        self._made.clear()
