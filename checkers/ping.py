"""The check `ping`: does the server's host answer an ICMP echo request?

It says that the host and the way to it are there, and nothing of any service on it. The kernel's
ping sockets need no privilege where `net.ipv4.ping_group_range` allows them; else a raw socket does
the same, which takes CAP_NET_RAW. A raw socket would hear every answer that comes from that host,
so a filter in the kernel lets through what answers this very request, however much others ping; and
in any case an answer is known by a token that no other probe has. It is told of every ICMP error
for that host, too, as somebody's `mtr` provokes them; one counts if it quotes the number of this
request, which is within the eight bytes that each must quote (RFC 792). Must never send more than
one request.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Le, doc

from checkers.base import OptionError, Probe, ProbeError, Reason, Result, Target
from checkers.options import CheckOptions
from checkers.recording import Failure, Recording

if TYPE_CHECKING:
    import socket

    from checkers.socket_filter import Instruction

_TOKEN_BYTES = 16
_ID_BYTES = 4  # identifier and sequence number
_ID_AT = 4
# RFC 792 and RFC 4443: types of an echo request and its reply.
_REQUEST_V4, _REPLY_V4, _REQUEST_V6, _REPLY_V6 = 8, 0, 128, 129


@dataclass(frozen=True, slots=True, kw_only=True)
class PingOptions(CheckOptions):
    """Options of the check `ping`."""

    kind: ClassVar[str] = "ping"
    lacks: ClassVar[Mapping[str, str]] = {
        "port": "a ping goes to a host, not to a port",
        "through_vip": "the kernel forwards no ping to a server",
    }

    size: Annotated[
        int,
        Ge(_TOKEN_BYTES),
        Le(1452),
        doc("Bytes of data in the request; more than fit one packet would be refused."),
    ] = 56

    def __post_init__(self) -> None:
        if self.port is not None:
            raise OptionError("port", "a ping goes to a host, not to a port")

    def make_probe(self) -> Probe:
        """A probe that sends one request."""
        return PingProbe(self.size)


class PingProbe:
    """Sends one request."""

    __slots__ = ("_size",)

    def __init__(self, size: int) -> None:
        self._size = size

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Ask once; raises ProbeError if that could not be tried."""
        from checkers.datagram import ask

        recording = Recording(keep_transcript=keep_transcript)
        host = Target(target.address, 0, target.way)
        is_v4 = isinstance(target.address, IPv4Address)
        number = os.urandom(_ID_BYTES)
        connection, is_raw = _open(host, number)
        token = os.urandom(_TOKEN_BYTES)
        request = echo_request(number, token.ljust(self._size, b"\0"), is_v4=is_v4)

        def judge(packet: bytes) -> str | None:
            return "answered" if is_reply(packet, token, is_v4=is_v4) else None

        def is_ours(quoted: bytes) -> bool:
            return quoted[_ID_AT : _ID_AT + _ID_BYTES] == number

        result = await ask(
            connection,
            request,
            judge,
            timeout_s,
            recording,
            missed=Failure(Reason.L3_TIMEOUT, "no answer"),
            is_ours=is_ours if is_raw else None,
        )
        return _in_layer_3(result, recording)


def _in_layer_3(result: Result, recording: Recording) -> Result:
    """What is "unreachable" for a port is the host here."""
    if result.reason in (Reason.L4_UNREACHABLE, Reason.L4_REFUSED):
        return recording.failed(Failure(Reason.L3_UNREACHABLE, result.sentence.partition(" (")[0]))
    return result


def _open(host: Target, number: bytes) -> tuple[socket.socket, bool]:
    """A socket for the request of this number, and whether it is a raw one."""
    import socket

    from checkers.datagram import open_connected
    from checkers.socket_filter import attach
    from checkers.way import not_made

    is_v4 = isinstance(host.address, IPv4Address)
    protocol = socket.IPPROTO_ICMP if is_v4 else socket.IPPROTO_ICMPV6
    try:
        return open_connected(host, socket.SOCK_DGRAM, protocol), False
    except ProbeError as error:
        if not isinstance(error.__cause__, PermissionError):
            raise
    try:
        connection = open_connected(host, socket.SOCK_RAW, protocol)
    except ProbeError as error:
        if not isinstance(error.__cause__, PermissionError):
            raise
        raise ProbeError(
            "not permitted to ping: run as root, with CAP_NET_RAW, or allow this group in "
            "net.ipv4.ping_group_range"
        ) from error
    try:
        attach(connection, _reply_to(number, is_v4=is_v4))
    except OSError as error:
        connection.close()
        raise not_made("no filter for replies", error) from error
    return connection, True


def _reply_to(number: bytes, *, is_v4: bool) -> Iterator[Instruction]:
    """The filter: an echo reply with this identifier and sequence number."""
    from checkers.socket_filter import Code, Instruction, beyond_ip, leave, take

    yield beyond_ip(ipv4=is_v4)
    yield Instruction(Code.LOAD_BYTE, 0)  # the type
    yield Instruction(Code.IF_EQUAL, _REPLY_V4 if is_v4 else _REPLY_V6, otherwise=2)
    yield Instruction(Code.LOAD_WORD, _ID_AT)
    yield Instruction(Code.IF_EQUAL, int.from_bytes(number), then=1)
    yield leave()
    yield take()


def echo_request(number: bytes, data: bytes, *, is_v4: bool) -> bytes:
    """An echo request. `number`: identifier and sequence number, 4 bytes.

    The kernel has an identifier of its own for a ping socket, and makes the checksums of IPv6.
    """
    if not is_v4:
        return bytes((_REQUEST_V6, 0, 0, 0)) + number + data
    head = bytes((_REQUEST_V4, 0, 0, 0)) + number
    total = checksum(head + data)
    return head[:2] + total.to_bytes(2) + head[4:] + data


def is_reply(packet: bytes, token: bytes, *, is_v4: bool) -> bool:
    """Whether this is the reply with our token; a raw IPv4 socket delivers the IP header too."""
    if is_v4 and packet[:1] and packet[0] >> 4 == 4:  # no ICMP type that comes here begins with 4
        packet = packet[(packet[0] & 0x0F) * 4 :]
    reply = _REPLY_V4 if is_v4 else _REPLY_V6
    return len(packet) >= 8 and packet[0] == reply and packet[8:].startswith(token)


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(int.from_bytes(data[place : place + 2]) for place in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
