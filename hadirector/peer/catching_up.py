"""A backup that holds too few of the active one's connections asks to be told of all.

The problem: who joined late, or did not receive for a while, lacks the silent connections for as
long as they live, and would lose them with the next change of role. The approach: both counts are
told each second; where ours has been too small for a while (`policies.Thin`, which also bounds how
often), ask once (`teller`), and journal what came of it. Nothing waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from hadirector.peer import mover
from hadirector.peer.messages import State
from hadirector.peer.mover import PeerGoneError
from hadirector.peer.policies import Thin
from hadirector.peer.warming import LANDS_S, AskPeer, learned
from hadirector.sync_teller import TELL_S_MAX


class CatchingUp:
    """One director's; at most one question is under way."""

    def __init__(
        self,
        ask: AskPeer,
        held: Callable[[Collection[str]], Awaitable[int]],
        note: Callable[[str], None],
    ) -> None:
        """`held`: how many of these connections our kernel holds; `note` journals a sentence."""
        self._ask = ask
        self._held = held
        self._note = note
        self._thin = Thin()
        self._task: asyncio.Task[None] | None = None
        self.sentence = ""
        """What was learned last, for `status`."""

    def look(self, ours: State, theirs: State | None, percent: float, now: float) -> None:
        """Take in both as they are now."""
        if self._thin.look(ours, theirs, percent, now) and self._task is None and theirs:
            counts = f"{ours.sync.connections} connections here, {theirs.sync.connections} there"
            self._note(f"{counts}: the peer is asked to tell of all")
            self._task = asyncio.create_task(self._catch_up())
            self._task.add_done_callback(self._ended)

    async def _catch_up(self) -> None:
        try:
            answer = await self._ask(mover.TELL, bound_s=TELL_S_MAX + mover.ASK_S)
        except PeerGoneError as error:
            self._say(f"not told of all connections: {error}")
            return
        if not answer.done:
            self._say(f"not told of all connections: {answer.sentence}")
            return
        await asyncio.sleep(LANDS_S)
        self._say(learned(answer, await self._held(answer.notes)))

    def _say(self, sentence: str) -> None:
        self.sentence = sentence
        self._note(sentence)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error  # a fault of ours: the loop's exception handler shows it

    async def aclose(self) -> None:
        """Let nothing be under way."""
        if (task := self._task) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
