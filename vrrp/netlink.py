"""Small pieces of rtnetlink without a library: remove what moved, notice a change.

The problem. Reading and changing links and addresses is pyroute2's work (`addresses`). But a last
will must be executable by a process that has no reason to load it (a supervisor stays small, and
must act at once when its worker has died), and to *notice* a change needs no message decoded beyond
which interface it is about.

The approach. Three requests of fixed shape (remove an address, switch a link off, delete it), and
one multicast subscription that yields interface
indexes. Reference: rtnetlink(7), netlink(7), linux/if_addr.h, linux/if_link.h.

This module never decides whether an address or a link should go.
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
_NLM_F_REQUEST_ACK: Final = 0x1 | 0x4
_NLMSG_ERROR: Final = 2
_RTM_NEWLINK: Final = 16
_RTM_DELLINK: Final = 17
_RTM_NEWADDR: Final = 20
_RTM_DELADDR: Final = 21
_IFF_UP: Final = 0x1  # linux/if.h
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_RTMGRP_LINK: Final = 0x1
_RTMGRP_IPV4_IFADDR: Final = 0x10
_RTMGRP_IPV6_IFADDR: Final = 0x100
_REPLY_TIMEOUT_S: Final = 2.0
_RECEIVE_BYTES: Final = 65536
_DATAGRAMS_PER_WAKE_MAX: Final = 64


def index_of(interface: str) -> int:
    """Return the index of an interface. Raises OSError, ENODEV if there is none of that name."""
    try:
        return socket.if_nametoindex(interface)
    except OSError as error:  # Python up to 3.12 leaves its number out
        raise OSError(errno.ENODEV, f"no interface {interface}") from error


def remove_address(interface: str, address: IPInterface) -> bool:
    """Remove exactly `address` (with its prefix length); tell whether it was there.

    Raises OSError for anything but its absence. Blocks for as long as the kernel takes, which
    answers within the system call.
    """
    try:
        if address.version == 6:
            _delete(index_of(interface), address)
        else:
            with sysctl.promoted_secondaries(interface):
                _delete(index_of(interface), address)
    except OSError as error:
        if error.errno in NOTHING_THERE:
            return False
        raise
    return True


def _delete(index: int, address: IPInterface) -> None:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    packed = address.ip.packed
    body = _IFADDRMSG.pack(family, address.network.prefixlen, 0, 0, index)
    for kind in (_IFA_LOCAL, _IFA_ADDRESS):
        body += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(packed), kind) + packed
    _ask(_RTM_DELADDR, body)


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
        _ask(kind, _IFINFOMSG.pack(0, 0, index_of(interface), 0, _IFF_UP))
    except OSError as error:
        if error.errno in NOTHING_THERE:
            return False
        raise
    return True


def _ask(kind: int, body: bytes) -> None:
    """Have the kernel do something. Raises OSError when it refuses."""
    header = _HEADER.pack(_HEADER.size + len(body), kind, _NLM_F_REQUEST_ACK, 1, 0)
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
