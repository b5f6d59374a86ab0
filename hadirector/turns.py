"""A mailbox for the one task that owns something: a storm of reasons makes one turn of its work.

Whoever sees a reason asks; the owning task takes all that was asked since its last turn at once.
Some ask only to have it done, some wait for what came of it. The director process has two: one for
the table, one for reloads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Generic, TypeVar

AUDIT = "audit"

T = TypeVar("T")
W = TypeVar("W")


@dataclass(slots=True)
class Asked(Generic[T]):
    """What one turn is for, and who waits for it."""

    reasons: list[str] = field(default_factory=list)
    waiting: list[asyncio.Future[T]] = field(default_factory=list)

    @property
    def why(self) -> str:
        """The reasons, each once."""
        return ", ".join(self.reasons) or AUDIT

    def done(self, outcome: T) -> None:
        """Tell the waiting what came of it."""
        for future in self.waiting:
            if not future.done():
                future.set_result(outcome)

    def fail(self, error: Exception) -> None:
        """Tell the waiting that it could not be done."""
        for future in self.waiting:
            if not future.done():
                future.set_exception(error)


class TurnRequests(Generic[T]):
    """The mailbox of a task whose turns yield a T."""

    def __init__(self) -> None:
        self._asked = Asked[T]()
        self._any = asyncio.Event()

    def ask(self, why: str) -> None:
        """Ask for a turn."""
        if why not in self._asked.reasons:  # so the list is bounded by the kinds of reasons
            self._asked.reasons.append(why)
        self._any.set()

    async def ask_and_wait(self, why: str) -> T:
        """Ask for a turn and wait for it; raises what the turn raised."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._asked.waiting.append(future)
        self.ask(why)
        return await future

    def ask_again(self, asked: Asked[T]) -> None:
        """Ask for what was asked before and is still owed, to those who wait for it as well."""
        self._asked.waiting += asked.waiting
        for why in asked.reasons or [AUDIT]:
            self.ask(why)

    async def unless_asked(self, work: Coroutine[object, object, W]) -> W | None:
        """What the work yields; None where somebody asks before it is done, which ends it.

        Raises what the work raises.
        """
        task = asyncio.create_task(work)
        news = asyncio.create_task(self._any.wait())
        try:
            await asyncio.wait((task, news), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = task.done()
            for each in (task, news):
                each.cancel()
            await asyncio.gather(task, news, return_exceptions=True)
        return task.result() if ended else None

    async def next(self, audit_s: float | None = None) -> Asked[T]:
        """Wait until somebody asks, at most `audit_s` seconds: then it is an audit."""
        try:
            async with asyncio.timeout(audit_s):
                await self._any.wait()
        except TimeoutError:
            pass
        self._any.clear()
        asked, self._asked = self._asked, Asked[T]()
        return asked
