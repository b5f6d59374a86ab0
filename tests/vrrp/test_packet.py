"""Golden bytes captured from another implementation, one bad packet per cause, round trips."""

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrrp.packet import (
    Advertisement,
    ChecksumForm,
    Datagram,
    PacketError,
    Rejection,
    decode,
    encode,
    split_datagram,
)

SOURCE = IPv4Address("192.0.2.1")
MULTICAST = IPv4Address("224.0.0.18")
PSEUDO, PLAIN = ChecksumForm.PSEUDO_HEADER, ChecksumForm.PLAIN


def advertisement(vrid: int, priority: int, interval_cs: int, *addresses: str) -> Advertisement:
    return Advertisement(
        vrid=vrid,
        priority=priority,
        interval_cs=interval_cs,
        addresses=tuple(IPv4Address(address) for address in addresses),
    )


GOLDEN = [
    # bytes, destination, form, meaning; the sender is keepalived 2.2.7
    ("313496010032d3c9c000023d", "224.0.0.18", PSEUDO, (52, 150, 50, "192.0.2.61")),
    ("313496010032765ac000023d", "224.0.0.18", PLAIN, (52, 150, 50, "192.0.2.61")),
    ("31340001003269cac000023d", "224.0.0.18", PSEUDO, (52, 0, 50, "192.0.2.61")),
    ("313cc801000abff0c0000246", "192.0.2.2", PSEUDO, (60, 200, 10, "192.0.2.70")),
    ("313dc8010064a184c0000247", "224.0.0.18", PSEUDO, (61, 200, 100, "192.0.2.71")),
]


@pytest.mark.parametrize(("octets", "destination", "form", "meaning"), GOLDEN)
def test_golden_bytes_both_ways(
    octets: str, destination: str, form: ChecksumForm, meaning: tuple[int, int, int, str]
) -> None:
    to = IPv4Address(destination)
    expected = advertisement(*meaning)
    assert decode(bytes.fromhex(octets), SOURCE, to) == (expected, form)
    assert encode(expected, SOURCE, to, form=form).hex() == octets


PASSWORD = b"s3cretlo"
FE80 = IPv6Address("fe80::64de:31ff:fe65:268")
VERSION_2 = [
    ("21339602 01011ad7 c0000233 c0000234 7333637265746c6f", 150),
    ("21330002 0101b0d7 c0000233 c0000234 7333637265746c6f", 0),
]


@pytest.mark.parametrize(("octets", "priority"), VERSION_2)
def test_golden_bytes_of_version_2_with_a_password(octets: str, priority: int) -> None:
    expected = Advertisement(
        version=2,
        vrid=51,
        priority=priority,
        interval_cs=100,
        addresses=(IPv4Address("192.0.2.51"), IPv4Address("192.0.2.52")),
        password=PASSWORD,
    )
    assert decode(bytes.fromhex(octets), SOURCE) == (expected, PLAIN)
    assert encode(expected, SOURCE) == bytes.fromhex(octets)
    assert "s3cret" not in repr(expected)


def test_golden_bytes_over_ipv6() -> None:
    octets = bytes.fromhex("3135ff0200640caa") + b"".join(
        IPv6Address(text).packed for text in ("fe80::53", "2001:db8::53")
    )
    expected = Advertisement(
        vrid=53,
        priority=255,
        interval_cs=100,
        addresses=(IPv6Address("fe80::53"), IPv6Address("2001:db8::53")),
    )
    assert decode(octets, FE80) == (expected, PSEUDO)
    # Whatever form the peer's IPv4 adverts have: over IPv6 there is one.
    assert encode(expected, FE80, form=PLAIN) == octets


def with_checksum(pdu: bytes) -> bytes:
    """Repair the plain checksum, so that a packet is wrong in one respect only."""
    blank = pdu[:6] + b"\0\0" + pdu[8:]
    total = sum(struct.unpack(f"!{len(blank) // 2}H", blank))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return blank[:6] + struct.pack("!H", ~total & 0xFFFF) + blank[8:]


