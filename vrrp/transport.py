"""Advertisements over raw sockets: IP protocol 112, multicast, one socket per interface.

RFC 9568 section 5.1.1: TTL 255, destination 224.0.0.18, traffic class 0xC0. The socket is tied to
its interface (SO_BINDTODEVICE) and joins the group there, so that what arrives on one link is never
taken for an advertisement on another; with hundreds of virtual routers on a link it is still one
socket, and the VRID says which one a packet is for.

This module never decides anything about what it carries, and never blocks.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Final

from vrrp.packet import MULTICAST_IPV4, PROTOCOL, TTL

Receiver = Callable[[bytes], None]
"""Called with each datagram, IP header included."""

_TOS_INTERNETWORK_CONTROL: Final = 0xC0
_DATAGRAM_BYTES_MAX: Final = 2048
_DATAGRAMS_PER_WAKE_MAX: Final = 64
_IP_PKTINFO: Final = 8  # linux/in.h; the socket module of Python 3.11 does not name it
_IN_PKTINFO: Final = struct.Struct("=I4s4s")  # interface index, source, (unused when sending)
_IP_MREQN: Final = struct.Struct("=4s4si")  # group, local address, interface index


class Channel:
    """The way in and out of one interface. Needs CAP_NET_RAW."""

    def __init__(self, interface: str, index: int, receiver: Receiver) -> None:
        """Open the socket and start listening in the running event loop. Raises OSError."""
        self.interface = interface
        self.index = index
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, PROTOCOL)
        try:
            self._prepare()
        except OSError:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket, self._read)

    def _prepare(self) -> None:
        channel = self._socket
        channel.setblocking(False)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.interface.encode())
        # Above everything else in the queues of this host, as routing protocols are.
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 6)
        channel.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _TOS_INTERNETWORK_CONTROL)
        channel.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, TTL)
        channel.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, TTL)
        channel.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        membership = _IP_MREQN.pack(MULTICAST_IPV4.packed, bytes(4), self.index)
        channel.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)

    def send(
        self, payload: bytes, source: IPv4Address, destination: IPv4Address = MULTICAST_IPV4
    ) -> None:
        """Send `payload` from `source`, which must be an address of this host. Raises OSError."""
        packet_info = _IN_PKTINFO.pack(self.index, source.packed, bytes(4))
        ancillary = [(socket.IPPROTO_IP, _IP_PKTINFO, packet_info)]
        self._socket.sendmsg([payload], ancillary, 0, (str(destination), 0))

    def close(self) -> None:
        """Stop listening and close the socket."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        """Hand on what has arrived; a flood is interrupted, so that timers have their turn."""
        for _ in range(_DATAGRAMS_PER_WAKE_MAX):
            try:
                datagram = self._socket.recv(_DATAGRAM_BYTES_MAX)
            except BlockingIOError:
                return
            except OSError:
                return  # the link went down under us: `addresses` reports that, not this socket
            self._receiver(datagram)
