"""What can happen to a virtual router, and what can follow from it: the words of the machine.

Events go in, effects come out. Both are values: whoever has one can print it, compare it, replay
it. Effects name the virtual router they are for, because a group returns those of all its members.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vrrp.packet import Advertisement, ChecksumForm, IPAddress


class LocalProtocolError(Exception):
    """The caller asked for what makes no sense in this state: our fault, not a peer's."""


class State(StrEnum):
    """Where a virtual router stands; the values are shown to operators."""

    INIT = "init"
    FAULT = "fault"
    BACKUP = "backup"
    ACTIVE = "active"


# ------------------------------------------------------------------------------------------ events


@dataclass(frozen=True, slots=True)
class Up:
    """The interface can be used; `source` is the address advertisements come from.

    `joins`: the group has begun before, so even an owner does as the others do.
    """

    source: IPAddress
    joins: bool = False


@dataclass(frozen=True, slots=True)
class Down:
    """The interface cannot be used; the sentence says why."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Heard:
    """An advertisement for this VRID arrived on this interface."""

    advertisement: Advertisement
    source: IPAddress
    form: ChecksumForm = ChecksumForm.PSEUDO_HEADER


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Take part no longer."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Lead:
    """Another member of the group became active."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Follow:
    """Another member of the group stepped back from active."""

    sentence: str


@dataclass(frozen=True, slots=True)
class PeerLeaving:
    """Another member of the group heard the active router say goodbye."""

    sentence: str


@dataclass(frozen=True, slots=True)
class PeerInferior:
    """Another member of the group heard a weaker active router."""

    sentence: str


@dataclass(frozen=True, slots=True)
class PeerYielded:
    """A peer that was active as well, unheard, has stepped back; told beside the elections."""

    sentence: str


Event = Up | Down | Heard | Tick | Stop | Lead | Follow | PeerLeaving | PeerInferior | PeerYielded


# ----------------------------------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class Send:
    """Send this advertisement now."""

    router: str
    advertisement: Advertisement
    form: ChecksumForm


@dataclass(frozen=True, slots=True)
class Take:
    """The addresses shall be on the interface from now on."""

    router: str


@dataclass(frozen=True, slots=True)
class Release:
    """The addresses shall not be on the interface; a peer has them, or nobody can."""

    router: str


@dataclass(frozen=True, slots=True)
class HandOver:
    """Leave in good order: say goodbye, keep the addresses until a peer has taken over."""

    router: str
    quietly: bool = False
    """Nobody shall take over: say nothing, and take the addresses off."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the neighbours where the addresses are, as soon as they are there."""

    router: str


@dataclass(frozen=True, slots=True)
class Changed:
    """The state changed; `reason` is a sentence for people."""

    router: str
    old: State
    new: State
    reason: str


@dataclass(frozen=True, slots=True)
class Differs:
    """A peer is configured differently (or is not who it should be); counted, warned of once."""

    router: str
    kind: str
    source: IPAddress
    sentence: str


@dataclass(frozen=True, slots=True)
class Late:
    """This process was so late that it gave up being active; `silent_s` is how long it was mute."""

    router: str
    silent_s: float


@dataclass(frozen=True, slots=True)
class Rival:
    """Another router is active as well; told when first heard, and once more if it persists."""

    router: str
    source: IPAddress
    priority: int
    lasted_s: float
    persists: bool


@dataclass(frozen=True, slots=True)
class RivalGone:
    """The other active router has stepped back or fallen silent."""

    router: str
    source: IPAddress
    lasted_s: float
    persisted: bool


Effect = Send | Take | Release | HandOver | Announce | Changed | Differs | Late | Rival | RivalGone


def format_duration(seconds: float) -> str:
    """Return a duration as people write it: `11 ms`, `3.01 s`."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
