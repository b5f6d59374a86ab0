"""VRRP advertisements as bytes: version 3 (RFC 9568) over IPv4 and IPv6, version 2 (RFC 3768).

An advertisement says who is active. Whoever can make us believe a false one moves an address, so
everything that arrives is checked here, once, and nothing downstream checks again: if an
`Advertisement` exists, it is well formed. What is refused is refused with a cause from `Rejection`,
because "nothing was heard" and "something was heard and thrown away" are different faults to the
person who has to find a split brain.

Where the versions differ on the wire
    version 2   whole seconds; a type of authentication and always eight bytes for it at the end;
                the checksum covers both and no pseudo-header
    version 3   hundredths of a second; over IPv6 the checksum has the pseudo-header

One point where implementations differ: the checksum of version 3 over IPv4 exists with a
pseudo-header (RFC 5798 as commonly read) and without (RFC 9568 and several vendors). Both are
accepted and the form is handed on, so that a sender can answer in its peer's form.

This module never does I/O, never looks at a clock, and never repairs a packet.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

IPAddress = IPv4Address | IPv6Address

PROTOCOL: Final = 112
"""IP protocol number of VRRP (RFC 9568 section 5.1.1.4)."""
TTL: Final = 255
"""What a sender sets and a receiver demands: a packet that crossed a router has less."""
MULTICAST_IPV4: Final = IPv4Address("224.0.0.18")
MULTICAST_IPV6: Final = IPv6Address("ff02::12")
ADDRESS_COUNT_MAX: Final = 255
INTERVAL_CS_MAX: Final = 4095
"""Version 3: twelve bits of centiseconds."""
INTERVAL_V2_CS_MAX: Final = 25500
"""Version 2: eight bits of seconds."""
PRIORITY_LEAVING: Final = 0
"""The active router says goodbye."""
PRIORITY_OWNER: Final = 255
"""The router that has the virtual address as its own."""
PASSWORD_LENGTH: Final = 8
"""Version 2: a password has at most this many bytes, and this much room (RFC 2338 5.3.6)."""
AUTHENTICATION_BLOCK_LENGTH: Final = 28
"""What may follow an advertisement: a keyed hash (`authentication`)."""

_TYPE_ADVERTISEMENT: Final = 1
_HEADER: Final = struct.Struct("!BBBBHH")
_INTERVAL_MASK: Final = 0x0FFF
_NO_AUTHENTICATION: Final = 0
_SIMPLE_PASSWORD: Final = 1
_IP_HEADER_LENGTH_MIN: Final = 20
_ipv4_address: Final = lru_cache(maxsize=1024)(IPv4Address)
"""Of the same few routers; making one takes longer than everything else in `split_datagram`."""


class Rejection(StrEnum):
    """Why a packet was thrown away; the values are names of counters."""

    IP_HEADER = "ip-header"
    TTL = "ttl"
    SOURCE = "source"
    DESTINATION = "destination"
    LENGTH = "length"
    VERSION = "version"
    TYPE = "type"
    VRID = "vrid"
    ADDRESS_COUNT = "address-count"
    INTERVAL = "interval"
    CHECKSUM = "checksum"
    AUTHENTICATION = "authentication"
    REPLAY = "replay"


class ChecksumForm(StrEnum):
    """What the checksum covers besides the advertisement; IPv4 version 3 has the choice."""

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
    """Time between advertisements in centiseconds: 1..4095; version 2: whole seconds to 255."""
    addresses: tuple[IPAddress, ...]
    """The virtual addresses, at least one, all of one family."""
    version: int = 3
    """3, or 2 (IPv4 only)."""
    password: bytes | None = field(default=None, repr=False)
    """Version 2: the simple password, without its closing zeros; None: no authentication."""

    def __post_init__(self) -> None:
        if self.version not in (2, 3):
            raise ValueError(f"version {self.version} is neither 2 nor 3")
        if not 1 <= self.vrid <= 255:
            raise ValueError(f"VRID {self.vrid} is outside 1..255")
        if not 0 <= self.priority <= PRIORITY_OWNER:
            raise ValueError(f"priority {self.priority} is outside 0..255")
        step, most = (1, INTERVAL_CS_MAX) if self.version == 3 else (100, INTERVAL_V2_CS_MAX)
        if not step <= self.interval_cs <= most or self.interval_cs % step:
            raise ValueError(f"interval of {self.interval_cs} cs is outside {step}..{most}")
        if not 1 <= len(self.addresses) <= ADDRESS_COUNT_MAX:
            raise ValueError(f"{len(self.addresses)} addresses; 1..{ADDRESS_COUNT_MAX} fit")
        families = {address.version for address in self.addresses}
        if len(families) > 1 or (self.version == 2 and families != {4}):
            raise ValueError("addresses of a family that does not belong here")
        if self.password is not None and (self.version == 3 or len(self.password) > 8):
            raise ValueError("a password is for version 2 and has at most eight bytes")


@dataclass(frozen=True, slots=True)
class Datagram:
    """What a raw socket delivers: the payload, cut to the length that the IP header states."""

    source: IPAddress
    destination: IPAddress
    ttl: int
    """IPv6: the hop limit."""
    payload: bytes

    @property
    def vrid(self) -> int | None:
        """The virtual router it is about: the second byte, in every version."""
        return self.payload[1] if len(self.payload) > 1 else None


def group_for(address: IPAddress) -> IPAddress:
    """Return the multicast group of the family of `address` (RFC 9568 sections 5.1.1 and 5.1.2)."""
    return MULTICAST_IPV4 if address.version == 4 else MULTICAST_IPV6


def encode(
    advertisement: Advertisement,
    source: IPAddress,
    destination: IPAddress | None = None,
    *,
    form: ChecksumForm = ChecksumForm.PSEUDO_HEADER,
) -> bytes:
    """Return the bytes that follow the IP header (RFC 9568 section 5.2, RFC 3768 section 5.3).

    Without `destination` they are for the multicast group. `form` counts where there is a choice.
    """
    to = group_for(source) if destination is None else destination
    first = advertisement.version << 4 | _TYPE_ADVERTISEMENT
    fields = (first, advertisement.vrid, advertisement.priority, len(advertisement.addresses))
    body = b"".join(address.packed for address in advertisement.addresses)
    third = advertisement.interval_cs
    if advertisement.version == 2:
        kind = _NO_AUTHENTICATION if advertisement.password is None else _SIMPLE_PASSWORD
        third = kind << 8 | advertisement.interval_cs // 100
        body += (advertisement.password or b"").ljust(PASSWORD_LENGTH, b"\0")
        form = ChecksumForm.PLAIN
    elif source.version == 6:
        form = ChecksumForm.PSEUDO_HEADER
    blank = _HEADER.pack(*fields, third, 0) + body
    checksum = internet_checksum(_covered(blank, source, to, form))
    return _HEADER.pack(*fields, third, checksum) + body


def decode(
    payload: bytes,
    source: IPAddress,
    destination: IPAddress | None = None,
    *,
    version: int | None = None,
) -> tuple[Advertisement, ChecksumForm]:
    """Return the advertisement in `payload` and the form of its checksum.

    With `version`, only that version of VRRP is accepted. Raises PacketError. The order of the
    checks follows RFC 9568 section 7.1.
    """
    if len(payload) < _HEADER.size:
        raise PacketError(Rejection.LENGTH, f"{len(payload)} bytes are no advertisement")
    first, vrid, priority, count, third, _ = _HEADER.unpack_from(payload)
    spoken, kind = first >> 4, first & 0x0F
    _check_version(spoken, version, source)
    if kind != _TYPE_ADVERTISEMENT:
        raise PacketError(Rejection.TYPE, f"packet type {kind} is not an advertisement")
    if count == 0:
        raise PacketError(Rejection.ADDRESS_COUNT, "an advertisement without addresses")
    width = len(source.packed)
    end = _HEADER.size + count * width
    length = pdu_length(payload, source)
    if len(payload) - length not in (0, AUTHENTICATION_BLOCK_LENGTH):
        raise PacketError(
            Rejection.LENGTH, f"{len(payload)} bytes, where {count} addresses need {length}"
        )
    to = group_for(source) if destination is None else destination
    covered = payload if source.version == 6 else payload[:length]
    form = _verified_form(covered, source, to, spoken)
    if vrid == 0:
        raise PacketError(Rejection.VRID, "VRID 0 is not allowed")
    advertisement = Advertisement(
        version=spoken,
        vrid=vrid,
        priority=priority,
        interval_cs=_interval(third, spoken),
        addresses=tuple(
            ip_address(payload[at : at + width]) for at in range(_HEADER.size, end, width)
        ),
        password=_password(third >> 8, payload[end:length]) if spoken == 2 else None,
    )
    return advertisement, form


def pdu_length(payload: bytes, source: IPAddress) -> int:
    """Return the length of the advertisement itself, by what its header says of it."""
    length = _HEADER.size + payload[3] * len(source.packed)
    return length + (PASSWORD_LENGTH if payload[0] >> 4 == 2 else 0)


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
        source=_ipv4_address(data[12:16]),
        destination=_ipv4_address(data[16:20]),
        ttl=data[8],
        payload=data[header_length:total_length],
    )


def internet_checksum(data: bytes) -> int:
    """Internet checksum (RFC 1071): 0 over data that contains its own right checksum."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo_header(
    source: IPAddress, destination: IPAddress, length: int, protocol: int = PROTOCOL
) -> bytes:
    """Return what a checksum covers besides the payload (RFC 793 section 3.1, RFC 8200 8.1)."""
    addresses = source.packed + destination.packed
    if source.version == 4:
        return addresses + struct.pack("!BBH", 0, protocol, length)
    return addresses + struct.pack("!II", length, protocol)


