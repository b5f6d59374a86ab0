"""Telling the neighbours where an address is now: gratuitous ARP (RFC 5227, RFC 9568 section 8.1).

Hosts and switches on the link remember which hardware address an IP address had. After a takeover
that memory is wrong, and clients lose traffic until it is corrected. A gratuitous ARP is a
broadcast *request* in which sender and target are the same address; a request, because some hosts
only update their tables from those. Single frames get lost, so a burst is sent.

This module never decides when to announce.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Final

BURST: Final = 3
"""Frames per address and announcement."""

_ETHERTYPE_ARP: Final = 0x0806
_BROADCAST: Final = b"\xff" * 6
_HARDWARE_ETHERNET: Final = 1
_PROTOCOL_IPV4: Final = 0x0800
_OPERATION_REQUEST: Final = 1


def gratuitous_arp(address: IPv4Address, hardware_address: bytes) -> bytes:
    """Return the Ethernet frame that says `address` is at `hardware_address` (six bytes)."""
    ethernet = _BROADCAST + hardware_address + _ETHERTYPE_ARP.to_bytes(2)
    arp = struct.pack("!HHBBH", _HARDWARE_ETHERNET, _PROTOCOL_IPV4, 6, 4, _OPERATION_REQUEST)
    return ethernet + arp + hardware_address + address.packed + bytes(6) + address.packed


class Announcer:
    """Sends announcements on any interface of this network namespace."""

    def __init__(self) -> None:
        # Protocol 0: this socket never receives, so nothing piles up in it.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setblocking(False)

    def announce(
        self, interface: str, hardware_address: bytes, addresses: Iterable[IPv4Address]
    ) -> None:
        """Send a burst for each address. Raises OSError when the interface cannot send."""
        frames = [gratuitous_arp(address, hardware_address) for address in addresses]
        for _ in range(BURST):  # round by round, so that every address is told once very soon
            for frame in frames:
                self._socket.sendto(frame, (interface, _ETHERTYPE_ARP))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
