"""Questions and answers over the peer channel: each with a number, a bound, and an end.

A question is asked once: whether it was heard is not known where no answer comes, so whatever is
asked must be harmless to ask again. When the channel ends, everybody who waits is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from hadirector import limits
from hadirector.peer.messages import Answer, Ask, Body
from hadirector.peer.mover import PeerGoneError


class Asking:
    """One side. `send` says something, False where nobody is there; `serve` does what is asked."""

    def __init__(
        self, send: Callable[[Body], bool], serve: Callable[[Ask], Awaitable[Answer]]
    ) -> None:
        self._send = send
        self._serve = serve
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._serving: set[asyncio.Task[None]] = set()

    async def ask(
        self, verb: str, *, text: str = "", routers: Mapping[str, int] | None = None, bound_s: float
    ) -> Answer:
        """Ask and wait for the answer. Raises PeerGoneError."""
        self._number += 1
        number = self._number
        question = Ask(number=number, verb=verb, text=text, routers=dict(routers or {}))
        if len(self._waiting) >= limits.PEER_ASKS_MAX or not self._send(question):
            raise PeerGoneError("the peer is not heard on the peer channel")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            async with asyncio.timeout(bound_s):
                return await future
        except TimeoutError:
            raise PeerGoneError(f"the peer did not {verb} within {bound_s:g} s") from None
        finally:
            self._waiting.pop(number, None)

    def heard(self, body: Ask | Answer) -> None:
        """Take in what the peer asks or answers; an answer that nobody waits for is nothing."""
        if isinstance(body, Answer):
            future = self._waiting.get(body.number)
            if future is not None and not future.done():
                future.set_result(body)
        elif len(self._serving) >= limits.PEER_ASKS_MAX:
            self._send(Answer(number=body.number, done=False, sentence="too much is asked at once"))
        else:
            task = asyncio.create_task(self._answer(body))
            self._serving.add(task)
            task.add_done_callback(self._served)

    def lost(self, sentence: str) -> None:
        """The channel has ended: nobody will answer."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(PeerGoneError(sentence))

    async def _answer(self, question: Ask) -> None:
        self._send(await self._serve(question))

    def _served(self, task: asyncio.Task[None]) -> None:
        self._serving.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error  # a fault of ours: the loop's exception handler shows it

    async def aclose(self) -> None:
        """Serve nobody any more."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
