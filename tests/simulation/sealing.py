"""Keyed hashes in a simulated world: who signs with what, what is accepted, and the attackers.

The codec, the sequences and the rules of acceptance are the real ones; the clock is the host's own
wall clock, which is some seconds off the others'. Of what is accepted, `Judge` knows on its own
account when it was made and by whom: nothing forged, nothing twice, nothing from too long ago, and
nothing honest may be refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.simulation.violation import Violation
from vrrp import authentication, reception
from vrrp.authentication import Sequences
from vrrp.config import RouterSettings
from vrrp.events import Heard
from vrrp.keys import HmacKey
from vrrp.packet import TTL, Datagram, IPAddress, PacketError, encode, group_for

WINDOW_S: Final = 30.0
EPOCH_S: Final = 1_800_000_000
FIRST: Final = HmacKey(1, "01" * 32)
ROTATIONS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Packet:
    """An advertisement on a wire; without a datagram in worlds without keys.

    What the attackers and the judge know: `made_at` (true time), `maker` (its clock's offset),
    `sequence`, `key`; `forged` if no director made it.
    """

    heard: Heard
    group: int
    datagram: Datagram | None = None
    made_at: float = 0.0
    offset_s: float = 0.0
    sequence: int = 0
    key: HmacKey = FIRST
    forged: bool = False


def key_number(number: int) -> HmacKey:
    """The key that the rotation of this number brings."""
    return HmacKey(number % 256, f"{number % 256:02x}" * 32)


def wall_ns(now: float, offset_s: float) -> int:
    """A host's wall clock, ns of Unix time; directors have theirs set by NTP, more or less."""
    return int((EPOCH_S + now + offset_s) * 1e9)


@dataclass(slots=True)
class Keeper:
    """What a worker remembers for one virtual router; a new worker begins anew."""

    sequences: Sequences = field(default_factory=Sequences)
    newest: dict[IPAddress, int] = field(default_factory=dict)
    """The judge's: of each sender, the newest that was accepted."""

    def accept(
        self, packet: Packet, settings: RouterSettings, now: float, offset_s: float
    ) -> Heard | None:
        """What the worker makes of a packet; None: it throws it away. Raises Violation."""
        assert packet.datagram is not None
        wall = wall_ns(now, offset_s)
        try:
            heard = reception.accept(packet.datagram, settings)
            sequence = authentication.verify(packet.datagram, settings.hmac_keys)
            if sequence is None:
                if settings.hmac_required:
                    return None
            else:
                source, window_s = heard.source, settings.hmac_window
                self.sequences.check(source, sequence, wall_ns=wall, window_s=window_s)
        except PacketError as error:
            self._judge_refusal(packet, settings, now, offset_s, str(error))
            return None
        self._judge_acceptance(packet, now, offset_s)
        return heard

    def _judge_acceptance(self, packet: Packet, now: float, offset_s: float) -> None:
        source = packet.heard.source
        if packet.forged:
            raise Violation("forged", f"an advertisement that nobody of {source} made is accepted")
        age_s = (now + offset_s) - (packet.made_at + packet.offset_s)
        if abs(age_s) > WINDOW_S + 0.001:
            raise Violation("replay", f"an advertisement of {source}, {age_s:.1f} s old, is taken")
        if packet.sequence <= self.newest.get(source, -1):
            raise Violation("replay", f"an advertisement of {source} is taken a second time")
        self.newest[source] = packet.sequence

    def _judge_refusal(
        self, packet: Packet, settings: RouterSettings, now: float, offset_s: float, why: str
    ) -> None:
        age_s = (now + offset_s) - (packet.made_at + packet.offset_s)
        newer = packet.sequence > self.newest.get(packet.heard.source, -1)
        known = packet.key in settings.hmac_keys
        if not packet.forged and known and newer and abs(age_s) < WINDOW_S - 0.001:
            raise Violation("refused", f"{settings.name} refuses {packet.heard.source}: {why}")


def seal(
    heard: Heard,
    group: int,
    settings: RouterSettings,
    keeper: Keeper | None,
    now: float,
    offset_s: float,
) -> Packet:
    """An advertisement as a director signs it; without `keeper`, its supervisor."""
    wall, key = wall_ns(now, offset_s), settings.hmac_keys[0]
    sequence = authentication.sequence_at(wall)
    if keeper is not None:
        sequence = keeper.sequences.next(wall, settings.hmac_window)
    pdu = encode(heard.advertisement, heard.source, form=heard.form)
    to = group_for(heard.source)
    payload = authentication.seal(pdu, heard.source, to, key=key, sequence=sequence)
    datagram = Datagram(heard.source, to, TTL, payload)
    return Packet(heard, group, datagram, now, offset_s, sequence, key)


def forge(recorded: Packet, rng: Random) -> Packet:
    """What an attacker makes who has heard everything and knows no key."""
    assert recorded.datagram is not None
    data = bytearray(recorded.datagram.payload)
    manner = rng.randrange(4)
    if manner == 0:  # no signature at all
        data = bytearray(encode(recorded.heard.advertisement, recorded.heard.source))
    elif manner == 1:  # a key of one's own, under the known number
        pdu = encode(recorded.heard.advertisement, recorded.heard.source)
        own = HmacKey(recorded.key.id, "ee" * 32)
        to = recorded.datagram.destination
        source, sequence = recorded.heard.source, recorded.sequence + (1 << 32)
        data = bytearray(authentication.seal(pdu, source, to, key=own, sequence=sequence))
    elif manner == 2:  # a later time in the block, the old tag
        data[-20] ^= 1 << rng.randrange(4)
    else:  # another priority, another VRID, another tag: any byte
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    datagram = Datagram(recorded.datagram.source, recorded.datagram.destination, TTL, bytes(data))
    return Packet(
        recorded.heard,
        recorded.group,
        datagram,
        recorded.made_at,
        recorded.offset_s,
        recorded.sequence,
        recorded.key,
        forged=True,
    )
