"""Netlink's framing: headers, attributes and error answers, as pure functions over bytes.

The problem: the kernel's message format is small but full of padding, nesting and flags, and a
general library for it takes longer to import than everything else here takes to run.

The approach: a few fixed ``struct`` layouts (``linux/netlink.h``, ``linux/genetlink.h``), in host
byte order as netlink wants it. Reading tolerates what it does not know and refuses what is cut.

Never: a socket, or a word about IPVS.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

NLM_F_REQUEST = 0x01
NLM_F_ACK = 0x04
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP = 0x300

NLMSG_ERROR = 2
NLMSG_DONE = 3

GENL_ID_CTRL = 16
CTRL_CMD_GETFAMILY = 3
CTRL_ATTR_FAMILY_ID = 1
CTRL_ATTR_FAMILY_NAME = 2

NLA_F_NESTED = 0x8000
_NLA_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER

_NLM_F_CAPPED = 0x100
_NLM_F_ACK_TLVS = 0x200
_NLMSGERR_ATTR_MSG = 1

_HEADER = struct.Struct("=IHHII")
_GENERIC_HEADER = struct.Struct("=IHHIIBBH")
_GENL_HEADER_SIZE = 4
_ATTRIBUTE = struct.Struct("=HH")
_ERROR = struct.Struct("=i")


class WireError(ValueError):
    """Bytes that are no netlink message: cut short, or with an impossible length."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command with its attributes, complete but for the headers."""

    command: int
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Frame:
    """One netlink message as received; ``body`` is what follows its header."""

    type: int
    flags: int
    sequence: int
    body: bytes

    @property
    def payload(self) -> bytes:
        """The attributes of a generic netlink message."""
        return self.body[_GENL_HEADER_SIZE:]


def pack_request(request: Request, *, family: int, flags: int, sequence: int) -> bytes:
    """One complete generic netlink message (version 1), headers included."""
    size = _GENERIC_HEADER.size + len(request.payload)
    flags |= NLM_F_REQUEST
    header = _GENERIC_HEADER.pack(size, family, flags, sequence, 0, request.command, 1, 0)
    return header + request.payload


def unpack_frames(datagram: bytes) -> Iterator[Frame]:
    """The messages in one datagram. Raises ``WireError``."""
    position = 0
    while position < len(datagram):
        if len(datagram) - position < _HEADER.size:
            raise WireError(f"{len(datagram) - position} bytes are no netlink header")
        size, kind, flags, sequence, _ = _HEADER.unpack_from(datagram, position)
        if not _HEADER.size <= size <= len(datagram) - position:
            raise WireError(f"a netlink message of {size} bytes does not fit its datagram")
        yield Frame(kind, flags, sequence, datagram[position + _HEADER.size : position + size])
        position += _aligned(size)


def pack_attribute(kind: int, payload: bytes) -> bytes:
    """One attribute with its padding."""
    size = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(size, kind) + payload + bytes(_aligned(size) - size)


def unpack_attributes(data: bytes) -> dict[int, bytes]:
    """Attribute payloads by type, in the order received. Raises ``WireError``."""
    attributes: dict[int, bytes] = {}
    unpack = _ATTRIBUTE.unpack_from
    position, end = 0, len(data)
    while position + 4 <= end:  # plain numbers: this loop is most of what reading a table costs
        size, kind = unpack(data, position)
        if size < 4 or position + size > end:
            raise WireError(f"an attribute of {size} bytes does not fit its message")
        attributes[kind & _NLA_TYPE_MASK] = data[position + 4 : position + size]
        position += (size + 3) & -4
    return attributes


def unpack_error(frame: Frame) -> tuple[int, str]:
    """The errno (0: an acknowledgement) and the kernel's own words of an ``NLMSG_ERROR``.

    The words come as an extended acknowledgement, behind the header of the request that failed
    (NETLINK_CAP_ACK) or behind the whole of it. Raises ``WireError``.
    """
    if len(frame.body) < _ERROR.size:
        raise WireError("an error answer without an error number")
    (code,) = _ERROR.unpack_from(frame.body)
    words = ""
    if frame.flags & _NLM_F_ACK_TLVS:
        quoted = frame.body[_ERROR.size :]
        size = _HEADER.size
        if not frame.flags & _NLM_F_CAPPED and len(quoted) >= _HEADER.size:
            size = _aligned(_HEADER.unpack_from(quoted)[0])
        told = unpack_attributes(quoted[size:]).get(_NLMSGERR_ATTR_MSG, b"")
        words = told.split(b"\0")[0].decode(errors="replace")
    return -code, words


def unpack_done(frame: Frame) -> int:
    """The errno with which a dump ended, 0 when it is complete (older kernels say nothing)."""
    return -_ERROR.unpack_from(frame.body)[0] if len(frame.body) >= _ERROR.size else 0


def _aligned(size: int) -> int:
    return (size + 3) & ~3
