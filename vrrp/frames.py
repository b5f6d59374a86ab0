"""Ethernet frames with an advertisement, for a virtual router that has a virtual MAC.

RFC 9568 section 7.2: an active router sends advertisements from the virtual MAC, and that is how
switches learn where it is now. The frames are made here, header by header, and sent through the
real interface: then they can be sent before the macvlan is up (the advertisement comes first), and
by whoever executes a last will.

Only multicast has a destination that follows from the address (RFC 1112 section 6.4, RFC 2464
section 7). This module is pure.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from vrrp.packet import PROTOCOL, TTL, IPAddress, internet_checksum

ETHERTYPE_IPV4: Final = 0x0800
ETHERTYPE_IPV6: Final = 0x86DD
TRAFFIC_CLASS: Final = 0xC0
"""Internetwork control."""

_IPV4_HEADER: Final = struct.Struct("!BBHHHBBH4s4s")
_DONT_FRAGMENT: Final = 0x4000
_IPV6_HEADER: Final = struct.Struct("!IHBB16s16s")


def multicast_frame(
    payload: bytes, source: IPAddress, destination: IPAddress, hardware_address: bytes
) -> bytes:
    """Return the frame that carries `payload` to a multicast group, from `hardware_address`."""
    if isinstance(source, IPv4Address) and isinstance(destination, IPv4Address):
        low = int(destination) & 0x7FFFFF
        group, ethertype = bytes.fromhex("01005e") + low.to_bytes(3), ETHERTYPE_IPV4
        packet = _ipv4(payload, source, destination)
    elif isinstance(source, IPv6Address) and isinstance(destination, IPv6Address):
        group, ethertype = bytes.fromhex("3333") + destination.packed[12:], ETHERTYPE_IPV6
        packet = _ipv6(payload, source, destination)
    else:
        raise ValueError(f"{source} and {destination} are not of the same version of IP")
    return group + hardware_address + ethertype.to_bytes(2) + packet


def _ipv4(payload: bytes, source: IPv4Address, destination: IPv4Address) -> bytes:
    length = _IPV4_HEADER.size + len(payload)
    ends = (source.packed, destination.packed)
    first = (0x45, TRAFFIC_CLASS, length, 0, _DONT_FRAGMENT, TTL, PROTOCOL)
    checksum = internet_checksum(_IPV4_HEADER.pack(*first, 0, *ends))
    return _IPV4_HEADER.pack(*first, checksum, *ends) + payload


def _ipv6(payload: bytes, source: IPv6Address, destination: IPv6Address) -> bytes:
    word = 6 << 28 | TRAFFIC_CLASS << 20
    ends = (source.packed, destination.packed)
    return _IPV6_HEADER.pack(word, len(payload), PROTOCOL, TTL, *ends) + payload
