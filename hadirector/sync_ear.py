"""Hears connection sync on an interface: what others send, and what this host's kernel sends.

A packet socket, since the kernel does not hand its own multicast to sockets of the same host. The
kernel filters, so that other traffic costs nothing here; the multicast group is joined at the level
of the link. It needs CAP_NET_RAW. Never: anything sent.

Reference: packet(7), `linux/filter.h`.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from pathlib import Path
from typing import Final

from hadirector.ipvs.model import Address
from hadirector.ipvs.synctally import Datagram, datagram_of

_ETH_P_ALL: Final = 0x0003
_SOL_PACKET: Final = 263
_PACKET_ADD_MEMBERSHIP: Final = 1
_PACKET_MR_MULTICAST: Final = 0
_PACKET_OUTGOING: Final = 4
_SO_ATTACH_FILTER: Final = 26
_PACKET_BYTES_MAX: Final = 65535
_RECEIVE_BYTES: Final = 4 * 1024 * 1024
_INSTRUCTION: Final = struct.Struct("=HBBI")


class EarError(Exception):
    """Listening is not possible; the sentence says why."""


class SyncEar:
    """An open ear; a context manager. Raises EarError when made."""

    def __init__(self, interface: str, group: Address, port: int, *, ports: int = 1) -> None:
        try:
            index = socket.if_nametoindex(interface)
        except OSError:
            names = ", ".join(name for _, name in socket.if_nameindex())
            raise EarError(f"there is no interface {interface}; this host has {names}") from None
        try:
            # Protocol 0: nothing is received before the filter is in place.
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        except PermissionError:
            raise EarError("listening needs the privilege CAP_NET_RAW: run it as root") from None
        try:
            _attach(self._socket, port, port + ports - 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
            mac = hardware_group(group)
            request = struct.pack("=iHH8s", index, _PACKET_MR_MULTICAST, len(mac), mac)
            self._socket.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, request)
            self._socket.bind((interface, _ETH_P_ALL))
        except OSError as error:
            self._socket.close()
            raise EarError(f"cannot listen on {interface}: {error.strerror or error}") from error

    def hear(self, within_s: float) -> tuple[Datagram, bool] | None:
        """The next datagram and whether this host sent it; None after so many seconds.

        Raises EarError when the interface goes away.
        """
        self._socket.settimeout(max(within_s, 0.001))
        try:
            packet, (_, _, kind, *_) = self._socket.recvfrom(_PACKET_BYTES_MAX)
        except TimeoutError:
            return None
        except OSError as error:
            raise EarError(f"the interface is gone: {error.strerror or error}") from error
        found = datagram_of(packet)
        return None if found is None else (found, kind == _PACKET_OUTGOING)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


def hardware_group(group: Address) -> bytes:
    """The Ethernet address of a multicast group (RFC 1112 6.4, RFC 2464 7)."""
    if group.version == 6:
        return b"\x33\x33" + group.packed[-4:]
    low = int(group) & 0x7FFFFF
    return b"\x01\x00\x5e" + low.to_bytes(3, "big")


def dropped(port: int, ports: int = 1) -> int:
    """Datagrams that the kernel's receivers on these ports had no room for (/proc/net/udp)."""
    wanted, count = range(port, port + ports), 0
    for name in ("udp", "udp6"):
        path = Path("/proc/thread-self/net") / name
        if not path.exists():
            continue
        for line in path.read_text().splitlines()[1:]:
            words = line.split()
            if int(words[1].rpartition(":")[2], 16) in wanted:
                count += int(words[-1])
    return count


def _attach(ear: socket.socket, low: int, high: int) -> None:
    """Classic BPF from the IP header on: UDP, no later fragment, to one of these ports."""
    instructions = (
        (0x30, 0, 0, 0),  # load the first byte
        (0x74, 0, 0, 4),  # its upper half: the version
        (0x15, 0, 7, 4),  # IPv4: go on, else to IPv6
        (0x30, 0, 0, 9),  # load the protocol
        (0x15, 0, 12, 17),
        (0x28, 0, 0, 6),  # load the fragment's offset
        (0x45, 10, 0, 0x1FFF),
        (0xB1, 0, 0, 0),  # the header's length
        (0x48, 0, 0, 2),  # load the port behind it
        (0x05, 0, 0, 4),  # to the ports
        (0x15, 0, 6, 6),  # IPv6, or leave it
        (0x30, 0, 0, 6),  # load the next header
        (0x15, 0, 4, 17),
        (0x28, 0, 0, 42),  # load the port
        (0x35, 0, 2, low),
        (0x25, 1, 0, high),
        (0x06, 0, 0, 0xFFFF),  # take it
        (0x06, 0, 0, 0),  # leave it
    )
    code = b"".join(_INSTRUCTION.pack(*instruction) for instruction in instructions)
    kept = ctypes.create_string_buffer(code, len(code))  # the kernel copies it in this call
    program = struct.pack("@HP", len(instructions), ctypes.addressof(kept))
    ear.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
