"""VRRP version 3 advertisements for IPv4, as bytes (RFC 9568 section 5).

An advertisement says who is active. Whoever can make us believe a false one moves an address, so
everything that arrives is checked here, once, and nothing downstream checks again: if an
`Advertisement` exists, it is well formed. What is refused is refused with a cause from `Rejection`,
because "nothing was heard" and "something was heard and thrown away" are different faults to the
person who has to find a split brain.

One point where implementations differ: the checksum of version 3 over IPv4 exists with a
pseudo-header (RFC 5798 as commonly read) and without (RFC 9568 and several vendors). Both are
accepted and the form is handed on, so that a sender can answer in its peer's form.

This module never does I/O, never looks at a clock, and never repairs a packet.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Final

PROTOCOL: Final = 112
"""IP protocol number of VRRP (RFC 9568 section 5.1.1.4)."""
TTL: Final = 255
"""What a sender sets and a receiver demands: a packet that crossed a router has less."""
MULTICAST_IPV4: Final = IPv4Address("224.0.0.18")
ADDRESS_COUNT_MAX: Final = 255
INTERVAL_CS_MAX: Final = 4095
PRIORITY_LEAVING: Final = 0
"""The active router says goodbye."""
PRIORITY_OWNER: Final = 255
"""The router that has the virtual address as its own."""

_VERSION_3: Final = 3
_TYPE_ADVERTISEMENT: Final = 1
_HEADER: Final = struct.Struct("!BBBBHH")
_ADDRESS_LENGTH: Final = 4
_INTERVAL_MASK: Final = 0x0FFF
# keepalived >= 2.4.2 may append a block with a keyed hash; lengths and checksum leave it out.
_AUTHENTICATION_BLOCK_LENGTH: Final = 28
_IP_HEADER_LENGTH_MIN: Final = 20


class Rejection(StrEnum):
    """Why a packet was thrown away; the values are names of counters."""

    IP_HEADER = "ip-header"
    TTL = "ttl"
    LENGTH = "length"
    VERSION = "version"
    TYPE = "type"
    VRID = "vrid"
    ADDRESS_COUNT = "address-count"
    INTERVAL = "interval"
    CHECKSUM = "checksum"


class ChecksumForm(StrEnum):
    """What the checksum of an IPv4 advertisement covers besides the advertisement."""

    PSEUDO_HEADER = "pseudo-header"
    PLAIN = "plain"


class PacketError(Exception):
    """A received packet is not an acceptable advertisement."""

    def __init__(self, cause: Rejection, sentence: str) -> None:
        super().__init__(sentence)
        self.cause = cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertisement:
    """One advertisement. Raises ValueError when built with values that the wire cannot carry."""

    vrid: int
    """1..255."""
    priority: int
    """0 (leaving), 1..254, 255 (address owner)."""
    interval_cs: int
    """Time between advertisements in centiseconds, 1..4095."""
    addresses: tuple[IPv4Address, ...]
    """The virtual addresses, at least one."""

    def __post_init__(self) -> None:
        if not 1 <= self.vrid <= 255:
            raise ValueError(f"VRID {self.vrid} is outside 1..255")
        if not 0 <= self.priority <= PRIORITY_OWNER:
            raise ValueError(f"priority {self.priority} is outside 0..255")
        if not 1 <= self.interval_cs <= INTERVAL_CS_MAX:
            raise ValueError(f"interval of {self.interval_cs} cs is outside 1..{INTERVAL_CS_MAX}")
        if not 1 <= len(self.addresses) <= ADDRESS_COUNT_MAX:
            raise ValueError(f"{len(self.addresses)} addresses; 1..{ADDRESS_COUNT_MAX} fit")


@dataclass(frozen=True, slots=True)
class Datagram:
    """An IPv4 datagram as a raw socket delivers it, cut to the length its header states."""

    source: IPv4Address
    destination: IPv4Address
    ttl: int
    payload: bytes


def encode(
    advertisement: Advertisement,
    source: IPv4Address,
    destination: IPv4Address = MULTICAST_IPV4,
    *,
    form: ChecksumForm = ChecksumForm.PSEUDO_HEADER,
) -> bytes:
    """Return the bytes that follow the IP header (RFC 9568 section 5.2)."""
    addresses = b"".join(address.packed for address in advertisement.addresses)
    first = _VERSION_3 << 4 | _TYPE_ADVERTISEMENT
    fields = (first, advertisement.vrid, advertisement.priority, len(advertisement.addresses))
    blank = _HEADER.pack(*fields, advertisement.interval_cs, 0) + addresses
    checksum = _checksum(_covered(blank, source, destination, form))
    return _HEADER.pack(*fields, advertisement.interval_cs, checksum) + addresses


def decode(
    payload: bytes, source: IPv4Address, destination: IPv4Address = MULTICAST_IPV4
) -> tuple[Advertisement, ChecksumForm]:
    """Return the advertisement in `payload` and the form of its checksum.

    Raises PacketError. The order of the checks follows RFC 9568 section 7.1.
    """
    if len(payload) < _HEADER.size:
        raise PacketError(Rejection.LENGTH, f"{len(payload)} bytes are no advertisement")
    first, vrid, priority, count, interval, _ = _HEADER.unpack_from(payload)
    version, kind = first >> 4, first & 0x0F
    if version != _VERSION_3:
        raise PacketError(Rejection.VERSION, f"VRRP version {version}; version 3 is spoken here")
    if kind != _TYPE_ADVERTISEMENT:
        raise PacketError(Rejection.TYPE, f"packet type {kind} is not an advertisement")
    if count == 0:
        raise PacketError(Rejection.ADDRESS_COUNT, "an advertisement without addresses")
    length = _HEADER.size + count * _ADDRESS_LENGTH
    if len(payload) - length not in (0, _AUTHENTICATION_BLOCK_LENGTH):
        raise PacketError(
            Rejection.LENGTH, f"{len(payload)} bytes, where {count} addresses need {length}"
        )
    form = _verified_form(payload[:length], source, destination)
    if vrid == 0:
        raise PacketError(Rejection.VRID, "VRID 0 is not allowed")
    interval_cs = interval & _INTERVAL_MASK  # the upper four bits are reserved: ignored
    if interval_cs == 0:
        # Accepting it would make every time-out zero (RFC 9568 erratum 8301).
        raise PacketError(Rejection.INTERVAL, "an advertisement interval of zero")
    addresses = tuple(
        IPv4Address(payload[at : at + _ADDRESS_LENGTH])
        for at in range(_HEADER.size, length, _ADDRESS_LENGTH)
    )
    advertisement = Advertisement(
        vrid=vrid, priority=priority, interval_cs=interval_cs, addresses=addresses
    )
    return advertisement, form


def split_datagram(data: bytes) -> Datagram:
    """Take an IPv4 datagram apart. Raises PacketError when it is cut short or not IPv4.

    The total length in the header is trusted, not the number of bytes received: links pad short
    frames, and some drivers deliver the padding.
    """
    if len(data) < _IP_HEADER_LENGTH_MIN or data[0] >> 4 != 4:
        raise PacketError(Rejection.IP_HEADER, "not an IPv4 datagram")
    header_length = (data[0] & 0x0F) * 4
    total_length = int.from_bytes(data[2:4])
    if not _IP_HEADER_LENGTH_MIN <= header_length <= total_length <= len(data):
        raise PacketError(Rejection.IP_HEADER, "an IPv4 datagram with impossible lengths")
    return Datagram(
        source=IPv4Address(data[12:16]),
        destination=IPv4Address(data[16:20]),
        ttl=data[8],
        payload=data[header_length:total_length],
    )


def receive(data: bytes) -> tuple[Advertisement, ChecksumForm, IPv4Address]:
    """Return advertisement, checksum form and sender of a datagram from a raw socket.

    Raises PacketError, also when the TTL shows that the packet came through a router.
    """
    datagram = split_datagram(data)
    if datagram.ttl != TTL:
        raise PacketError(Rejection.TTL, f"TTL {datagram.ttl}, so it was not sent on this link")
    advertisement, form = decode(datagram.payload, datagram.source, datagram.destination)
    return advertisement, form, datagram.source


def _verified_form(covered: bytes, source: IPv4Address, destination: IPv4Address) -> ChecksumForm:
    """Tell which form of the checksum is right for `covered`; raises PacketError if neither is."""
    for form in ChecksumForm:
        if _checksum(_covered(covered, source, destination, form)) == 0:
            return form
    raise PacketError(Rejection.CHECKSUM, "the checksum is wrong in both its forms")


def _covered(
    pdu: bytes, source: IPv4Address, destination: IPv4Address, form: ChecksumForm
) -> bytes:
    """Return what the checksum runs over."""
    if form is ChecksumForm.PLAIN:
        return pdu
    pseudo_header = source.packed + destination.packed + struct.pack("!BBH", 0, PROTOCOL, len(pdu))
    return pseudo_header + pdu


def _checksum(data: bytes) -> int:
    """Internet checksum (RFC 1071): 0 over data that contains its own right checksum."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
