"""Accept mode (RFC 9568 section 6.1): whether programs of this host get what is sent to addresses.

The problem. Where it is off, the active router holds an address, answers ARP and neighbour
solicitations for it, and accepts nothing else. But services have to go on, and the kernel hands
their traffic to IPVS in the very hook (LOCAL_IN) in which a firewall would drop it.

The approach. A chain in that hook, but *behind* IPVS (net/netfilter/ipvs/ip_vs_core.c: priorities
98 and 99): what a service takes never comes to it; what no service wants is dropped there. A real
server on the director itself is no exception: IPVS leaves those packets to the host, and this
chain refuses them. What the host sends to itself passes.

The table belongs to the socket that made it (NFT_TABLE_F_OWNER, Linux 5.12). So a firewall that is
loaded anew does not flush it, and when this process dies, it is gone; nothing has to be repaired,
and nothing cleaned up. It only matters while an address is here, and stays otherwise.

Where the kernel cannot do it, the router works all the same and says so: a service that is down is
the greater evil.

A batch of messages of fixed shape over a netlink socket; no program has to be started, for which an
advertisement would wait. Reference: linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

from vrrp.packet import IPAddress

TABLE: Final = "vrrp-accept"
BEHIND_IPVS: Final = 110
_ELEMENTS_PER_MESSAGE: Final = 500
_SEND_BUFFER_BYTES: Final = 8 * 1024 * 1024
_SO_SNDBUFFORCE: Final = 32  # asm-generic/socket.h
_REPLY_TIMEOUT_S: Final = 2.0
_RECEIVE_BYTES: Final = 65536

_NETLINK_NETFILTER: Final = 12
_HEADER: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_NESTED: Final = 0x8000
_ERROR, _BEGIN, _END = 2, 16, 17
_REQUEST, _ACK, _EXCLUSIVE, _CREATE, _APPEND = 0x1, 0x4, 0x200, 0x400, 0x800
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE, _NEW_SET, _NEW_ELEMENT = (
    10 << 8 | number for number in (0, 2, 3, 6, 9, 12)
)
_OWNER: Final = 0x2
_LOCAL_IN: Final = 1
_DROP, _ACCEPT = 0, 1
_LOOPBACK_INDEX: Final = 1
_META_INDEX, _META_PROTOCOL = 4, 16
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_ICMPV6: Final = 58
_NEIGHBOR_DISCOVERY: Final = (135, 136)
"""Solicitation and advertisement: these are never refused (RFC 9568 section 6.1)."""

_Message = tuple[int, int, bytes]
"""Type, flags, attributes."""


class Acceptance:
    """The addresses that accept nothing for this host. Needs CAP_NET_ADMIN once there are any."""

    def __init__(self) -> None:
        self.trouble = ""
        """Why addresses accept what they should not, as a sentence; empty: they do not."""
        self._refused: frozenset[IPAddress] = frozenset()
        self._tables: dict[int, socket.socket] = {}

    def refuse(self, addresses: Iterable[IPAddress]) -> bool:
        """Let exactly these accept nothing; tell whether that was done, else see `trouble`."""
        wanted = frozenset(addresses)
        if wanted == self._refused and not self.trouble:
            return True
        self._refused, self.trouble = wanted, ""
        for family in (4, 6):
            mine = sorted(one for one in wanted if one.version == family)
            try:
                self._replace(family, mine)
            except OSError as error:
                self.trouble = (
                    f"accept: false is not in force: {error.strerror or error}"
                    " (it needs nf_tables of Linux 5.12 or later; reload when that is there)"
                )
        return not self.trouble

    def close(self) -> None:
        """Refuse nothing any more: the kernel deletes a table with its owner."""
        for channel in self._tables.values():
            channel.close()
        self._tables.clear()
        self._refused, self.trouble = frozenset(), ""

    def _replace(self, family: int, addresses: list[IPAddress]) -> None:
        """Make the table what it should be, in one step. Raises OSError."""
        channel = self._tables.get(family)
        if channel is None and not addresses:
            return
        messages: list[_Message] = []
        if channel is None:
            channel = _connect()
        else:
            messages.append((_DELETE_TABLE, 0, _text(1, TABLE)))
        try:
            _commit(channel, family, [*messages, *(_table(family, addresses) if addresses else ())])
        except OSError:
            channel.close()  # whatever was there is gone with it
            self._tables.pop(family, None)
            raise
        if addresses:
            self._tables[family] = channel
        else:
            self._tables.pop(family, None)
            channel.close()


def _connect() -> socket.socket:
    channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    try:
        channel.bind((0, 0))
        channel.settimeout(_REPLY_TIMEOUT_S)
        with suppress(PermissionError):  # in a container; enough for thousands of addresses
            channel.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BUFFER_BYTES)
    except OSError:
        channel.close()
        raise
    return channel


def _table(family: int, addresses: list[IPAddress]) -> Iterator[_Message]:
    """The table with its set of addresses, its chain and the rules."""
    width, offset = (4, 16) if family == 4 else (16, 24)
    make = _CREATE | _EXCLUSIVE
    mine = _text(1, TABLE)
    yield _NEW_TABLE, make, mine + _number(2, _OWNER)
    # Key type 7 and 8: for people who list the table, addresses are shown as such.
    kind = _number(4, 7 if family == 4 else 8) + _number(5, width)
    yield _NEW_SET, make, mine + _text(2, "addresses") + kind + _number(10, 1)
    for start in range(0, len(addresses), _ELEMENTS_PER_MESSAGE):
        elements = b"".join(
            _nest(1, _nest(1, _attribute(1, address.packed)))
            for address in addresses[start : start + _ELEMENTS_PER_MESSAGE]
        )
        yield _NEW_ELEMENT, _CREATE, mine + _text(2, "addresses") + _nest(3, elements)
    hook = _nest(4, _number(1, _LOCAL_IN) + _number(2, BEHIND_IPVS))
    yield _NEW_CHAIN, make, mine + _text(3, "input") + hook + _text(7, "filter")
    yield _rule(_meta(_META_INDEX), _equals(struct.pack("=I", _LOOPBACK_INDEX)), _verdict(_ACCEPT))
    if family == 6:
        for kind_of_message in _NEIGHBOR_DISCOVERY:
            yield _rule(
                _meta(_META_PROTOCOL),
                _equals(bytes((_ICMPV6,))),
                _load(_TRANSPORT_HEADER, 0, 1),
                _equals(bytes((kind_of_message,))),
                _verdict(_ACCEPT),
            )
    yield _rule(_load(_NETWORK_HEADER, offset, width), _is_refused(), _verdict(_DROP))


# ----------------------------------------------------------------------------- expressions of rules


def _rule(*expressions: bytes) -> _Message:
    body = _text(1, TABLE) + _text(2, "input") + _nest(4, b"".join(expressions))
    return _NEW_RULE, _CREATE | _APPEND, body


def _expression(name: str, attributes: bytes) -> bytes:
    return _nest(1, _text(1, name) + _nest(2, attributes))


def _meta(key: int) -> bytes:
    return _expression("meta", _number(1, 1) + _number(2, key))


def _load(base: int, offset: int, length: int) -> bytes:
    return _expression(
        "payload", _number(1, 1) + _number(2, base) + _number(3, offset) + _number(4, length)
    )


def _equals(value: bytes) -> bytes:
    return _expression("cmp", _number(1, 1) + _number(2, 0) + _nest(3, _attribute(1, value)))


def _is_refused() -> bytes:
    return _expression("lookup", _text(1, "addresses") + _number(2, 1))


def _verdict(code: int) -> bytes:
    return _expression("immediate", _number(1, 0) + _nest(2, _nest(2, _number(1, code))))


# ------------------------------------------------------------------------------------- the netlink


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _nest(kind: int, attributes: bytes) -> bytes:
    return _attribute(kind | _NESTED, attributes)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    """nf_tables counts in network order."""
    return _attribute(kind, value.to_bytes(4))


def _commit(channel: socket.socket, family: int, messages: list[_Message]) -> None:
    """Have the kernel do all of it or nothing. Raises OSError."""
    number = socket.AF_INET if family == 4 else socket.AF_INET6
    last = len(messages)
    parts = [_packed(_BEGIN, _REQUEST, 0, 0, b"")]
    for sequence, (kind, flags, body) in enumerate(messages, start=1):
        asked = flags | _REQUEST | (_ACK if sequence == last else 0)
        parts.append(_packed(kind, asked, sequence, number, body))
    parts.append(_packed(_END, _REQUEST, last + 1, 0, b""))
    channel.send(b"".join(parts))
    for sequence, code in _answers(channel):
        if code:
            raise OSError(code, os.strerror(code))
        if sequence == last:
            return


def _packed(kind: int, flags: int, sequence: int, family: int, body: bytes) -> bytes:
    subsystem = 10 if kind in (_BEGIN, _END) else 0
    message = struct.pack("=BB", family, 0) + subsystem.to_bytes(2) + body
    return _HEADER.pack(_HEADER.size + len(message), kind, flags, sequence, 0) + message


def _answers(channel: socket.socket) -> Iterator[tuple[int, int]]:
    """Yield sequence number and error of what the kernel answers. Raises OSError."""
    while True:
        try:
            data = channel.recv(_RECEIVE_BYTES)
        except TimeoutError:
            raise OSError(errno.ETIMEDOUT, "the kernel does not answer") from None
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, _, sequence, _ = _HEADER.unpack_from(data, at)
            if kind == _ERROR:
                yield sequence, -struct.unpack_from("=i", data, at + _HEADER.size)[0]
            at += max(_HEADER.size, (length + 3) & ~3)
