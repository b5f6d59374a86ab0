"""The datagrams of connection sync, as the kernel's daemons send them: decoded and encoded.

The problem: two formats are in use, told apart by their first bytes, with records of two lengths
and options behind them, and a director must judge what anybody may have sent. The approach: the
format of ``net/netfilter/ipvs/ip_vs_sync.c`` (version 1: a header of 8 bytes, records of 36 or 72
with options, padded to 4; version 0: 4 bytes, records of 24 with optional sequence data), to
values; the checks that the kernel makes, each with an error of its own, and an encoder for the way
back. A busy director sends tens of thousands of records a second, so a record is a plain tuple in
the order of the wire, and what people want to read of it is computed when asked for.

Never: I/O, or a guess at what a damaged datagram meant: it is refused whole.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from hadirector.ipvs.model import Address, DestinationKey, Forward

RECORDS_MAX: Final = 255
"""The header counts them in one byte."""

_HEADER: Final = struct.Struct(">BBHBBH")
_HEADER_0: Final = struct.Struct(">BBH")
_RECORD_4: Final = struct.Struct(">BBHIHHHHII4s4s4s")
_RECORD_6: Final = struct.Struct(">BBHIHHHHII16s16s16s")
_RECORD_0: Final = struct.Struct(">BBHHH4s4s4sHH")
HEADER_OCTETS: Final = _HEADER.size
_SEQUENCE: Final = struct.Struct(">IIIIII")
_LENGTH_MASK: Final = 0x0FFF
_VERSION_SHIFT: Final = 12
_IPV6: Final = 0x01
_TCP: Final = 6
_SCTP: Final = 132

F_METHOD: Final = 0x0007
F_INACTIVE: Final = 0x0100
F_OUT_SEQ: Final = 0x0200
F_IN_SEQ: Final = 0x0400
F_SEQUENCE: Final = F_OUT_SEQ | F_IN_SEQ
F_TEMPLATE: Final = 0x1000

_OPTION_SEQUENCE: Final = 1
_OPTION_ENGINE_DATA: Final = 2
_OPTION_ENGINE_NAME: Final = 3
_OPTION_IGNORABLE: Final = 0x40
"""An option with this bit may be passed over by who does not know it (IPVS_OPT_F_PARAM)."""
ENGINE_NAME_MAX: Final = 16
ENGINE_DATA_MAX: Final = 255

_PROTOCOLS: Final = {0: "ip", _TCP: "tcp", 17: "udp", _SCTP: "sctp"}
_TCP_STATES: Final = (
    "none", "established", "syn-sent", "syn-recv", "fin-wait", "time-wait", "close", "close-wait",
    "last-ack", "listen", "synack",
)  # fmt: skip
_SCTP_STATES: Final = (
    "none", "init1", "init", "cookie-sent", "cookie-replied", "cookie-wait", "cookie",
    "cookie-echoed", "established", "shutdown-sent", "shutdown-received", "shutdown-ack-sent",
    "rejected", "closed",
)  # fmt: skip


class SyncError(ValueError):
    """A datagram that is none of connection sync, or a damaged one; `cause` is for counting.

    SyncError
    ├── TruncatedError    shorter than its header, or than the records it counts
    ├── SizeError         the length it states is not the one it has
    ├── VersionError      a record of a version nobody knows
    ├── RecordError       a record shorter than its fields, or fields that cannot be
    └── OptionError       an option that is cut off, repeated, unknown, or of a wrong length
    """

    cause = "damaged"


class TruncatedError(SyncError):
    """Shorter than its header, or than the records it counts."""

    cause = "truncated"


class SizeError(SyncError):
    """The length it states is not the one it has."""

    cause = "size"


class VersionError(SyncError):
    """A record of a version nobody knows."""

    cause = "version"


class RecordError(SyncError):
    """A record shorter than its fields, or of a kind that cannot be."""

    cause = "record"


class OptionError(SyncError):
    """An option that is cut off, repeated, unknown, or of a wrong length."""

    cause = "option"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may follow a record: TCP sequence corrections (of the FTP helper), and what a
    persistence engine knows. `sequence`: initial, delta, previous delta, inwards then outwards."""

    sequence: tuple[int, int, int, int, int, int] | None = None
    engine: bytes = b""
    engine_data: bytes = b""
    passed_over: tuple[tuple[int, bytes], ...] = ()  # options that need not be known


NO_OPTIONS: Final = Options()