def _check_version(spoken: int, wanted: int | None, source: IPAddress) -> None:
    if spoken not in (2, 3) or wanted not in (None, spoken):
        here = f"version {wanted or '2 or 3'}"
        raise PacketError(Rejection.VERSION, f"VRRP version {spoken}; {here} is spoken here")
    if spoken == 2 and source.version == 6:
        raise PacketError(Rejection.VERSION, "VRRP version 2 is not for IPv6")


def _interval(third: int, version: int) -> int:
    """Return the interval in centiseconds; version 3 has four reserved bits, which are ignored."""
    interval_cs = third & _INTERVAL_MASK if version == 3 else (third & 0xFF) * 100
    if interval_cs == 0:
        # Accepting it would make every time-out zero (RFC 9568 erratum 8301).
        raise PacketError(Rejection.INTERVAL, "an advertisement interval of zero")
    return interval_cs


def _password(kind: int, data: bytes) -> bytes | None:
    if kind == _NO_AUTHENTICATION:
        return None
    if kind != _SIMPLE_PASSWORD:
        raise PacketError(Rejection.AUTHENTICATION, f"authentication of type {kind} is not known")
    return data.rstrip(b"\0")


def _verified_form(
    covered: bytes, source: IPAddress, destination: IPAddress, version: int
) -> ChecksumForm:
    """Tell which form of the checksum is right for `covered`; raises PacketError if none is."""
    forms: tuple[ChecksumForm, ...]
    if version == 2:
        forms = (ChecksumForm.PLAIN,)
    elif source.version == 6:
        forms = (ChecksumForm.PSEUDO_HEADER,)
    else:
        forms = (ChecksumForm.PSEUDO_HEADER, ChecksumForm.PLAIN)
    for form in forms:
        if internet_checksum(_covered(covered, source, destination, form)) == 0:
            return form
    wrong = "the checksum is wrong" + (" in both its forms" if len(forms) > 1 else "")
    raise PacketError(Rejection.CHECKSUM, wrong)


def _covered(pdu: bytes, source: IPAddress, destination: IPAddress, form: ChecksumForm) -> bytes:
    """Return what the checksum runs over."""
    if form is ChecksumForm.PLAIN:
        return pdu
    return pseudo_header(source, destination, len(pdu)) + pdu
