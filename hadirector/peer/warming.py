"""A director that receives learns what the other one holds: it asks to be told of all.

The problem: a kernel with an empty table hears of those connections alone that have packets, and
preempting then loses the others. The approach: ask the peer to tell of all it holds (`teller`),
wait until our kernel holds `warm_table` percent of a sample of these, and ask once more if it does
not; then the time that the file gives ends it. A peer that cannot tell (an older one, say) names
what stands there, as in a switchover; that sample has only what has had packets meanwhile.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final, Protocol

from hadirector.peer import mover
from hadirector.peer.messages import Answer, State
from hadirector.peer.mover import PeerGoneError
from hadirector.peer.policies import is_warm, may_be_warm
from hadirector.peer.teller import AGAIN_S, CONNECTIONS, LEFT_OUT, TELL_EVERY_S
from hadirector.sync_teller import TELL_S_MAX

TELLINGS_MAX: Final = 2
"""Asked for in one warm-up; the second, if datagrams of the first were lost."""
LANDS_S: Final = 2.0
"""What was sent should be in our table within that."""
LOOK_S: Final = 0.2


class AskPeer(Protocol):
    """Ask the peer something. Raises PeerGoneError."""

    def __call__(self, verb: str, *, bound_s: float) -> Awaitable[Answer]:
        """Wait for its answer, for so many seconds at most."""


class Warming:
    """The warm-up of one director, from start to end."""

    def __init__(
        self,
        ask: AskPeer,
        held: Callable[[Collection[str]], Awaitable[int]],
        note: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`held`: how many of these connections our kernel holds; `note` journals a sentence."""
        self._ask = ask
        self._held = held
        self._note = note
        self._clock = clock
        self._tellings = 0
        self._due = -math.inf
        self._told: Answer | None = None
        self._cannot = False
        self.sentence = ""
        """What was learned from the peer, for `status`."""

    async def is_warm(self, ours: State, theirs: State | None, percent: float) -> bool:
        """Whether our kernel holds so many percent of what the peer's does."""
        if not may_be_warm(ours, theirs):
            return False
        try:
            if self._clock() >= self._due and self._tellings < TELLINGS_MAX:
                self._hear(await self._ask(mover.TELL, bound_s=TELL_S_MAX + mover.ASK_S))
            if self._told is not None:
                return await self._landed(self._told, percent)
            if not self._cannot:
                return False
            stand = (await self._ask(mover.FLUSH, bound_s=mover.ASK_S)).notes
        except PeerGoneError:  # who knows whether it told: it says so when it is asked again
            return False
        held = await self._held(stand)
        if is_warm(held, len(stand), percent):
            self._say(f"holds {held} of {len(stand)} connections that stand on the peer")
            return True
        return False

    def _hear(self, answer: Answer) -> None:
        if AGAIN_S in answer.facts:
            self._due = self._clock() + min(max(answer.facts[AGAIN_S], 0.0), TELL_EVERY_S)
            return
        self._tellings += 1
        self._due = self._clock() + TELL_EVERY_S
        if answer.done:
            self._told = answer
        else:
            self._cannot = True
            self._say(f"not told of all connections: {answer.sentence}")

    async def _landed(self, told: Answer, percent: float) -> bool:
        bound, of = self._clock() + LANDS_S, len(told.notes)
        while True:
            held = await self._held(told.notes)
            if is_warm(held, of, percent):
                break
            if self._clock() >= bound:
                return False
            await asyncio.sleep(LOOK_S)
        self._say(learned(told, held))
        return True

    def _say(self, sentence: str) -> None:
        if sentence != self.sentence:
            self.sentence = sentence
            self._note(sentence)


def learned(told: Answer, held: int) -> str:
    """What a telling has brought: of its sample, so many are held here."""
    count, left_out = (int(told.facts.get(name, 0)) for name in (CONNECTIONS, LEFT_OUT))
    words = f"the peer told of {count} connections; {held} of {len(told.notes)} looked for are held"
    return f"{words}; it left out {left_out}" if left_out else words
