"""Hearing all VRRP on an interface, this host's own included.

A packet socket sees what a raw socket for protocol 112 does not: what this host sends itself,
unicast between others that passes by, and the Ethernet source, which tells a virtual MAC from a
real one. The kernel filters, so that traffic of services costs nothing here; the multicast groups
are joined at the level of the link, so that no address is needed.

Reference: packet(7), `linux/filter.h`. This module never sends anything.
"""

from __future__ import annotations

import ctypes
import errno
import select
import socket
import struct
import time
from collections.abc import Iterator
from typing import Final

from vrrp.dissect import dissect
from vrrp.packet import PROTOCOL
from vrrp.speakers import Speakers

_ETH_P_ALL: Final = 0x0003  # linux/if_ether.h
_SOL_PACKET: Final = 263
_PACKET_ADD_MEMBERSHIP: Final = 1  # linux/if_packet.h
_PACKET_MR_MULTICAST: Final = 0
_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h
_GROUPS: Final = (bytes.fromhex("01005e000012"), bytes.fromhex("333300000012"))
_FRAME_BYTES_MAX: Final = 9216
_LOOK_AGAIN_S: Final = 0.5
"""How often silence is looked for."""

_INSTRUCTION: Final = struct.Struct("=HBBI")
_FILTER: Final = (
    (0x28, 0, 0, 12),  # load the ether type
    (0x15, 0, 2, 0x0800),  # IPv4: go on, else to IPv6
    (0x30, 0, 0, 23),  # load the protocol
    (0x15, 3, 4, PROTOCOL),  # take it or leave it
    (0x15, 0, 3, 0x86DD),  # IPv6, or leave it
    (0x30, 0, 0, 20),  # load the next header
    (0x15, 0, 1, PROTOCOL),
    (0x06, 0, 0, 0xFFFF),  # take it
    (0x06, 0, 0, 0),  # leave it
)
"""Classic BPF: frames of IPv4 or IPv6 that carry VRRP."""


class ListenError(Exception):
    """Listening is not possible; the sentence says why and what to do about it."""


def open_socket(interface: str) -> socket.socket:
    """Return a socket that receives all VRRP frames of an interface. Raises ListenError."""
    try:
        index = socket.if_nametoindex(interface)
    except OSError:
        names = ", ".join(name for _, name in socket.if_nameindex())
        raise ListenError(f"there is no interface {interface}; this host has {names}") from None
    try:
        # Protocol 0: nothing is received before the filter is in place.
        ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError:
        text = "listening needs the privilege CAP_NET_RAW: run it with sudo"
        raise ListenError(text) from None
    try:
        _attach_filter(ear)
        for group in _GROUPS:
            request = struct.pack("=iHH8s", index, _PACKET_MR_MULTICAST, len(group), group)
            ear.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, request)
        ear.bind((interface, _ETH_P_ALL))
    except OSError as error:
        ear.close()
        if error.errno == errno.ENETDOWN:
            text = f"{interface} is switched off: ip link set {interface} up"
            raise ListenError(text) from None
        raise ListenError(f"cannot listen on {interface}: {error.strerror or error}") from None
    return ear


def hear(ear: socket.socket, speakers: Speakers, seconds: float | None) -> Iterator[str]:
    """Yield lines for people while listening; `seconds` long, or until interrupted.

    Raises ListenError when the interface goes away.
    """
    ends_at = float("inf") if seconds is None else time.monotonic() + seconds
    while (left := ends_at - time.monotonic()) > 0:
        if select.select([ear], [], [], min(left, _LOOK_AGAIN_S))[0]:
            try:
                frame = ear.recv(_FRAME_BYTES_MAX)
            except OSError as error:
                text = f"the interface is gone: {error.strerror or error}"
                raise ListenError(text) from None
            yield from speakers.hear(dissect(frame), time.monotonic())
        else:
            yield from speakers.silences(time.monotonic())


def _attach_filter(ear: socket.socket) -> None:
    code = b"".join(_INSTRUCTION.pack(*instruction) for instruction in _FILTER)
    kept = ctypes.create_string_buffer(code, len(code))  # the kernel copies it in this call
    program = struct.pack("@HP", len(_FILTER), ctypes.addressof(kept))
    ear.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