class SyncRecord(NamedTuple):
    """One connection, or one persistence template, in the order of the wire.

    A tuple and no dataclass, since a record must cost no more than a microsecond. Version 0 has no
    `mark` and no `timeout_s`: they are 0.
    """

    kind: int
    protocol: int
    length: int  # with its version, as on the wire
    flags: int
    state: int
    client_port: int
    virtual_port: int
    server_port: int
    mark: int
    timeout_s: int
    client_address: bytes
    virtual_address: bytes
    server_address: bytes
    options: Options = NO_OPTIONS

    @property
    def client(self) -> DestinationKey:
        """Who connects; port 0 in a persistence template."""
        return DestinationKey(_address(self.client_address), self.client_port)

    @property
    def virtual(self) -> DestinationKey:
        """What the client connects to; of a firewall mark's template the address is the mark."""
        return DestinationKey(_address(self.virtual_address), self.virtual_port)

    @property
    def server(self) -> DestinationKey:
        """The real server."""
        return DestinationKey(_address(self.server_address), self.server_port)

    @property
    def protocol_name(self) -> str:
        """`tcp`, `udp`, `sctp`; `ip` for a template of a firewall mark; else the number."""
        return _PROTOCOLS.get(self.protocol, str(self.protocol))

    @property
    def state_name(self) -> str:
        """The kernel's state, which is a number of its protocol."""
        states = {_TCP: _TCP_STATES, _SCTP: _SCTP_STATES}.get(self.protocol, ("normal",))
        return states[self.state] if self.state < len(states) else str(self.state)

    @property
    def forward(self) -> Forward | None:
        """The forwarding method; None for a number nobody uses."""
        try:
            return Forward(self.flags & F_METHOD)
        except ValueError:
            return None

    @property
    def is_template(self) -> bool:
        """Whether this is what persistence remembers of a client, and no connection."""
        return bool(self.flags & F_TEMPLATE)


@dataclass(frozen=True, slots=True)
class SyncMessage:
    """One datagram."""

    version: int
    sync_id: int
    records: tuple[SyncRecord, ...]


def decode(data: bytes) -> SyncMessage:
    """A datagram of either version. Raises SyncError."""
    if len(data) < _HEADER_0.size:
        raise TruncatedError(f"{len(data)} bytes are no header")
    if len(data) >= _HEADER.size:
        reserved, sync_id, size, count, version, spare = _HEADER.unpack_from(data)
        if version == 1 and reserved == 0 and spare == 0:  # as the kernel tells them apart
            _check_size(size, data)
            return SyncMessage(1, sync_id, tuple(_records(data, count)))
    count, sync_id, size = _HEADER_0.unpack_from(data)
    _check_size(size, data)
    return SyncMessage(0, sync_id, tuple(_records_0(data, count)))


def _check_size(size: int, data: bytes) -> None:
    if size != len(data):
        raise SizeError(f"it states {size} bytes and has {len(data)}")


def _records(data: bytes, count: int) -> Iterator[SyncRecord]:
    unpack_4, unpack_6, make = _RECORD_4.unpack_from, _RECORD_6.unpack_from, SyncRecord._make
    offset, end = _HEADER.size, len(data)
    for number in range(count):
        if offset + _RECORD_4.size > end:
            raise TruncatedError(f"record {number + 1} of {count} is cut off")
        fields = unpack_4(data, offset)
        length, least = fields[2], _RECORD_4.size
        if fields[0] & _IPV6:
            least = _RECORD_6.size
            if offset + least > end:
                raise TruncatedError(f"record {number + 1} of {count} is cut off")
            fields = unpack_6(data, offset)
        if length == least:  # nothing follows, and its version is 0: nearly all are so
            offset += length
            yield make((*fields, NO_OPTIONS))
            continue
        if length >> _VERSION_SHIFT:
            raise VersionError(f"record {number + 1} has version {length >> _VERSION_SHIFT}")
        if length < least:
            raise RecordError(f"record {number + 1} states {length} bytes, and {least} are needed")
        if offset + length > end:
            raise TruncatedError(f"record {number + 1} of {count} is cut off")
        options = _options(memoryview(data)[offset + least : offset + length])
        yield make((*fields, options))
        offset += (length + 3) & ~3


def _options(data: memoryview) -> Options:
    found: dict[int, bytes] = {}
    passed_over: list[tuple[int, bytes]] = []
    offset = 0
    while offset < len(data):
        if offset + 2 > len(data):
            raise OptionError("an option without its length")
        kind, length = data[offset], data[offset + 1]
        value = bytes(data[offset + 2 : offset + 2 + length])
        if not length or len(value) < length:
            raise OptionError(f"option {kind} of {length} bytes is cut off")
        offset += 2 + length
        known = kind & ~_OPTION_IGNORABLE
        if known in (_OPTION_SEQUENCE, _OPTION_ENGINE_DATA, _OPTION_ENGINE_NAME):
            if known in found:
                raise OptionError(f"option {known} twice")
            found[known] = value
        elif kind & _OPTION_IGNORABLE:
            passed_over.append((kind, value))
        else:
            raise OptionError(f"option {kind} is not known, and must be")
    return _checked_options(found, tuple(passed_over))


