"""The datagrams of connection sync: round trips, what the kernel refuses, and a real capture.

`captures/sync.pcap` is what the sync daemon of a Linux 6.1 kernel sent while clients went through
IPv4 and IPv6 services, TCP and UDP, with persistence and the SIP engine, first in version 1, then
in version 0 (tests/kernel/test_sync_traffic.py makes it). tshark reads the same file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hadirector.ipvs import syncproto
from hadirector.ipvs.model import Forward
from hadirector.ipvs.syncproto import (
    F_SEQUENCE,
    NO_OPTIONS,
    OptionError,
    Options,
    RecordError,
    SizeError,
    SyncError,
    SyncMessage,
    SyncRecord,
    TruncatedError,
    VersionError,
    decode,
    encode,
)
from hadirector.ipvs.synctally import datagram_of
from tests.hadirector.ipvs.second_opinion import dissected, numbers
from tests.prerequisites import require

CAPTURE = Path(__file__).parent / "captures" / "sync.pcap"
U8, U16, U32 = (some.integers(0, 2**bits - 1) for bits in (8, 16, 32))
SEQUENCES = some.none() | some.tuples(U32, U32, U32, U32, U32, U32)
OPTIONS = some.builds(
    Options,
    sequence=SEQUENCES,
    engine=some.binary(max_size=16),
    engine_data=some.binary(max_size=255),
    passed_over=some.lists(
        some.tuples(some.integers(0x44, 0x7F), some.binary(min_size=1, max_size=9)), max_size=2
    ).map(tuple),
)
CALL = b"192.0.2.7-call"
WEB = SyncRecord(
    0, 6, 36, 0x0100, 1, 40000, 80, 8080, 7, 900,
    bytes([192, 0, 2, 1]), bytes([192, 0, 2, 100]), bytes([198, 51, 100, 21]),
)  # fmt: skip
WEB_BYTES = bytes.fromhex(
    "0006 0024 00000100 0001 9c40 0050 1f90 00000007 00000384 c0000201 c0000264 c6336415"
)


@some.composite
def records(draw: some.DrawFn) -> SyncRecord:
    """A record of version 1; its length is that of its fields and options."""
    width = draw(some.sampled_from([4, 16]))
    options = draw(OPTIONS)
    address = some.binary(min_size=width, max_size=width)
    length = (36 if width == 4 else 72) + len(syncproto._encode_options(options))
    return SyncRecord(
        0 if width == 4 else 1, draw(U8), length, draw(U32), draw(U16), draw(U16), draw(U16),
        draw(U16), draw(U32), draw(U32), draw(address), draw(address), draw(address), options,
    )  # fmt: skip


@some.composite
def old_records(draw: some.DrawFn) -> SyncRecord:
    """A record of version 0."""
    sequence = draw(SEQUENCES)
    flags = draw(U16) & ~F_SEQUENCE | (0x0200 if sequence else 0)
    address = some.binary(min_size=4, max_size=4)
    options = Options(sequence=sequence) if sequence else NO_OPTIONS
    return SyncRecord(
        0, draw(U8), 0, flags, draw(U16), draw(U16), draw(U16), draw(U16), 0, 0,
        draw(address), draw(address), draw(address), options,
    )  # fmt: skip


@given(U8, some.lists(records(), max_size=6))
def test_version_1_round_trip(sync_id: int, found: list[SyncRecord]) -> None:
    message = SyncMessage(1, sync_id, tuple(found))
    assert decode(encode(message)) == message


@given(U8, some.lists(old_records(), min_size=1, max_size=6))
def test_version_0_round_trip(sync_id: int, found: list[SyncRecord]) -> None:
    message = SyncMessage(0, sync_id, tuple(found))
    assert decode(encode(message)) == message


@given(some.binary(max_size=200), some.booleans())
def test_any_bytes_are_a_message_or_a_named_error(data: bytes, sized: bool) -> None:
    if sized and len(data) >= 8:  # so that more than the size is looked at
        data = b"\0" + data[1:2] + struct.pack(">HBBH", len(data), data[4], 1, 0) + data[8:]
    try:
        message = decode(data)
    except SyncError as error:
        cause = error.cause
    else:
        cause = f"version {message.version}"
    assert cause in {
        "version 0", "version 1", "truncated", "size", "version", "record", "option",
    }  # fmt: skip


def test_the_bytes_of_a_record() -> None:
    data = struct.pack(">BBHBBH", 0, 51, 44, 1, 1, 0) + WEB_BYTES
    assert decode(data) == SyncMessage(1, 51, (WEB,))
    assert encode(SyncMessage(1, 51, (WEB,))) == data
    assert (str(WEB.client), str(WEB.server)) == ("192.0.2.1:40000", "198.51.100.21:8080")
    assert (WEB.protocol_name, WEB.state_name, WEB.forward) == ("tcp", "established", Forward.NAT)
    assert not WEB.is_template


def test_numbers_that_nobody_knows_are_shown_as_numbers() -> None:
    odd = WEB._replace(protocol=99, state=77, flags=0x1007)
    assert (odd.protocol_name, odd.state_name, odd.forward) == ("99", "77", None)
    assert odd.is_template
    assert WEB._replace(protocol=132, state=8).state_name == "established"
    assert WEB._replace(protocol=17, state=0).state_name == "normal"


def message(*parts: bytes, count: int = 1, size: int | None = None) -> bytes:
    """A datagram of version 1 around these bytes."""
    body = b"".join(parts)
    stated = 8 + len(body) if size is None else size
    return struct.pack(">BBHBBH", 0, 51, stated, count, 1, 0) + body


def with_options(data: bytes) -> bytes:
    """A record with these bytes behind its fields."""
    record = WEB_BYTES[:2] + (36 + len(data)).to_bytes(2, "big") + WEB_BYTES[4:] + data
    return message(record + bytes(-len(record) % 4))


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"\1\2\3", TruncatedError, "3 bytes are no header"),
        (message(WEB_BYTES, size=99), SizeError, "states 99 bytes and has 44"),
        (message(WEB_BYTES, count=2), TruncatedError, "record 2 of 2 is cut off"),
        (message(b"\1" + WEB_BYTES[1:]), TruncatedError, "record 1 of 1 is cut off"),
        (message(WEB_BYTES[:2] + b"\x10\x24" + WEB_BYTES[4:]), VersionError, "has version 1"),
        (message(WEB_BYTES[:2] + b"\0\x23" + WEB_BYTES[4:]), RecordError, "states 35 bytes"),
        (message(WEB_BYTES[:2] + b"\0\x40" + WEB_BYTES[4:]), TruncatedError, "is cut off"),
        (with_options(b"\1"), OptionError, "without its length"),
        (with_options(b"\1\x18abc"), OptionError, "of 24 bytes is cut off"),
        (with_options(b"\2\0"), OptionError, "of 0 bytes is cut off"),
        (with_options(b"\1\4abcd"), OptionError, "sequence data of 4 bytes"),
        (with_options(b"\3\x11" + b"n" * 17), OptionError, "name of 17 bytes"),
        (with_options(b"\2\1a\2\1b"), OptionError, "option 2 twice"),
        (with_options(b"\x09\1a"), OptionError, "option 9 is not known"),
        (struct.pack(">BBH", 1, 5, 4), TruncatedError, "record 1 of 1 is cut off"),
        (
            struct.pack(">BBH", 1, 5, 28) + bytes(20) + b"\2\0\0\0",
            TruncatedError,
            "sequence data of record 1",
        ),
    ],
)
def test_what_is_damaged_is_refused_by_name(
    data: bytes, error: type[SyncError], words: str
) -> None:
    with pytest.raises(error, match=words):
        decode(data)


def test_a_persistence_engines_data_and_options_of_tomorrow() -> None:
    data = with_options(b"\3\3sip\2" + bytes([len(CALL)]) + CALL + b"\x44\1x")
    [record] = decode(data).records
    assert (record.options.engine, record.options.engine_data) == (b"sip", CALL)
    assert record.options.passed_over == ((0x44, b"x"),)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (SyncMessage(1, 1, (WEB,) * 256), SizeError),
        (SyncMessage(1, 1, (WEB._replace(options=Options(engine=b"n" * 17)),)), OptionError),
        (SyncMessage(0, 1, (WEB._replace(client_address=bytes(16)),)), RecordError),
        (SyncMessage(0, 1, (WEB._replace(flags=0x200),)), RecordError),
    ],
)
def test_what_a_version_cannot_say_is_not_sent(wrong: SyncMessage, error: type[SyncError]) -> None:
    with pytest.raises(error):
        encode(wrong)


# A real capture


def captured() -> Iterator[bytes]:
    """The IP packets of the capture (LINKTYPE_RAW, in this machine's byte order or the other)."""
    data = CAPTURE.read_bytes()
    order = "<" if data[:4] == b"\xd4\xc3\xb2\xa1" else ">"
    offset = 24
    while offset < len(data):
        _, _, length, _ = struct.unpack_from(order + "IIII", data, offset)
        yield data[offset + 16 : offset + 16 + length]
        offset += 16 + length


def decoded() -> list[SyncMessage]:
    """Every message of the capture."""
    packets = [datagram_of(packet) for packet in captured()]
    return [decode(packet.payload) for packet in packets if packet is not None]


def test_every_message_of_the_kernel_is_read_and_written_again_byte_by_byte() -> None:
    payloads = [packet.payload for packet in map(datagram_of, captured()) if packet is not None]
    assert len(payloads) == len(list(captured())) > 1
    for payload in payloads:
        assert encode(decode(payload)) == payload


def test_the_capture_has_every_kind_of_record() -> None:
    messages = decoded()
    found = [record for one in messages for record in one.records]
    assert {one.version for one in messages} == {0, 1}
    assert {one.protocol_name for one in found} >= {"tcp", "udp"}
    assert {record.kind & 1 for one in messages if one.version for record in one.records} == {0, 1}
    assert any(record.is_template for record in found)
    assert any(record.options.engine == b"sip" for record in found)


def test_tshark_reads_the_same() -> None:
    require("tshark")
    names = ["conncount", "syncid", "version", "proto", "cport", "vport", "dport", "state"]
    seen = dissected(CAPTURE, names)
    for theirs, ours in zip(seen, decoded(), strict=True):
        assert numbers(theirs["conncount"]) == [len(ours.records)]
        assert numbers(theirs["syncid"]) == [ours.sync_id]
        assert numbers(theirs["version"] or ["0"]) == [ours.version]
        assert [
            numbers(theirs[name]) for name in ("proto", "cport", "vport", "dport", "state")
        ] == [
            [record.protocol for record in ours.records],
            [record.client_port for record in ours.records],
            [record.virtual_port for record in ours.records],
            [record.server_port for record in ours.records],
            [record.state for record in ours.records],
        ]
