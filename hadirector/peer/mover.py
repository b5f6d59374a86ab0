"""Carries out a planned switchover, step by step, on the director that becomes active.

The steps, each of which leaves a pair that heals by itself if nothing follows:
1. Both look again; what speaks against it refuses it (`switchover.obstacles`).
2. The active director waits until its kernel has sent what it has gathered of connections, and says
   which have stood all the while; these we must hold. Nothing has changed yet.
3. It caps its priority below ours, and says so at once. Left alone, it takes that back soon.
4. We become active without waiting: an advertisement, the addresses, gratuitous ARP. It steps back
   on hearing the advertisement. From here on VRRP alone decides, as ever.
5. We wait until both are where they should be, and stay.

This module decides nothing about elections, and knows of no socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from hadirector.peer.messages import Answer, State
from hadirector.peer.switchover import (
    ACTIVE,
    BACKUP,
    Move,
    Obstacle,
    caps,
    direction,
    not_synced,
    obstacles,
)
from hadirector.router_answers import Json

TAKEN_S: Final = 10.0
"""For both to be where they should be; thousands of addresses take a moment."""
STABLE_S: Final = 1.0
"""That long, both must stay there."""
ASK_S: Final = 15.0
"""For the peer to answer: it may read a large table, or send what its kernel has gathered."""
SWITCHOVER: Final = "switchover"
FORCED: Final = "switchover-forced"
LOOK: Final = "look"
FLUSH: Final = "flush"
TELL: Final = "tell"
YIELD: Final = "yield"
KEEP: Final = "keep"


class PeerGoneError(Exception):
    """The peer does not answer; the sentence says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a switchover. `phases`: seconds or milliseconds, as their names say."""

    done: bool
    sentence: str
    missing: tuple[str, ...] = ()
    phases: Mapping[str, float] = field(default_factory=dict)
    forcible: bool = False

    def as_json(self) -> Json:
        """For the API."""
        return {
            "done": self.done,
            "sentence": self.sentence,
            "missing": list(self.missing),
            "forcible": self.forcible,
            "phases": dict(self.phases),
        }


class Hands(Protocol):
    """What a switchover needs of the director process."""

    node: str

    def now(self) -> float:
        """Seconds of a clock that never goes back."""

    def states(self) -> dict[str, State]:
        """Both directors as they are now; raises PeerGoneError."""

    async def until(self, true: Callable[[], bool], bound_s: float) -> bool:
        """Wait until something is true of the states; False: not within the bound."""

    async def held(self, connections: Collection[str]) -> int:
        """How many of these connections our kernel holds."""

    async def look_again(self) -> None:
        """Read our own table again."""

    async def ask(
        self, verb: str, *, text: str = "", routers: Mapping[str, int] | None = None, bound_s: float
    ) -> Answer:
        """Ask the peer; raises PeerGoneError."""

    def take_back(self, routers: Iterable[str]) -> None:
        """End what caps our own priority."""

    def promote(self, routers: Iterable[str], reason: str) -> None:
        """Have the VRRP worker become active."""

    def note(self, sentence: str) -> None:
        """Journal a sentence."""


async def switch(hands: Hands, to: str, *, force: bool, by: str) -> Outcome:
    """Give the active role to this node, or away from who has it; from either director."""
    try:
        move = direction(hands.states(), to)
        if isinstance(move, Obstacle):
            return Outcome(done=False, sentence=move.sentence, missing=(move.sentence,))
        if not move.routers:
            return Outcome(done=True, sentence=f"{move.new} is active already")
        if move.new == hands.node:
            return await take_over(hands, move, force=force, by=by)
        answer = await hands.ask(
            FORCED if force else SWITCHOVER, text=by, bound_s=2 * ASK_S + TAKEN_S + STABLE_S
        )
    except PeerGoneError as error:
        return Outcome(done=False, sentence=str(error), missing=(str(error),))
    return Outcome(
        done=answer.done,
        sentence=answer.sentence,
        missing=answer.notes,
        phases=answer.facts,
        forcible=bool(answer.notes) and "--force" in answer.sentence,
    )


async def take_over(hands: Hands, move: Move, *, force: bool, by: str) -> Outcome:
    """Become active for the virtual routers of a move. Raises PeerGoneError before step 3."""
    phases: dict[str, float] = {}
    began = hands.now()
    await asyncio.gather(hands.look_again(), hands.ask(LOOK, bound_s=ASK_S))
    if (refused := _refusal(hands, move, force=force)) is not None:
        return refused
    what = f"{', '.join(move.routers)} from {move.old} to {move.new}"
    hands.note(f"switchover of {what} begins, by {by}")
    flushed = await hands.ask(FLUSH, bound_s=ASK_S)
    if not flushed.done:
        return _failed(hands, what, f"{move.old}: {flushed.sentence}")
    phases["prepared_s"] = round(hands.now() - began, 3)
    # The world may have changed in these seconds.
    in_step = not_synced(move, await hands.held(flushed.notes), len(flushed.notes))
    if (refused := _refusal(hands, move, in_step, force=force)) is not None:
        return refused
    because = f"{move.new} was given the active role by {by} (hadirector switchover)"
    try:
        given = await hands.ask(
            YIELD, text=because, routers=caps(move, hands.states()), bound_s=ASK_S
        )
        if not given.done:
            return _failed(hands, what, f"{move.old}: {given.sentence}")
        hands.take_back(move.routers)
        return await _take(hands, move, f"switchover from {move.old}, by {by}", phases)
    except PeerGoneError as error:
        return _failed(hands, what, str(error))


async def _take(hands: Hands, move: Move, reason: str, phases: dict[str, float]) -> Outcome:
    """Step 4 and 5: from here on VRRP alone decides who is active."""
    what = f"{', '.join(move.routers)} from {move.old} to {move.new}"
    asked_at = hands.now()
    hands.promote(move.routers, reason)

    def is_so(node: str, state: str, *, holds: bool) -> bool:
        routers = hands.states()[node].routers
        found = [routers[name] for name in move.routers if name in routers]
        there = len(found) == len(move.routers)
        return there and all(one.state == state and one.holds == holds for one in found)

    def is_taken() -> bool:
        return is_so(move.new, ACTIVE, holds=True)

    def is_given() -> bool:
        return is_so(move.old, BACKUP, holds=False)

    for name, true in (("taken_ms", is_taken), ("given_ms", is_given)):
        if not await hands.until(true, TAKEN_S):
            await hands.ask(KEEP, routers=dict.fromkeys(move.routers, 0), bound_s=ASK_S)
            who = move.new if name == "taken_ms" else move.old
            return _failed(hands, what, f"{who} is not where it should be after {TAKEN_S:g} s")
        phases[name] = round((hands.now() - asked_at) * 1000, 1)
    if await hands.until(lambda: not (is_taken() and is_given()), STABLE_S):
        return _failed(hands, what, "the roles changed again at once")
    sentence = (
        f"{what}: done; addresses taken {phases['taken_ms']:.0f} ms after they were asked for, "
        f"and off {move.old} after {phases['given_ms']:.0f} ms, as it says"
    )
    hands.note(f"switchover of {sentence}")
    return Outcome(done=True, sentence=sentence, phases=phases)


def _refusal(
    hands: Hands, move: Move, more: Iterable[Obstacle] = (), *, force: bool
) -> Outcome | None:
    found = [*obstacles(move, hands.states()), *more]
    against = [one for one in found if one.final or not force]
    if not against:
        return None
    forcible = not any(one.final for one in against)
    hint = " (--force overrides it)" if forcible else ""
    missing = tuple(one.sentence for one in against)
    hands.note(f"switchover to {move.new} refused: {'; '.join(missing)}")
    sentence = f"refused{hint}: {'; '.join(missing)}"
    return Outcome(done=False, sentence=sentence, missing=missing, forcible=forcible)


def _failed(hands: Hands, what: str, why: str) -> Outcome:
    hands.note(f"switchover of {what} failed: {why}")
    return Outcome(done=False, sentence=f"failed: {why}; VRRP decides, see hadirector status")