def _checked_options(
    found: dict[int, bytes], passed_over: tuple[tuple[int, bytes], ...]
) -> Options:
    sequence = found.get(_OPTION_SEQUENCE)
    name = found.get(_OPTION_ENGINE_NAME, b"")
    if sequence is not None and len(sequence) != _SEQUENCE.size:
        raise OptionError(f"sequence data of {len(sequence)} bytes, and not {_SEQUENCE.size}")
    if len(name) > ENGINE_NAME_MAX:
        raise OptionError(f"an engine's name of {len(name)} bytes")
    return Options(
        sequence=None if sequence is None else _SEQUENCE.unpack(sequence),
        engine=name,
        engine_data=found.get(_OPTION_ENGINE_DATA, b""),
        passed_over=passed_over,
    )


def _records_0(data: bytes, count: int) -> Iterator[SyncRecord]:
    offset, end = _HEADER_0.size, len(data)
    for number in range(count):
        if offset + _RECORD_0.size > end:
            raise TruncatedError(f"record {number + 1} of {count} is cut off")
        fields = _RECORD_0.unpack_from(data, offset)
        _, protocol, cport, vport, dport, caddr, vaddr, daddr, flags, state = fields
        offset += _RECORD_0.size
        options = NO_OPTIONS
        if flags & F_SEQUENCE:
            if offset + _SEQUENCE.size > end:
                raise TruncatedError(f"the sequence data of record {number + 1} are cut off")
            options = Options(sequence=_SEQUENCE.unpack_from(data, offset))
            offset += _SEQUENCE.size
        yield SyncRecord(
            0, protocol, 0, flags, state, cport, vport, dport, 0, 0, caddr, vaddr, daddr, options
        )  # fmt: skip


def encode(message: SyncMessage) -> bytes:
    """The datagram. Raises SyncError for what its version cannot say."""
    if len(message.records) > RECORDS_MAX:
        raise SizeError(f"{len(message.records)} records, and {RECORDS_MAX} fit")
    if message.version == 0:
        body = bytearray().join(map(_encode_record_0, message.records))
        size = _HEADER_0.size + len(body)
    else:
        body = bytearray()
        for record in message.records:
            body += bytes(-len(body) % 4)  # as the kernel does: before a record, not after the last
            body += _encode_record(record)
        size = _HEADER.size + len(body)
    if size > 0xFFFF:
        raise SizeError(f"{size} bytes are more than a datagram holds")
    count = len(message.records)
    if message.version == 0:
        return _HEADER_0.pack(count, message.sync_id, size) + body
    return _HEADER.pack(0, message.sync_id, size, count, 1, 0) + body


def _encode_record(record: SyncRecord) -> bytes:
    form = _RECORD_6 if len(record.client_address) == IPV6_BYTES else _RECORD_4
    options = _encode_options(record.options)
    length = form.size + len(options)
    if length > _LENGTH_MASK:
        raise SizeError(f"a record of {length} bytes")
    kind = _IPV6 if form is _RECORD_6 else 0
    return form.pack(kind, record.protocol, length, *record[3:13]) + options


def record_octets(record: SyncRecord) -> int:
    """How many octets a record of version 1 takes in a datagram, up to the next one's begin."""
    size = (_RECORD_6 if len(record.client_address) == IPV6_BYTES else _RECORD_4).size
    if record.options is NO_OPTIONS:
        return size
    return size + (len(_encode_options(record.options)) + 3 & ~3)


IPV6_BYTES: Final = 16


def _encode_options(options: Options) -> bytes:
    parts: Iterable[tuple[int, bytes]] = (
        (_OPTION_SEQUENCE, b"" if options.sequence is None else _SEQUENCE.pack(*options.sequence)),
        (_OPTION_ENGINE_DATA, options.engine_data),
        (_OPTION_ENGINE_NAME, options.engine),
        *options.passed_over,
    )
    if len(options.engine) > ENGINE_NAME_MAX or len(options.engine_data) > ENGINE_DATA_MAX:
        raise OptionError("an engine's name or data are too long")
    return b"".join(bytes((kind, len(value))) + value for kind, value in parts if value)


def _encode_record_0(record: SyncRecord) -> bytes:
    if len(record.client_address) == IPV6_BYTES:
        raise RecordError("version 0 knows no IPv6")
    if bool(record.flags & F_SEQUENCE) != (record.options.sequence is not None):
        raise RecordError("in version 0, a flag says whether sequence data follow")
    packed = _RECORD_0.pack(
        0, record.protocol, record.client_port, record.virtual_port, record.server_port,
        record.client_address, record.virtual_address, record.server_address,
        record.flags & 0xFFFF, record.state,
    )  # fmt: skip
    sequence = record.options.sequence
    return packed + (b"" if sequence is None else _SEQUENCE.pack(*sequence))


def _address(packed: bytes) -> Address:
    return IPv6Address(packed) if len(packed) == IPV6_BYTES else IPv4Address(packed)
