"""Small pieces of rtnetlink without a library: move an address, notice a change.

The problem. Reading links and addresses is pyroute2's work (`addresses`). But a last will must be
executable by a process that has no reason to load it (a supervisor stays small, and must act at
once when its worker has died). An address that moves has no time for an answer that is waited for
by an event loop: one that stood still meanwhile would take its own delay for the kernel's. And to
*notice* a change needs no message decoded beyond which interface it is about.

The approach. The kernel carries out a request within the system call that sends it, and has the
answer ready when that returns. So: four requests of fixed shape (add an address, remove one, switch
a link off, delete it), and one multicast subscription that yields interface indexes. Reference:
rtnetlink(7), netlink(7), linux/if_addr.h, linux/if_link.h, net/core/rtnetlink.c.

This module never decides whether an address or a link should come or go.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Final

from vrrp import sysctl
from vrrp.config import IPInterface

NOTHING_THERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.ENODEV, errno.ENXIO})
"""Errors that mean: it is gone already."""

_HEADER: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_IFADDRMSG: Final = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_IFINFOMSG: Final = struct.Struct("=BxHiII")  # family, type, index, flags, which of them change
_ATTRIBUTE: Final = struct.Struct("=HH")  # length, type; an address follows
_NLM_F_REQUEST: Final = 0x1
_NLM_F_ACK: Final = 0x4
_NLMSG_ERROR: Final = 2
_RTM_NEWLINK: Final = 16
_RTM_DELLINK: Final = 17
_RTM_NEWADDR: Final = 20
_RTM_DELADDR: Final = 21
_IFF_UP: Final = 0x1  # linux/if.h
CREATE: Final = 0x400 | 0x200
"""For `ask`: make it, and refuse with EEXIST if it is there (NLM_F_CREATE, NLM_F_EXCL)."""
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_IFA_LABEL: Final = 3
_IFA_CACHEINFO: Final = 6
_IFA_FLAGS: Final = 8
_IFA_CACHE: Final = struct.Struct("=IIII")  # preferred, valid (seconds), created, updated
_FOREVER: Final = 0xFFFFFFFF
_RTMGRP_LINK: Final = 0x1
_RTMGRP_IPV4_IFADDR: Final = 0x10
_RTMGRP_IPV6_IFADDR: Final = 0x100
_REPLY_TIMEOUT_S: Final = 2.0
"""Never reached: the answer is there before it is asked for."""
_RECEIVE_BYTES: Final = 65536
_DATAGRAMS_PER_WAKE_MAX: Final = 64


def index_of(interface: str) -> int:
    """Return the index of an interface. Raises OSError, ENODEV if there is none of that name."""
    try:
        return socket.if_nametoindex(interface)
    except OSError as error:  # Python up to 3.12 leaves its number out
        raise OSError(errno.ENODEV, f"no interface {interface}") from error


def add_address(
    index: int, address: IPInterface, *, scope: int, flags: int, label: str | None = None
) -> bool:
    """Put `address` on the interface with that index; tell whether it was missing.

    `scope`, `flags`: as in linux/rtnetlink.h and linux/if_addr.h. One of IPv6 is preferred for zero
    seconds: connections of this host keep its own address, or they would break when the virtual one
    moves on (RFC 4862 section 5.5.4). Raises OSError. Blocks as `remove_address` does.
    """
    body = _of(index, address, scope) + attribute(_IFA_FLAGS, struct.pack("=I", flags))
    if label is not None:
        body += attribute(_IFA_LABEL, label.encode() + b"\0")
    if address.version == 6:
        body += attribute(_IFA_CACHEINFO, _IFA_CACHE.pack(0, _FOREVER, 0, 0))
    try:
        ask(_RTM_NEWADDR, body, CREATE)
    except OSError as error:
        if error.errno == errno.EEXIST:
            return False
        raise
    return True


def remove_address(interface: str, address: IPInterface) -> bool:
    """Remove exactly `address` (with its prefix length); tell whether it was there.

    Raises OSError for anything but its absence. Blocks for as long as the kernel takes, which
    answers within the system call.
    """
    try:
        if address.version == 6:
            ask(_RTM_DELADDR, _of(index_of(interface), address))
        else:
            with sysctl.promoted_secondaries(interface):
                ask(_RTM_DELADDR, _of(index_of(interface), address))
    except OSError as error:
        if error.errno in NOTHING_THERE:
            return False
        raise
    return True


def _of(index: int, address: IPInterface, scope: int = 0) -> bytes:
    """Say which address is meant."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    packed = address.ip.packed
    body = _IFADDRMSG.pack(family, address.network.prefixlen, 0, scope, index)
    return body + attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)


def switch_off(interface: str) -> bool:
    """Switch an interface off, so that it receives and answers nothing; tell whether it was there.

    Raises OSError.
    """
    return _link(_RTM_NEWLINK, interface)


def delete_link(interface: str) -> bool:
    """Delete an interface; tell whether it was there. Raises OSError."""
    return _link(_RTM_DELLINK, interface)


def _link(kind: int, interface: str) -> bool:
    try:
        ask(kind, _IFINFOMSG.pack(0, 0, index_of(interface), 0, _IFF_UP))
    except OSError as error:
        if error.errno in NOTHING_THERE:
            return False
        raise
    return True


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute of a request, padded."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def ask(kind: int, body: bytes, flags: int = 0) -> None:
    """Have the kernel do something. Raises OSError when it refuses."""
    flags |= _NLM_F_REQUEST | _NLM_F_ACK
    header = _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as channel:
        channel.settimeout(_REPLY_TIMEOUT_S)
        channel.sendto(header + body, (0, 0))
        reply = channel.recv(_RECEIVE_BYTES)
    if _HEADER.unpack_from(reply)[1] != _NLMSG_ERROR:
        raise OSError(errno.EPROTO, "the kernel answered something else than an acknowledgement")
    (negative,) = struct.unpack_from("=i", reply, _HEADER.size)
    if negative:
        raise OSError(-negative, os.strerror(-negative))


class Watch:
    """A subscription to changes of links and addresses. Raises OSError when refused."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setblocking(False)
        self._socket.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR))

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something has changed."""
        return self._socket.fileno()

    def changed(self) -> set[int] | None:
        """Return the indexes of interfaces with changes; None: unknown, so possibly all.

        None also stands for links that appeared, disappeared or were renamed.
        """
        indexes: set[int] = set()
        for _ in range(_DATAGRAMS_PER_WAKE_MAX):
            try:
                found = changed_indexes(self._socket.recv(_RECEIVE_BYTES))
            except BlockingIOError:
                return indexes
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                return None  # the kernel had more to say than the buffer could hold
            if found is None:
                return None
            indexes |= found
        return None

    def close(self) -> None:
        """Close the subscription."""
        self._socket.close()


def changed_indexes(data: bytes) -> set[int] | None:
    """Return which interfaces the notifications in `data` are about; None for any news of links."""
    indexes: set[int] = set()
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return None  # not what we know: look at everything
        if kind in (_RTM_NEWLINK, _RTM_DELLINK):
            return None
        if kind in (_RTM_NEWADDR, _RTM_DELADDR):
            if length < _HEADER.size + _IFADDRMSG.size:
                return None
            indexes.add(_IFADDRMSG.unpack_from(data, at + _HEADER.size)[4])
        at += (length + 3) & ~3
    return indexes
