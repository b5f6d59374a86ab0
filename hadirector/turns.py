"""Requests for a turn of the reconciler: collected, so that a storm of reasons makes one turn.

Whoever sees a reason asks; the one task that owns the table takes all that was asked since its last
turn at once. Some ask only to have it done, some wait for what came of it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hadirector.reconciler import Turn

AUDIT = "audit"


@dataclass(slots=True)
class Asked:
    """What one turn is for, and who waits for it."""

    reasons: list[str] = field(default_factory=list)
    waiting: list[asyncio.Future[Turn]] = field(default_factory=list)

    @property
    def why(self) -> str:
        """The reasons, each once."""
        return ", ".join(dict.fromkeys(self.reasons)) or AUDIT

    def done(self, turn: Turn) -> None:
        """Tell the waiting what came of it."""
        for future in self.waiting:
            if not future.done():
                future.set_result(turn)

    def fail(self, error: Exception) -> None:
        """Tell the waiting that it could not be done."""
        for future in self.waiting:
            if not future.done():
                future.set_exception(error)


class TurnRequests:
    """The mailbox of the task that owns the table."""

    def __init__(self) -> None:
        self._asked = Asked()
        self._any = asyncio.Event()

    def ask(self, why: str) -> None:
        """Ask for a turn."""
        if why not in self._asked.reasons:  # so the list is bounded by the kinds of reasons
            self._asked.reasons.append(why)
        self._any.set()

    async def ask_and_wait(self, why: str) -> Turn:
        """Ask for a turn and wait for it; raises what the turn raised."""
        future: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        self._asked.waiting.append(future)
        self.ask(why)
        return await future

    async def next(self, audit_s: float) -> Asked:
        """Wait until somebody asks, at most `audit_s` seconds: then it is an audit."""
        try:
            async with asyncio.timeout(audit_s):
                await self._any.wait()
        except TimeoutError:
            pass
        self._any.clear()
        asked, self._asked = self._asked, Asked()
        return asked
