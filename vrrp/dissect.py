"""An advertisement taken apart for people: every field, and every rule it breaks.

The decoder stops at the first thing that is wrong, as it must: nothing after that can be trusted.
Who looks for a fault wants all of it: what each byte says, and what about it is not as it should
be, however broken the packet is. Whatever this finds nothing wrong with, `packet.decode` accepts,
and the other way round.

It takes what people have at hand: an Ethernet frame, an IP datagram, or just what follows the IP
header. This module never raises for what is in a packet, and never shows a password.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from vrrp import packet
from vrrp.packet import ChecksumForm, IPAddress
from vrrp.virtual_mac import vrid_of

_ETHERNET_LENGTH: Final = 14
_VLAN_LENGTH: Final = 4
_ETHERTYPES: Final = {0x0800: 4, 0x86DD: 6}
_ETHERTYPE_VLAN: Final = 0x8100
_IPV4_HEADER_LENGTH: Final = 20
_IPV6_HEADER_LENGTH: Final = 40
_HEADER_LENGTH: Final = 8
_HMAC_LENGTH: Final = 28


@dataclass(frozen=True, slots=True)
class Field:
    """A part of the packet."""

    name: str
    octets: str
    """In hexadecimal; empty for what was not in the packet."""
    meaning: str


@dataclass(slots=True)
class Dissection:
    """What a packet says. Values are None where it is too short to have them."""

    fields: list[Field] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """A sentence for each rule that is broken."""
    source: IPAddress | None = None
    destination: IPAddress | None = None
    hardware: str | None = None
    """Source of the Ethernet frame."""
    virtual_mac_of: int | None = None
    """The VRID whose virtual MAC that is; None: it is no virtual one."""
    version: int | None = None
    vrid: int | None = None
    priority: int | None = None
    interval_cs: int | None = None
    form: ChecksumForm | None = None
    addresses: tuple[IPAddress, ...] = ()
    authentication: str = "none"

    def note(self, name: str, octets: bytes, meaning: str) -> None:
        """Add a field."""
        self.fields.append(Field(name, octets.hex(), meaning))

    def blame(self, sentence: str) -> None:
        """Add a rule that is broken."""
        self.problems.append(sentence)


def dissect(
    data: bytes, source: IPAddress | None = None, destination: IPAddress | None = None
) -> Dissection:
    """Take a packet apart, whatever it begins with.

    `source` and `destination` are for a packet that has no IP header; without a source, only the
    checksum form that needs none can be checked.
    """
    told = Dissection(source=source, destination=destination)
    family = None if source is None else source.version
    if not data:
        told.blame("there is nothing in it")
        return told
    data = _without_ethernet(told, data)
    if data[0] >> 4 == 4 and len(data) >= _IPV4_HEADER_LENGTH:
        family, data = 4, _without_ipv4(told, data)
    elif data[0] >> 4 == 6 and len(data) >= _IPV6_HEADER_LENGTH:
        family, data = 6, _without_ipv6(told, data)
    _advertisement(told, data, family)
    return told


def _without_ethernet(told: Dissection, data: bytes) -> bytes:
    """Take the Ethernet header off, if there is one."""
    start = _ETHERNET_LENGTH
    if len(data) <= start + _VLAN_LENGTH:
        return data
    if int.from_bytes(data[12:14]) == _ETHERTYPE_VLAN:
        start += _VLAN_LENGTH
    version = _ETHERTYPES.get(int.from_bytes(data[start - 2 : start]))
    if version is None or data[start] >> 4 != version:
        return data
    told.hardware = data[6:12].hex(":")
    told.virtual_mac_of = vrid_of(told.hardware, version)
    whose = f" (the virtual MAC of VRID {told.virtual_mac_of})" if told.virtual_mac_of else ""
    told.note("Ethernet source", data[6:12], f"{told.hardware}{whose}")
    return data[start:]


def _without_ipv4(told: Dissection, data: bytes) -> bytes:
    try:
        datagram = packet.split_datagram(data)
    except packet.PacketError as error:
        told.blame(f"{error}")
        return b""
    if data[9] != packet.PROTOCOL:
        told.blame(f"IP protocol {data[9]} is not VRRP, which is {packet.PROTOCOL}")
    _addressing(told, datagram, "TTL", data[8:9], (data[12:16], data[16:20]))
    return datagram.payload


def _without_ipv6(told: Dissection, data: bytes) -> bytes:
    length = int.from_bytes(data[4:6])
    payload = data[_IPV6_HEADER_LENGTH : _IPV6_HEADER_LENGTH + length]
    if len(payload) < length:
        told.blame(f"the IPv6 header states {length} bytes, {len(payload)} are there")
    if data[6] != packet.PROTOCOL:
        told.blame(f"next header {data[6]} is not VRRP, which is {packet.PROTOCOL}")
    source, destination = ip_address(data[8:24]), ip_address(data[24:40])
    datagram = packet.Datagram(source, destination, data[7], payload)
    _addressing(told, datagram, "hop limit", data[7:8], (data[8:24], data[24:40]))
    if not source.is_link_local:
        told.blame(f"{source} is not link-local, as a sender over IPv6 has to be (RFC 9568 5.1.2)")
    return payload


def _addressing(
    told: Dissection,
    datagram: packet.Datagram,
    limit: str,
    octets: bytes,
    ends: tuple[bytes, bytes],
) -> None:
    told.source, told.destination = datagram.source, datagram.destination
    told.note("source", ends[0], str(datagram.source))
    group = packet.group_for(datagram.source)
    way = "the multicast group" if datagram.destination == group else "unicast"
    told.note("destination", ends[1], f"{datagram.destination} ({way})")
    told.note(limit, octets, str(datagram.ttl))
    if datagram.ttl != packet.TTL and datagram.destination == group:
        told.blame(f"{limit} {datagram.ttl} is not {packet.TTL}: it was not sent on this link")


# ------------------------------------------------------------------------------- the advertisement


def _advertisement(told: Dissection, data: bytes, family: int | None) -> None:
    if len(data) < _HEADER_LENGTH:
        told.blame(f"{len(data)} bytes are no advertisement, which has at least {_HEADER_LENGTH}")
        return
    version, kind, count = data[0] >> 4, data[0] & 0x0F, data[3]
    told.version, told.vrid, told.priority = version, data[1], data[2]
    told.note("version, type", data[:1], f"version {version}, {_kind(kind)}")
    if version not in (2, 3):
        told.blame(f"version {version} is neither 2 nor 3")
    if kind != 1:
        told.blame(f"type {kind} is not an advertisement, which is 1")
    told.note("VRID", data[1:2], str(data[1]))
    if data[1] == 0:
        told.blame("VRID 0 is not allowed")
    if told.virtual_mac_of not in (None, data[1]):
        told.blame(f"it comes from the virtual MAC of VRID {told.virtual_mac_of}")
    told.note("priority", data[2:3], priority_in_words(data[2]))
    told.note("addresses", data[3:4], f"{count} follow")
    if count == 0:
        told.blame("an advertisement without addresses")
    trailer = packet.PASSWORD_LENGTH if version == 2 else 0
    if family is None:
        rest = len(data) - _HEADER_LENGTH - trailer
        family = 6 if rest in (16 * count, 16 * count + _HMAC_LENGTH) and count else 4
    if version == 2 and family == 6:
        told.blame("version 2 is not for IPv6")
    _interval(told, data, version)
    end = _HEADER_LENGTH + count * (4 if family == 4 else 16)
    _checksum(told, data, end + trailer, version, family)
    width = 4 if family == 4 else 16
    whole = range(_HEADER_LENGTH, min(end, len(data)) - width + 1, width)
    told.addresses = tuple(ip_address(data[at : at + width]) for at in whole)
    for at, address in zip(whole, told.addresses, strict=True):
        told.note("virtual address", data[at : at + width], str(address))
    _the_rest(told, data, end, trailer)


def _the_rest(told: Dissection, data: bytes, end: int, trailer: int) -> None:
    if len(data) < end + trailer:
        told.blame(f"{len(data)} bytes, where its addresses need {end + trailer}")
        return
    if trailer:
        told.note("authentication", b"", f"{trailer} bytes, not shown here")
    surplus = data[end + trailer :]
    if len(surplus) == _HMAC_LENGTH:
        told.authentication = "keyed hash"
        seconds, counter = int.from_bytes(surplus[4:8]), int.from_bytes(surplus[10:12])
        text = f"keyed hash, key {surplus[1]}, sent at {seconds} s, counter {counter}"
        told.note("authentication block", surplus, text)
    elif surplus:
        told.note("surplus", surplus, f"{len(surplus)} bytes")
        told.blame(f"{len(surplus)} bytes too many; padding belongs after the IP length")


def _interval(told: Dissection, data: bytes, version: int) -> None:
    if version == 2:
        kind, seconds = data[4], data[5]
        told.authentication = {0: "none", 1: "password"}.get(kind, f"type {kind}")
        told.note("authentication type", data[4:5], told.authentication)
        if kind not in (0, 1):
            told.blame(f"authentication of type {kind} is not known")
        told.interval_cs = seconds * 100
        told.note("interval", data[5:6], f"{seconds} s")
    else:
        third = int.from_bytes(data[4:6])
        told.interval_cs = third & 0x0FFF
        reserved = f", reserved bits {third >> 12:04b}" if third >> 12 else ""
        told.note("interval", data[4:6], f"{told.interval_cs * 10} ms{reserved}")
    if told.interval_cs == 0:
        told.blame("an interval of zero, which has to be discarded (RFC 9568 erratum 8301)")


def _checksum(told: Dissection, data: bytes, length: int, version: int, family: int) -> None:
    """Tell in which form the checksum is right."""
    covered, stated = data[:length], int.from_bytes(data[6:8])
    right: dict[ChecksumForm, int] = {}
    if version == 2 or family == 4:
        right[ChecksumForm.PLAIN] = _computed(covered, b"")
    if version != 2 and told.source is not None and told.source.version == family:
        to = told.destination or packet.group_for(told.source)
        head = packet.pseudo_header(told.source, to, len(covered))
        right[ChecksumForm.PSEUDO_HEADER] = _computed(covered, head)
    for form, value in right.items():
        if value == stated:
            told.form = form
            covers = "over the packet alone" if form is ChecksumForm.PLAIN else "with pseudo-header"
            told.note("checksum", data[6:8], f"right, {covers}")
            return
    if version != 2 and told.source is None:
        told.note("checksum", data[6:8], "cannot be judged: the pseudo-header needs --source")
        return
    told.note("checksum", data[6:8], "wrong")
    options = " or ".join(f"{value:04x} ({form})" for form, value in right.items())
    told.blame(f"the checksum is {stated:04x}, right would be {options}")


def _computed(covered: bytes, head: bytes) -> int:
    return packet.internet_checksum(head + covered[:6] + b"\0\0" + covered[8:])


def _kind(kind: int) -> str:
    return "advertisement" if kind == 1 else f"type {kind}"


def priority_in_words(priority: int) -> str:
    """Return a priority with what it means."""
    special = {
        packet.PRIORITY_LEAVING: "0: the active router leaves",
        packet.PRIORITY_OWNER: "255: owns the addresses",
    }
    return special.get(priority, str(priority))