GOOD = encode(advertisement(51, 100, 100, "192.0.2.100", "192.0.2.101"), SOURCE, form=PLAIN)
REFUSED = [
    (GOOD[:7], Rejection.LENGTH),
    (GOOD[:-4], Rejection.LENGTH),
    (GOOD + bytes(4), Rejection.LENGTH),
    (b"\x41" + GOOD[1:], Rejection.VERSION),
    (b"\x32" + GOOD[1:], Rejection.TYPE),
    (with_checksum(GOOD[:3] + b"\0" + GOOD[4:8]), Rejection.ADDRESS_COUNT),
    (with_checksum(GOOD[:1] + b"\0" + GOOD[2:]), Rejection.VRID),
    (with_checksum(GOOD[:4] + b"\0\0" + GOOD[6:]), Rejection.INTERVAL),
    (GOOD[:6] + b"\xff\xff" + GOOD[8:], Rejection.CHECKSUM),
]


OLD = encode(
    Advertisement(
        version=2, vrid=51, priority=9, interval_cs=100, addresses=(IPv4Address("192.0.2.100"),)
    ),
    SOURCE,
)
REFUSED += [
    (OLD[:-8], Rejection.LENGTH),  # the eight bytes are there even without a password
    (OLD[:-1] + b"x", Rejection.CHECKSUM),
    (with_checksum(OLD[:5] + b"\0" + OLD[6:]), Rejection.INTERVAL),
    (with_checksum(OLD[:4] + b"\2" + OLD[5:]), Rejection.AUTHENTICATION),
]


@pytest.mark.parametrize(("payload", "cause"), REFUSED)
def test_refused_with_its_cause(payload: bytes, cause: Rejection) -> None:
    with pytest.raises(PacketError) as refusal:
        decode(payload, SOURCE)
    assert refusal.value.cause is cause
    assert str(refusal.value)


def test_only_the_version_that_is_asked_for() -> None:
    for payload, spoken in ((GOOD, 3), (OLD, 2)):
        assert decode(payload, SOURCE, version=spoken)[0].version == spoken
        with pytest.raises(PacketError, match=f"version {spoken}; version {5 - spoken} is spoken"):
            decode(payload, SOURCE, version=5 - spoken)


def test_version_2_is_not_for_ipv6() -> None:
    with pytest.raises(PacketError) as refusal:
        decode(OLD, FE80)
    assert refusal.value.cause is Rejection.VERSION


def test_reserved_bits_are_ignored() -> None:
    reserved = with_checksum(GOOD[:4] + bytes([GOOD[4] | 0xF0]) + GOOD[5:])
    assert decode(reserved, SOURCE) == decode(GOOD, SOURCE)


def test_an_appended_authentication_block_is_left_out() -> None:
    assert decode(GOOD + bytes(range(28)), SOURCE) == decode(GOOD, SOURCE)


def datagram(payload: bytes, *, ttl: int = 255, padding: bytes = b"", first: int = 0x45) -> bytes:
    header = struct.pack("!BBHHHBBH", first, 0xC0, 20 + len(payload), 0, 0, ttl, 112, 0)
    return header + SOURCE.packed + MULTICAST.packed + payload + padding


def test_the_ip_length_is_trusted_over_padding() -> None:
    padded = split_datagram(datagram(GOOD, padding=bytes(18)))
    assert padded == Datagram(SOURCE, MULTICAST, 255, GOOD)
    assert padded.vrid == 51


def test_ip_options_are_skipped() -> None:
    data = bytearray(datagram(b"\x01" * 4 + GOOD, first=0x46))
    assert split_datagram(bytes(data)).payload == GOOD


@pytest.mark.parametrize(
    "data",
    [b"", datagram(GOOD)[:30], datagram(GOOD, first=0x65), datagram(GOOD, first=0x44)],
)
def test_refused_datagrams(data: bytes) -> None:
    with pytest.raises(PacketError) as refusal:
        split_datagram(data)
    assert refusal.value.cause is Rejection.IP_HEADER


