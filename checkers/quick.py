"""Probes that need no task: sockets and callbacks only.

The problem: of a probe that opens a connection and closes it, a task, a future and a timer cost
more than all system calls together. The approach: a kind may offer, besides its probe, a *quick*
one: an object per target that lives as long as its check, begins a probe when told to, and tells
its end by a callback. All of them share one poller; the scheduler keeps their deadlines.

Must never hold more deadlines than probes that began within one timeout.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from checkers.base import ProbeError, Result, Target
from checkers.poller import Poller
from checkers.segments import Senders
from checkers.way import not_made

Outcome = Result | ProbeError | None
"""What came of a probe; None: nothing that is worth telling."""


class Quick(Protocol):
    """The quick probe of one target; it may hold on to a connection between two probes."""

    def start(self) -> None:
        """Begin one; its end may be told before this returns. Raises nothing."""
        ...

    def expire(self) -> None:
        """The deadline of the one under way has come: end it, and tell."""
        ...

    def close(self) -> None:
        """Let go of everything, and tell nothing more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a quick probe works, and whom it tells."""

    target: Target
    timeout_s: float
    poller: Poller
    senders: Senders
    ended: Callable[[Outcome], None]
    """To be called once for every start."""
    hurry: Callable[[float], bool]
    """Asks for a start out of turn after so many seconds; False: one is under way or due before.
    """
    keep_transcript: bool = False


class Turns:
    """The quick probes of one scheduler: those under way, their deadlines, and what they share.

    Deadlines of one length come in the order they were set, so a queue for each length is enough:
    what ended in time is dropped when it comes up.
    """

    def __init__(self, poller: Poller) -> None:
        self.poller = poller
        self.senders = Senders(poller)
        self._under_way: dict[Quick, int] = {}  # by what is under way, the number of its start
        self._starts = 0
        self._queues: dict[float, deque[tuple[float, Quick, int]]] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def begin(self, quick: Quick, now: float, timeout_s: float) -> None:
        """Start one."""
        self._starts += 1
        self._under_way[quick] = self._starts
        queue = self._queues.get(timeout_s)
        if queue is None:
            queue = self._queues[timeout_s] = deque()
        queue.append((now + timeout_s, quick, self._starts))
        quick.start()

    def end(self, quick: Quick) -> None:
        """It ended by itself, or is to be nobody's concern any more."""
        self._under_way.pop(quick, None)

    def next_deadline(self) -> float | None:
        """The earliest of those that are under way."""
        earliest = None
        for queue in self._queues.values():
            while queue and self._under_way.get(queue[0][1]) != queue[0][2]:
                queue.popleft()
            if queue and (earliest is None or queue[0][0] < earliest):
                earliest = queue[0][0]
        return earliest

    def expire(self, now: float) -> None:
        """End those whose deadline has come."""
        for queue in self._queues.values():
            while queue and queue[0][0] <= now:
                _, quick, start = queue.popleft()
                if self._under_way.get(quick) == start:
                    quick.expire()

    def close(self) -> None:
        """Share nothing any more; the probes are their owner's to close, before."""
        self._under_way.clear()
        self.senders.close()
        self.poller.close()


async def run_quick(
    make: Callable[[Place], Quick | None],
    target: Target,
    timeout_s: float,
    *,
    keep_transcript: bool,
) -> Result:
    """One quick probe by itself; raises ProbeError if it could not be made."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Outcome] = loop.create_future()
    try:
        poller = Poller(loop, after=lambda: None)
    except OSError as error:
        raise not_made("no epoll", error) from error
    senders = Senders(poller)
    quick = make(
        Place(
            target=target,
            timeout_s=timeout_s,
            poller=poller,
            senders=senders,
            ended=lambda outcome: None if ended.done() else ended.set_result(outcome),
            hurry=lambda _: False,
            keep_transcript=keep_transcript,
        )
    )
    assert quick is not None, "asked by a kind that has one"
    timer = None
    try:
        quick.start()
        if not ended.done():
            timer = loop.call_later(timeout_s, quick.expire)
        outcome = await ended
    finally:
        if timer is not None:
            timer.cancel()
        quick.close()
        senders.close()
        poller.close()
    if isinstance(outcome, ProbeError):
        raise outcome
    assert outcome is not None, "a first start out of turn"
    return outcome
