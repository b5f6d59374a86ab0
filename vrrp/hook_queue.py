"""Runs hooks one after the other, in the order of what they are told of, within bounds.

The problem: hooks are other people's programs, which hang, fail and take their time, and still must
hear of things in the order in which they happened. The approach: one queue for each subject (a
virtual router, a virtual service). A hook that fails is tried again a bounded number of times, and
not at all once something newer waits. Beyond `WAITING_MAX`, the oldest is left out and told of.

This module never decides what to run: that is said when something is put in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Final, Protocol

from vrrp import command
from vrrp.hooks import Action

WAITING_MAX: Final = 64
"""Happenings of one subject that wait for its hooks; beyond, the oldest are left out."""
RETRY_FIRST_S: Final = 1.0
RETRY_MAX_S: Final = 30.0


class Happening(Protocol):
    """What a hook is told of."""

    def to_json(self) -> bytes:
        """Return it as programs get it."""
        ...

    def variables(self) -> Mapping[str, str]:
        """Return it as environment variables."""
        ...

    def __str__(self) -> str:
        """Return it in a word, for complaints."""
        ...


class HookQueue:
    """The hooks of one subject."""

    def __init__(
        self,
        complain: Callable[[str], None],
        *,
        ready: Callable[[], Awaitable[object]],
        slot: AbstractAsyncContextManager[object] | None = None,
    ) -> None:
        """`ready` is awaited before the first hook, `slot` held while one runs."""
        self._complain = complain
        self._ready = ready
        self._slot = nullcontext() if slot is None else slot
        self._waiting: deque[tuple[Sequence[Action], Happening]] = deque()
        self.task: asyncio.Task[None] | None = None

    def put(self, hooks: Sequence[Action], what: Happening) -> None:
        """Have these hooks run for something that happened, after all that happened before."""
        self._waiting.append((hooks, what))
        if len(self._waiting) > WAITING_MAX:
            _, left_out = self._waiting.popleft()
            self._complain(f"the change to {left_out} is left out: too many wait")
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self._work_off())

    async def _work_off(self) -> None:
        await self._ready()
        while self._waiting:
            hooks, what = self._waiting.popleft()
            for hook in hooks:
                await self._try(hook, what)

    async def _try(self, hook: Action, what: Happening) -> None:
        """Run a hook, and again if it fails and nothing newer waits."""
        delay_s = RETRY_FIRST_S
        for attempt in range(hook.retries + 1):
            async with self._slot:
                outcome = await command.run(
                    _work_of(hook, what),
                    timeout_s=hook.timeout,
                    user=hook.user,
                    given=what.to_json(),
                    variables=what.variables(),
                )
            if outcome.well:
                return
            self._complain(f"{hook.name} for {what}: {outcome.sentence}")
            if self._waiting or attempt == hook.retries:
                return
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, RETRY_MAX_S)


def _work_of(hook: Action, what: Happening) -> Sequence[str] | Callable[[], int]:
    """Return what to run for a hook."""
    if hook.command is not None:
        return hook.command
    assert hook.webhook is not None
    from vrrp import webhook  # large, and not needed by most

    return partial(webhook.post, hook.webhook, what.to_json(), hook.timeout)
