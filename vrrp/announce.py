"""Telling the neighbours where an address is now (RFC 9568 section 8): gratuitous ARP for IPv4,
unsolicited neighbour advertisements for IPv6.

Hosts and switches on the link remember which hardware address an IP address had. After a takeover
that memory is wrong, and clients lose traffic until it is corrected. A gratuitous ARP is a
broadcast *request* in which sender and target are the same address (RFC 5227); a request, because
some hosts only update their tables from those. A neighbour advertisement goes to all nodes with the
override flag, and as a router's (RFC 9568 section 6.4.2): hosts that know the address as their
router would drop it otherwise. Single frames get lost, so a burst is sent.

This module never decides when to announce.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from vrrp.packet import IPAddress, internet_checksum, pseudo_header

AT_ONCE_MAX: Final = 1000
"""Frames that may be sent in one go; a takeover of hundreds of addresses needs that many."""
PER_S_MAX: Final = 500.0
"""Frames per second beyond those."""
WAITING_MAX: Final = 20_000
"""Frames that may wait; further ones are left out, being repetitions for the most part."""
TURN_S: Final = 0.05

_ETHERTYPE_ARP: Final = 0x0806
_ETHERTYPE_IPV6: Final = 0x86DD
_BROADCAST: Final = b"\xff" * 6
_ALL_NODES_ETHERNET: Final = bytes.fromhex("333300000001")
_ALL_NODES: Final = IPv6Address("ff02::1")
_HARDWARE_ETHERNET: Final = 1
_PROTOCOL_IPV4: Final = 0x0800
_OPERATION_REQUEST: Final = 1
_ICMPV6: Final = 58
_NEIGHBOR_ADVERTISEMENT: Final = 136
_ROUTER_OVERRIDE: Final = 0xA0000000
"""The flags R and O of RFC 4861 section 4.4; S (solicited) is clear."""
_TARGET_HARDWARE_ADDRESS: Final = 2
_IPV6_HEADER: Final = struct.Struct("!IHBB")  # version, class, label; length; next header; hops
_HOP_LIMIT: Final = 255


def gratuitous_arp(address: IPv4Address, hardware_address: bytes) -> bytes:
    """Return the Ethernet frame that says `address` is at `hardware_address` (six bytes)."""
    ethernet = _BROADCAST + hardware_address + _ETHERTYPE_ARP.to_bytes(2)
    arp = struct.pack("!HHBBH", _HARDWARE_ETHERNET, _PROTOCOL_IPV4, 6, 4, _OPERATION_REQUEST)
    return ethernet + arp + hardware_address + address.packed + bytes(6) + address.packed


def neighbor_advertisement(address: IPv6Address, hardware_address: bytes) -> bytes:
    """Return the Ethernet frame that says `address` is at `hardware_address` (six bytes)."""
    option = bytes((_TARGET_HARDWARE_ADDRESS, 1)) + hardware_address
    body = _ROUTER_OVERRIDE.to_bytes(4) + address.packed + option
    blank = bytes((_NEIGHBOR_ADVERTISEMENT, 0, 0, 0)) + body
    covered = pseudo_header(address, _ALL_NODES, len(blank), _ICMPV6) + blank
    message = blank[:2] + internet_checksum(covered).to_bytes(2) + body
    header = _IPV6_HEADER.pack(6 << 28, len(message), _ICMPV6, _HOP_LIMIT)
    ethernet = _ALL_NODES_ETHERNET + hardware_address + _ETHERTYPE_IPV6.to_bytes(2)
    return ethernet + header + address.packed + _ALL_NODES.packed + message


class Allowance:
    """How much may be sent by now: so much at once, and so much per second after that. Pure."""

    def __init__(self, most: int, per_s: float) -> None:
        self._most = most
        self._per_s = per_s
        self._left = float(most)
        self._at = float("-inf")

    def take(self, now: float) -> bool:
        """Tell whether one more may be sent at `now`, and count it if so."""
        self._left = min(self._most, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Announcer:
    """Sends announcements on any interface of this network namespace, at a bounded rate."""

    def __init__(self, is_here: Callable[[str, IPAddress], bool]) -> None:
        """Say whom to ask whether an address is still here when its turn comes."""
        self._is_here = is_here
        self._allowance = Allowance(AT_ONCE_MAX, PER_S_MAX)
        self._waiting: deque[tuple[str, str, IPAddress, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        # Protocol 0: this socket never receives, so nothing piles up in it.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setblocking(False)

    def announce(
        self,
        interface: str,
        hardware_address: bytes,
        addresses: Iterable[IPAddress],
        count: int,
        *,
        device: str | None = None,
    ) -> None:
        """Send `count` frames for each address, or have them wait for their turn.

        `device`: the interface that has the addresses, if it is another one. Raises OSError when
        the interface cannot send.
        """
        holder = device or interface
        frames = [(address, _frame(address, hardware_address)) for address in addresses]
        for _ in range(count):  # round by round, so that every address is told once very soon
            for address, frame in frames:
                if not self._waiting and self._allowance.take(time.monotonic()):
                    self._send(interface, frame)
                elif len(self._waiting) < WAITING_MAX:
                    self._waiting.append((interface, holder, address, frame))
        self._continue_later()

    def close(self) -> None:
        """Close the socket."""
        if self._timer is not None:
            self._timer.cancel()
        self._socket.close()

    def _send(self, interface: str, frame: bytes) -> None:
        ethertype = int.from_bytes(frame[12:14])
        self._socket.sendto(frame, (interface, ethertype))

    def _continue_later(self) -> None:
        if self._waiting and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(TURN_S, self._take_turn)

    def _take_turn(self) -> None:
        """Send what may be sent by now of what waits, unless it has become untrue."""
        self._timer = None
        while self._waiting and self._allowance.take(time.monotonic()):
            interface, holder, address, frame = self._waiting.popleft()
            if self._is_here(holder, address):
                with suppress(OSError):  # the interface is gone: `addresses` tells
                    self._send(interface, frame)
        self._continue_later()


def _frame(address: IPAddress, hardware_address: bytes) -> bytes:
    if isinstance(address, IPv4Address):
        return gratuitous_arp(address, hardware_address)
    return neighbor_advertisement(address, hardware_address)
