"""Gratuitous ARP as a host hears it: who tells the neighbors where an address is.

Hears IPv4 alone; over IPv6 it is neighbor advertisements. It must never send anything. Reference:
packet(7), RFC 5227 section 3 (announcements).
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from ipaddress import IPv4Address
from typing import Final, Self

FRAME_BYTES_MAX: Final = 9216
_ETH_P_ARP: Final = 0x0806  # linux/if_ether.h
_ARP_BYTES: Final = 42
_SENDER, _TARGET = slice(28, 32), slice(38, 42)


def announced(frame: bytes) -> IPv4Address | None:
    """The address that an Ethernet frame announces: its sender asks for, or tells, its own."""
    if len(frame) < _ARP_BYTES or frame[_SENDER] != frame[_TARGET]:
        return None
    return IPv4Address(frame[_SENDER])


def arp_socket(interface: str) -> socket.socket:
    """All ARP of an interface of this namespace, without waiting. Raises OSError."""
    ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ARP))
    try:
        ear.bind((interface, _ETH_P_ARP))
    except OSError:
        ear.close()
        raise
    ear.setblocking(False)
    return ear


class Ear:
    """What others announce on these interfaces of this namespace, from now until it is closed."""

    def __init__(self, interfaces: Iterable[str]) -> None:
        """Raises OSError."""
        self._heard: list[IPv4Address] = []
        with ExitStack() as exits:
            names = dict.fromkeys(interfaces)
            self._sockets = [exits.enter_context(arp_socket(name)) for name in names]
            self._exits = exits.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def heard(self) -> tuple[IPv4Address, ...]:
        """The addresses announced so far, in order; one as often as it was."""
        for ear in self._sockets:
            with suppress(BlockingIOError):
                while True:
                    frame, sender = ear.recvfrom(FRAME_BYTES_MAX)
                    address = announced(frame)
                    if address is not None and sender[2] != socket.PACKET_OUTGOING:
                        self._heard.append(address)
        return tuple(self._heard)