@pytest.mark.parametrize(
    "values",
    [
        {"version": 4},
        {"version": 2, "interval_cs": 150},
        {"version": 2, "interval_cs": 25600},
        {"version": 2, "addresses": (IPv6Address("fe80::1"),)},
        {"addresses": (IPv6Address("fe80::1"), IPv4Address("192.0.2.1"))},
        {"password": b"x"},
        {"version": 2, "password": b"nine more"},
    ],
)
def test_combinations_the_wire_cannot_carry_are_refused(values: dict[str, object]) -> None:
    good = {"vrid": 1, "priority": 1, "interval_cs": 100, "addresses": (IPv4Address("192.0.2.1"),)}
    with pytest.raises(ValueError, match=r"version|outside|family|password"):
        Advertisement(**(good | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values", [(0, 1, 1), (256, 1, 1), (1, -1, 1), (1, 256, 1), (1, 1, 0), (1, 1, 4096)]
)
def test_values_the_wire_cannot_carry_are_refused(values: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="outside"):
        advertisement(*values, "192.0.2.1")
    with pytest.raises(ValueError, match="addresses"):
        advertisement(1, 1, 1)


ADVERTISEMENTS = st.builds(
    Advertisement,
    vrid=st.integers(1, 255),
    priority=st.integers(0, 255),
    interval_cs=st.integers(1, 4095),
    addresses=st.lists(st.ip_addresses(v=4), min_size=1, max_size=255).map(tuple),
)


OLD_ONES = st.builds(
    Advertisement,
    version=st.just(2),
    vrid=st.integers(1, 255),
    priority=st.integers(0, 255),
    interval_cs=st.integers(1, 255).map(lambda seconds: seconds * 100),
    addresses=st.lists(st.ip_addresses(v=4), min_size=1, max_size=255).map(tuple),
    password=st.none() | st.binary(max_size=8).filter(lambda data: not data.endswith(b"\0")),
)
OVER_IPV6 = st.builds(
    Advertisement,
    vrid=st.integers(1, 255),
    priority=st.integers(0, 255),
    interval_cs=st.integers(1, 4095),
    addresses=st.lists(st.ip_addresses(v=6), min_size=1, max_size=255).map(tuple),
)


@given(OLD_ONES, st.ip_addresses(v=4))
def test_round_trip_of_version_2(packet: Advertisement, source: IPv4Address) -> None:
    assert decode(encode(packet, source), source, version=2) == (packet, PLAIN)


@given(OVER_IPV6, st.ip_addresses(v=6), st.ip_addresses(v=6))
def test_round_trip_over_ipv6(packet: Advertisement, source: IPv6Address, to: IPv6Address) -> None:
    assert decode(encode(packet, source, to), source, to) == (packet, PSEUDO)


@given(ADVERTISEMENTS, st.ip_addresses(v=4), st.sampled_from(ChecksumForm))
def test_round_trip(packet: Advertisement, source: IPv4Address, form: ChecksumForm) -> None:
    decoded, seen = decode(encode(packet, source, form=form), source)
    assert decoded == packet
    # Where the pseudo-header happens to sum to nothing, both forms are the same bytes.
    assert seen is form or encode(packet, source, form=seen) == encode(packet, source, form=form)


@given(st.binary(max_size=80))
def test_nonsense_is_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(PacketError):
        split_datagram(data)
    for source in (SOURCE, FE80):
        with pytest.raises(PacketError):
            decode(data, source)


@given(ADVERTISEMENTS, st.data())
def test_one_changed_bit_is_noticed(packet: Advertisement, data: st.DataObject) -> None:
    octets = bytearray(encode(packet, SOURCE))
    position = data.draw(st.integers(0, len(octets) * 8 - 1))
    octets[position // 8] ^= 1 << position % 8
    try:
        decoded, form = decode(bytes(octets), SOURCE)
    except PacketError:
        return
    # The one way through: the flipped bit turned the checksum into its other form.
    assert form is PLAIN
    assert decoded.vrid > 0
