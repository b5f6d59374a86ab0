"""Advertisements with a keyed hash at their end, as keepalived >= 2.4.2 sends and demands them.

The problem. Whoever reaches the link can say "I am active", and an address moves. A password in
clear text (version 2) does not help against that, and an advertisement that was recorded can be
sent again. The approach: 28 bytes after the advertisement,

    type (1)  key id (1)  zero (2)  seconds (4)  1/65536 seconds (2)  counter (2)  tag (16)

where the tag is the first half of HMAC-SHA-256 over a pseudo-header (IP version, VRRP version,
VRID, zero, sender's address in 16 bytes), the advertisement with its checksum taken as zero, the
block up to the tag, and 16 zero bytes. Time and counter are one number, the sequence, that has to
grow with every advertisement of a sender; and the time may not be further from ours than a window.
So what was recorded is of no use later, even to a receiver that has just been started.

Keys have numbers: the first one signs and every one verifies, so that they can be replaced without
a moment in which two directors do not understand each other.

Of IPv4, checksum and lengths leave the block out; of IPv6, the checksum covers it.

This module never reads a clock and never shows a key.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from vrrp.keys import HmacKey
from vrrp.packet import (
    AUTHENTICATION_BLOCK_LENGTH,
    Datagram,
    IPAddress,
    PacketError,
    Rejection,
    internet_checksum,
    pdu_length,
    pseudo_header,
)

SENDERS_MAX: Final = 16
"""Senders whose last sequence is remembered; only those with a right tag are."""

_TYPE_HMAC_SHA256_128: Final = 1
_PREFIX: Final = struct.Struct("!BBHQ")  # type, key id, zero, sequence
_TAG_LENGTH: Final = 16
_CHECKSUM: Final = slice(6, 8)
_SEQUENCE_BITS: Final = 64


def sequence_at(wall_ns: int) -> int:
    """Return the sequence of a moment (nanoseconds of Unix time), its counter being zero."""
    seconds, rest_ns = divmod(wall_ns, 1_000_000_000)
    return (seconds % (1 << 32)) << 32 | (rest_ns << 16) // 1_000_000_000 << 16


def seal(
    pdu: bytes, source: IPAddress, destination: IPAddress, *, key: HmacKey, sequence: int
) -> bytes:
    """Return an encoded advertisement with its block."""
    prefix = _PREFIX.pack(_TYPE_HMAC_SHA256_128, key.id, 0, sequence)
    sealed = pdu + prefix + _tag(pdu, prefix, source, key)
    if source.version == 4:
        return sealed
    blank = pdu[: _CHECKSUM.start] + b"\0\0" + sealed[_CHECKSUM.stop :]
    checksum = internet_checksum(pseudo_header(source, destination, len(blank)) + blank)
    return blank[: _CHECKSUM.start] + checksum.to_bytes(2) + blank[_CHECKSUM.stop :]


def verify(datagram: Datagram, keys: Sequence[HmacKey]) -> int | None:
    """Return the sequence of a decoded advertisement's block; None: it has no block.

    Raises PacketError when the block is not right.
    """
    length = pdu_length(datagram.payload, datagram.source)
    pdu, block = datagram.payload[:length], datagram.payload[length:]
    if len(block) != AUTHENTICATION_BLOCK_LENGTH:
        return None
    prefix, tag = block[: _PREFIX.size], block[_PREFIX.size :]
    kind, key_id, zero, sequence = _PREFIX.unpack(prefix)
    if kind != _TYPE_HMAC_SHA256_128 or zero:
        raise _refusal(f"its keyed hash is of type {kind}, which is not known")
    key = next((key for key in keys if key.id == key_id), None)
    if key is None:
        raise _refusal(f"its key has the number {key_id}, which is not configured here")
    if not hmac.compare_digest(tag, _tag(pdu, prefix, datagram.source, key)):
        raise _refusal(f"its keyed hash is wrong (key {key_id})")
    return int(sequence)


@dataclass(slots=True)
class Sequences:
    """What one virtual router has sent last, and what it has accepted last from each sender."""

    sent: int = 0
    accepted: dict[IPAddress, int] = field(default_factory=dict)

    def next(self, wall_ns: int, window_s: float) -> int:
        """Return the sequence for the next advertisement: the time, but always a greater one.

        When our clock was ahead by more than the window and has been set right, peers accept
        nothing but the present time; then it starts anew from there.
        """
        now = sequence_at(wall_ns)
        if _after(now, self.sent) or _seconds_between(self.sent, now) > window_s:
            self.sent = now
        else:
            self.sent = (self.sent + 1) % (1 << _SEQUENCE_BITS)
        return self.sent

    def check(self, sender: IPAddress, sequence: int, *, wall_ns: int, window_s: float) -> None:
        """Accept a verified sequence of a sender, once. Raises PacketError."""
        now = sequence_at(wall_ns)
        off_s = _seconds_between(sequence, now)
        if abs(off_s) > window_s:
            side = "ahead of" if off_s > 0 else "behind"
            text = f"it was made at a time {abs(off_s):.0f} s {side} our clock"
            raise PacketError(Rejection.REPLAY, f"{text}; {window_s:g} s are allowed")
        last = self.accepted.get(sender)
        # A mark outside the window says nothing: what it forbids is refused above already.
        counts = last is not None and abs(_seconds_between(last, now)) <= window_s
        if last is not None and counts and not _after(sequence, last):
            raise PacketError(Rejection.REPLAY, "it is no newer than one that came before it")
        self.accepted.pop(sender, None)  # the latest senders stand last
        self.accepted[sender] = sequence
        if len(self.accepted) > SENDERS_MAX:
            del self.accepted[next(iter(self.accepted))]


def _tag(pdu: bytes, prefix: bytes, source: IPAddress, key: HmacKey) -> bytes:
    version, vrid = pdu[0] >> 4, pdu[1]
    pseudo = bytes((source.version, version, vrid, 0)) + source.packed.ljust(16, b"\0")
    blank = pdu[: _CHECKSUM.start] + b"\0\0" + pdu[_CHECKSUM.stop :]
    covered = pseudo + blank + prefix + bytes(_TAG_LENGTH)
    return hmac.digest(bytes.fromhex(key.secret), covered, "sha256")[:_TAG_LENGTH]


def _refusal(sentence: str) -> PacketError:
    return PacketError(Rejection.AUTHENTICATION, sentence)


def _after(one: int, other: int) -> bool:
    """Tell whether a sequence comes after another, also across the end of 32 bits of seconds."""
    return 0 < (one - other) % (1 << _SEQUENCE_BITS) < 1 << _SEQUENCE_BITS - 1


def _seconds_between(one: int, other: int) -> float:
    """Return how many seconds a sequence is ahead of another; negative: behind (RFC 1982)."""
    half = 1 << _SEQUENCE_BITS - 1
    return ((one - other + half) % (1 << _SEQUENCE_BITS) - half) / (1 << 32)
