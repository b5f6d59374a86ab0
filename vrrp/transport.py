"""Advertisements over raw sockets: IP protocol 112, one socket per interface and IP version.

RFC 9568 section 5.1: TTL or hop limit 255, traffic class 0xC0, by multicast to 224.0.0.18 or
ff02::12, or straight to the peers. The socket is tied to its interface (SO_BINDTODEVICE), so that
what arrives on one link is never taken for an advertisement on another; with hundreds of virtual
routers on a link it is still one socket, and the VRID says which one a packet is for. It joins the
group only where a virtual router speaks multicast.

What has a virtual MAC leaves by a packet socket instead, as a frame of our own making (`frames`);
only unicast does not, since who the neighbour is, the kernel knows.

Of IPv4 the kernel delivers the IP header, of IPv6 the payload with the rest as control messages
(RFC 3542); here both become a `Datagram`.

This module never decides anything about what it carries, and never blocks.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Address
from typing import Final

from vrrp.frames import ETHERTYPE_IPV4, ETHERTYPE_IPV6, TRAFFIC_CLASS, multicast_frame
from vrrp.packet import (
    MULTICAST_IPV4,
    MULTICAST_IPV6,
    PROTOCOL,
    TTL,
    Datagram,
    IPAddress,
    PacketError,
    split_datagram,
)

Receiver = Callable[[Datagram], None]

_DATAGRAM_BYTES_MAX: Final = 8192
"""255 addresses of IPv6 are 4 KiB."""
_DATAGRAMS_PER_WAKE_MAX: Final = 64
_IP_PKTINFO: Final = 8  # linux/in.h; the socket module of Python 3.11 does not name it
_IN_PKTINFO: Final = struct.Struct("=I4s4s")  # interface index, source, (unused when sending)
_IP_MREQN: Final = struct.Struct("=4s4si")  # group, local address, interface index
_IN6_PKTINFO: Final = struct.Struct("=16sI")  # address, interface index
_IPV6_MREQ: Final = struct.Struct("=16sI")  # group, interface index
_HOP_LIMIT: Final = struct.Struct("=i")
_CONTROL_BYTES: Final = socket.CMSG_SPACE(_IN6_PKTINFO.size) + socket.CMSG_SPACE(_HOP_LIMIT.size)


class Channel:
    """The way in and out of one interface, over one version of IP. Needs CAP_NET_RAW."""

    def __init__(
        self, interface: str, index: int, family: int, *, multicast: bool, receiver: Receiver
    ) -> None:
        """Open the socket and start listening in the running event loop. Raises OSError.

        `family` is 4 or 6.
        """
        self.interface = interface
        self.index = index
        self.family = family
        self.multicast = multicast
        self._receiver = receiver
        self._frames: socket.socket | None = None
        self._loop = asyncio.get_running_loop()
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        self._socket = socket.socket(kind, socket.SOCK_RAW, PROTOCOL)
        try:
            self._socket.setblocking(False)
            device = interface.encode()
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
            # Above everything else in the queues of this host, as routing protocols are.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 6)
            self._prepare_ipv4() if family == 4 else self._prepare_ipv6()
        except OSError:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket, self._read)

    def _prepare_ipv4(self) -> None:
        channel, level = self._socket, socket.IPPROTO_IP
        channel.setsockopt(level, socket.IP_TOS, TRAFFIC_CLASS)
        channel.setsockopt(level, socket.IP_MULTICAST_TTL, TTL)
        channel.setsockopt(level, socket.IP_TTL, TTL)
        channel.setsockopt(level, socket.IP_MULTICAST_LOOP, 0)
        if self.multicast:
            membership = _IP_MREQN.pack(MULTICAST_IPV4.packed, bytes(4), self.index)
            channel.setsockopt(level, socket.IP_ADD_MEMBERSHIP, membership)

    def _prepare_ipv6(self) -> None:
        channel, level = self._socket, socket.IPPROTO_IPV6
        channel.setsockopt(level, socket.IPV6_TCLASS, TRAFFIC_CLASS)
        channel.setsockopt(level, socket.IPV6_MULTICAST_HOPS, TTL)
        channel.setsockopt(level, socket.IPV6_UNICAST_HOPS, TTL)
        channel.setsockopt(level, socket.IPV6_MULTICAST_LOOP, 0)
        channel.setsockopt(level, socket.IPV6_MULTICAST_IF, self.index)
        channel.setsockopt(level, socket.IPV6_RECVPKTINFO, 1)
        channel.setsockopt(level, socket.IPV6_RECVHOPLIMIT, 1)
        if self.multicast:
            membership = _IPV6_MREQ.pack(MULTICAST_IPV6.packed, self.index)
            channel.setsockopt(level, socket.IPV6_JOIN_GROUP, membership)

    def send(
        self,
        payload: bytes,
        source: IPAddress,
        destination: IPAddress,
        hardware_address: bytes | None = None,
    ) -> None:
        """Send `payload` from `source`, which must be an address of this host. Raises OSError.

        `hardware_address`: a virtual MAC that multicast shall come from.
        """
        if hardware_address is not None and destination.is_multicast:
            frame = multicast_frame(payload, source, destination, hardware_address)
            self._send_frame(frame)
        elif self.family == 4:
            information = _IN_PKTINFO.pack(self.index, source.packed, bytes(4))
            ancillary = [(socket.IPPROTO_IP, _IP_PKTINFO, information)]
            self._socket.sendmsg([payload], ancillary, 0, (str(destination), 0))
        else:
            information = _IN6_PKTINFO.pack(source.packed, self.index)
            ancillary = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, information)]
            to = (str(destination), 0, 0, self.index)
            self._socket.sendmsg([payload], ancillary, 0, to)

    def _send_frame(self, frame: bytes) -> None:
        if self._frames is None:
            # Protocol 0: this socket never receives, so nothing piles up in it.
            self._frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._frames.setblocking(False)
            self._frames.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 6)
        ethertype = ETHERTYPE_IPV4 if self.family == 4 else ETHERTYPE_IPV6
        self._frames.sendto(frame, (self.interface, ethertype))

    def close(self) -> None:
        """Stop listening and close the sockets."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        if self._frames is not None:
            self._frames.close()

    def _read(self) -> None:
        """Hand on what has arrived; a flood is interrupted, so that timers have their turn."""
        for _ in range(_DATAGRAMS_PER_WAKE_MAX):
            try:
                datagram = self._receive()
            except BlockingIOError:
                return
            except OSError:
                return  # the link went down under us: `addresses` reports that, not this socket
            if datagram is not None:
                self._receiver(datagram)

    def _receive(self) -> Datagram | None:
        """Take one datagram from the socket; None for what no kernel should deliver."""
        if self.family == 4:
            with suppress(PacketError):
                return split_datagram(self._socket.recv(_DATAGRAM_BYTES_MAX))
            return None
        payload, control, _, sender = self._socket.recvmsg(_DATAGRAM_BYTES_MAX, _CONTROL_BYTES)
        destination, hop_limit = None, None
        for level, kind, data in control:
            if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
                destination = IPv6Address(_IN6_PKTINFO.unpack(data)[0])
            elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT):
                (hop_limit,) = _HOP_LIMIT.unpack(data)
        if destination is None or hop_limit is None:
            return None
        source = IPv6Address(sender[0].partition("%")[0])
        return Datagram(source, destination, hop_limit, payload)
