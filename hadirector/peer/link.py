"""One connection to the peer, without a socket and without a clock.

The problem: the other side may be another pair's director, one of another version, one that says
again what it said before, talks too much, or not at all, and each of these must end the connection
and be counted by its cause, since none may do harm. The approach: lines go in, messages come
out, and whatever is not right raises `LinkError`, after which the connection is to be closed. Times
are seconds on any clock that never goes back.

This module never reads a clock, never sends, and never decides anything about an election.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hadirector.ipvs.model import Address
from hadirector.peer import messages
from hadirector.peer.messages import PROTOCOL, Body, Hello

HELLO_S: Final = 5.0
"""Between the handshake and the other side's hello, at most."""
SILENCE_S: Final = 3.5
"""Three states and a half are missing: the channel hangs."""
MESSAGES_PER_S: Final = 20.0
MESSAGES_AT_ONCE: Final = 100
"""A bucket of so many messages, filled again at that rate; who says more is broken."""


class Cause(StrEnum):
    """Why a connection ended, or did not come about."""

    CERTIFICATE = "certificate"
    MATERIAL = "material"
    UNREACHABLE = "unreachable"
    VERSION = "other-version"
    OTHER_PAIR = "other-pair"
    MALFORMED = "malformed"
    TOO_LONG = "too-long"
    REPLAYED = "replayed"
    FLOOD = "flood"
    SILENT = "silent"
    LOST = "lost"
    LEFT = "left"


class LinkError(Exception):
    """The connection is to be closed."""

    def __init__(self, cause: Cause, sentence: str) -> None:
        super().__init__(sentence)
        self.cause = cause


def pair_of(addresses: Mapping[str, Address]) -> str:
    """What the two directors of one pair have in common, in a word."""
    told = " ".join(f"{name}={address}" for name, address in sorted(addresses.items()))
    return hashlib.sha256(told.encode()).hexdigest()[:32]


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float

    def take(self, now: float) -> bool:
        self.left = min(self.left + (now - self.at) * MESSAGES_PER_S, float(MESSAGES_AT_ONCE))
        self.at = now
        self.left -= 1
        return self.left >= 0


class Link:
    """What was said on one connection. `peer` is the node that must be at the other end."""

    def __init__(self, own: Hello, peer: str, now: float) -> None:
        self._own = own
        self._peer = peer
        self._heard_at = now
        self._bucket = _Bucket(float(MESSAGES_AT_ONCE), now)
        self._sent = self._received = 0
        self.theirs: Hello | None = None
        """Their hello, once it was heard."""

    @property
    def deadline(self) -> float:
        """When the other side has been silent for too long."""
        return self._heard_at + (HELLO_S if self.theirs is None else SILENCE_S)

    def greeting(self) -> bytes:
        """Return our first line."""
        return messages.encode_hello(self._own)

    def say(self, body: Body) -> bytes:
        """Return a further line; not before the other side's hello."""
        if self.theirs is None:
            raise ValueError("nothing is said to a stranger")
        self._sent += 1
        return messages.encode(body, seq=self._sent, to=self.theirs.nonce)

    def hear(self, line: bytes, now: float) -> Body | None:
        """Take in a line; None for the hello. Raises LinkError."""
        if len(line) > messages.LINE_BYTES_MAX:
            raise LinkError(Cause.TOO_LONG, f"a line of {len(line)} bytes")
        if not self._bucket.take(now):
            raise LinkError(Cause.FLOOD, f"more than {MESSAGES_PER_S:g} messages a second")
        try:
            if self.theirs is None:
                self._meet(messages.decode_hello(line))
                self._heard_at = now
                return None
            numbered, body = messages.decode(line)
        except messages.MessageError as error:
            raise LinkError(Cause.MALFORMED, str(error)[:200]) from None
        if numbered.to != self._own.nonce or numbered.seq != self._received + 1:
            what = f"message {numbered.seq} where {self._received + 1} was expected"
            raise LinkError(Cause.REPLAYED, what if numbered.to == self._own.nonce else "replayed")
        self._received += 1
        self._heard_at = now
        return body

    def check(self, now: float) -> None:
        """Raises LinkError when the other side has been silent for too long."""
        if now >= self.deadline:
            raise LinkError(Cause.SILENT, f"nothing was heard for {now - self._heard_at:.1f} s")

    def _meet(self, theirs: Hello) -> None:
        if theirs.protocol != PROTOCOL:
            raise LinkError(
                Cause.VERSION,
                f"it speaks protocol {theirs.protocol} (version {theirs.software[:40]}), "
                f"this one {PROTOCOL}",
            )
        if theirs.pair != self._own.pair or theirs.node != self._peer:
            raise LinkError(
                Cause.OTHER_PAIR,
                f"it is {theirs.node[:64]} of another pair: its file has other names or addresses "
                "for the two directors",
            )
        if theirs.nonce == self._own.nonce or not theirs.nonce:
            raise LinkError(Cause.REPLAYED, "it says our own hello")
        self.theirs = theirs
