"""Classic BPF on a socket: the kernel lets through what the program takes, and nothing else.

A raw socket hears whatever of its protocol reaches this host. The approach: the kernel is told what
is awaited (SO_ATTACH_FILTER, Documentation/networking/filter.rst), so that a flood for others costs
neither time nor room in the socket's queue here. Must never leave there what came before it.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from checkers import limits

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_INSTRUCTION = struct.Struct("HBBI")  # struct sock_filter, linux/filter.h
_ALL = 0xFFFF


class Code(IntEnum):
    """What an instruction does (linux/bpf_common.h)."""

    SKIP_IPV4_HEADER = 0xB1
    """X = the length of the IPv4 header at the operand."""
    SET_X = 0x01
    LOAD_BYTE = 0x50
    """A = the byte at X + the operand; so the next two, of 16 and 32 bits."""
    LOAD_HALF = 0x48
    LOAD_WORD = 0x40
    AND = 0x54
    IF_EQUAL = 0x15
    """Skip so many instructions if A is the operand, and so many if not."""
    RETURN = 0x06
    """Take so many bytes of the packet."""


class Instruction(NamedTuple):
    """One step of a program."""

    code: Code
    operand: int = 0
    then: int = 0
    otherwise: int = 0


def beyond_ip(*, ipv4: bool) -> Instruction:
    """X = where the payload begins: a raw IPv4 socket's filter sees the IP header, IPv6's not."""
    return Instruction(Code.SKIP_IPV4_HEADER if ipv4 else Code.SET_X, 0)


def leave() -> Instruction:
    """The packet is for somebody else."""
    return Instruction(Code.RETURN, 0)


def take() -> Instruction:
    """The packet is for us."""
    return Instruction(Code.RETURN, _ALL)


def attach(to: socket.socket, program: Iterable[Instruction]) -> None:
    """Hear what the program takes, and nothing else any more. Raises OSError.

    The socket must not block: what came before is read away.
    """
    code = b"".join(
        _INSTRUCTION.pack(one.code, one.then, one.otherwise, one.operand) for one in program
    )
    kept = ctypes.create_string_buffer(code)
    packed = struct.pack("HP", len(code) // _INSTRUCTION.size, ctypes.addressof(kept))
    to.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, packed)
    for _ in range(limits.PACKETS_BEFORE_FILTER_MAX):
        try:
            to.recv(1)
        except BlockingIOError:
            return
        except OSError:
            continue  # an ICMP error about a packet of somebody else's: being told clears it
