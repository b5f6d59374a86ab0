"""The keyed hash at the end of advertisements: golden bytes, forgery, replay, clocks, rotation."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrrp.authentication import SENDERS_MAX, Sequences, seal, sequence_at, verify
from vrrp.keys import HmacKey
from vrrp.packet import (
    Advertisement,
    ChecksumForm,
    Datagram,
    IPAddress,
    PacketError,
    Rejection,
    decode,
    encode,
)

KEY = HmacKey(1, bytes(range(32)).hex())
OTHER = HmacKey(2, "ff" * 32)
SEQUENCE = 0x6800000080000000
SOURCE, GROUP = IPv4Address("198.51.100.10"), IPv4Address("224.0.0.18")
SOURCE_6, TO_6 = IPv6Address("fe80::10"), IPv6Address("fe80::20")
PLAIN = Advertisement(
    vrid=51, priority=200, interval_cs=100, addresses=(IPv4Address("192.0.2.100"),)
)
PLAIN_6 = replace(PLAIN, addresses=(IPv6Address("fe80::100"),))
# The wire images of the published draft: key 00 01 .. 1f, the checksum of IPv4 without
# pseudo-header, that of IPv6 for the destination fe80::20.
IMAGE = bytes.fromhex(
    "3133c80100644402c0000264 010100006800000080000000 1b84bc4e8e43892dc6d98448f8ee2265"
)
IMAGE_6 = bytes.fromhex(
    "3133c8010064a2e9 fe800000000000000000000000000100"
    "010100006800000080000000 c8c56146ebfd66ee10ec4d8186461b78"
)


def datagram(payload: bytes, source: IPAddress = SOURCE, to: IPAddress = GROUP) -> Datagram:
    return Datagram(source, to, 255, payload)


def test_golden_bytes_both_ways() -> None:
    pdu = encode(PLAIN, SOURCE, form=ChecksumForm.PLAIN)
    assert seal(pdu, SOURCE, GROUP, key=KEY, sequence=SEQUENCE) == IMAGE
    assert decode(IMAGE, SOURCE) == (PLAIN, ChecksumForm.PLAIN)
    assert verify(datagram(IMAGE), [OTHER, KEY]) == SEQUENCE


def test_golden_bytes_over_ipv6_where_the_checksum_covers_the_block() -> None:
    pdu = encode(PLAIN_6, SOURCE_6, TO_6)
    assert seal(pdu, SOURCE_6, TO_6, key=KEY, sequence=SEQUENCE) == IMAGE_6
    assert decode(IMAGE_6, SOURCE_6, TO_6)[0] == PLAIN_6
    assert verify(datagram(IMAGE_6, SOURCE_6, TO_6), [KEY]) == SEQUENCE


@given(st.integers(0, len(IMAGE) * 8 - 1))
def test_one_changed_bit_is_noticed_everywhere_but_in_the_checksum(position: int) -> None:
    octets = bytearray(IMAGE)
    octets[position // 8] ^= 1 << position % 8
    if position // 8 in (6, 7):
        return  # the checksum itself sees to that
    try:
        decode(bytes(octets), SOURCE)
        verified = verify(datagram(bytes(octets)), [KEY, OTHER])
    except PacketError:
        return
    raise AssertionError(verified)


@pytest.mark.parametrize(
    ("changed", "keys", "sentence"),
    [
        (datagram(IMAGE), [OTHER], "key has the number 1, which is not configured"),
        (datagram(IMAGE), [HmacKey(1, OTHER.secret)], "keyed hash is wrong"),
        (datagram(IMAGE, SOURCE + 1), [KEY], "keyed hash is wrong"),
        (datagram(IMAGE[:12] + b"\x02" + IMAGE[13:]), [KEY], "of type 2, which is not known"),
    ],
)
def test_what_is_not_right_is_refused(
    changed: Datagram, keys: list[HmacKey], sentence: str
) -> None:
    with pytest.raises(PacketError, match=sentence) as refusal:
        verify(changed, keys)
    assert refusal.value.cause is Rejection.AUTHENTICATION
    assert KEY.secret not in str(refusal.value)


def test_one_without_a_block_is_told_apart() -> None:
    assert verify(datagram(IMAGE[:12]), [KEY]) is None


def test_version_2_signs_its_password_field_as_well() -> None:
    old = replace(PLAIN, version=2, password=b"s3cretlo")
    sealed = seal(encode(old, SOURCE), SOURCE, GROUP, key=KEY, sequence=SEQUENCE)
    assert len(sealed) == 8 + 4 + 8 + 28
    assert decode(sealed, SOURCE, version=2)[0] == old
    assert verify(datagram(sealed), [KEY]) == SEQUENCE


# ------------------------------------------------------------------------------ sequences

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND
WINDOW_S = 5.0


def test_a_sequence_is_the_time_with_room_for_a_counter() -> None:
    assert sequence_at(NOW + SECOND // 2) == 1_800_000_000 << 32 | 0x8000 << 16


def test_sequences_grow_even_when_the_clock_does_not() -> None:
    mine = Sequences()
    sent = [mine.next(at, WINDOW_S) for at in (NOW, NOW, NOW - 2 * SECOND, NOW + 1_000_000)]
    assert sent == sorted(set(sent))


def test_after_the_clock_was_set_back_far_the_present_counts() -> None:
    mine = Sequences()
    mine.next(NOW + 3600 * SECOND, WINDOW_S)
    assert mine.next(NOW, WINDOW_S) == sequence_at(NOW)


def accept(receiver: Sequences, sequence: int, at: int = NOW, sender: IPAddress = SOURCE) -> None:
    receiver.check(sender, sequence, wall_ns=at, window_s=WINDOW_S)


def test_each_is_accepted_once_and_in_order() -> None:
    receiver = Sequences()
    first, second = sequence_at(NOW), sequence_at(NOW) + 1
    accept(receiver, second)
    for old in (second, first):
        with pytest.raises(PacketError, match="no newer") as refusal:
            accept(receiver, old)
        assert refusal.value.cause is Rejection.REPLAY
    accept(receiver, first, sender=SOURCE + 1)  # another sender counts for itself


@pytest.mark.parametrize(("off_s", "side"), [(6, "ahead of"), (-6, "behind")])
def test_what_is_too_far_from_our_clock_is_refused_even_the_first(off_s: int, side: str) -> None:
    with pytest.raises(PacketError, match=f"6 s {side} our clock; 5 s are allowed"):
        accept(Sequences(), sequence_at(NOW + off_s * SECOND))


def test_a_mark_from_a_wrong_clock_does_not_stay_for_ever() -> None:
    receiver = Sequences()
    accept(receiver, sequence_at(NOW + 3600 * SECOND), at=NOW + 3600 * SECOND)
    accept(receiver, sequence_at(NOW))  # both clocks were set right


def test_senders_are_forgotten_beyond_a_bound_the_oldest_first() -> None:
    receiver = Sequences()
    for number in range(SENDERS_MAX + 1):
        accept(receiver, sequence_at(NOW), sender=SOURCE + number)
    assert len(receiver.accepted) == SENDERS_MAX
    assert SOURCE not in receiver.accepted


# ------------------------------------------------------------------------------ keys


def test_a_key_as_people_write_it() -> None:
    key = HmacKey.parse(f"7:{KEY.secret}")
    assert (key.id, key.secret) == (7, KEY.secret)
    assert KEY.secret not in repr(key)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (5, "not a key"),
        ("00112233", "not a key"),
        (f"x:{KEY.secret}", "not a key"),
        (f"256:{KEY.secret}", "from 0 to 255"),
        ("1:secret!", "hexadecimal"),
        ("1:0011", "2 bytes; 32 to 64"),
        ("1:" + "00" * 65, "65 bytes; 32 to 64"),
    ],
)
def test_what_is_no_key_is_refused_without_showing_it(text: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refusal:
        HmacKey.parse(text)
    assert "secret!" not in str(refusal.value)
