"""What this host leaves behind if the worker ends now: its last will, kept current.

The supervisor must know it *before* an address is taken, and hear of each change once. Virtual
routers that are not configured any more hand over in the background; until that is done, they are
a part of the will, so that a crash in between costs nothing.

This module never decides who leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from vrrp import will
from vrrp.messages import DeviceWill, Event, LastWill, Message, RouterWill


class Estate:
    """The last will of the worker, and the handovers under way."""

    def __init__(
        self,
        active: Callable[[], list[RouterWill]],
        devices: Callable[[], tuple[DeviceWill, ...]],
        tell: Callable[[Message], None],
        handed_over: Callable[[], Awaitable[None]],
    ) -> None:
        """`active` and `devices` return what is to be left; `tell` reaches the supervisor.

        `handed_over` is called when a handover is done.
        """
        self._active = active
        self._devices = devices
        self._handed_over = handed_over
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._leaving: list[RouterWill] = []
        self._told: LastWill | None = None
        self._pending = False

    @property
    def devices_in_use(self) -> set[str]:
        """The interfaces of virtual MACs that a handover is still about."""
        return {one.device for one in self._leaving if one.device is not None}

    def changed(self) -> None:
        """Hand the last will to the supervisor, in the next turn of the event loop.

        Not at once: hundreds of routers may change in one turn. The tasks that take addresses are
        woken after this call, so they come after it in that turn.
        """
        if not self._pending:
            self._pending = True
            self._loop.call_soon(self._tell_if_new)

    def tell_finally(self) -> None:
        """Hand over the last will now, whether or not it has been told before."""
        self._told = None
        self._tell_if_new()

    def hand_over(self, leaving: RouterWill, tasks: asyncio.TaskGroup) -> None:
        """Execute the will of one virtual router while the others go on, within its linger."""
        self._leaving.append(leaving)
        tasks.create_task(self._hand_over(leaving))

    async def execute(self) -> list[str]:
        """Leave in good order, because nobody else is there to do it; return what went wrong."""
        return await will.execute(LastWill(routers=tuple(self._active()), devices=self._devices()))

    def _tell_if_new(self) -> None:
        self._pending = False
        wills = LastWill(routers=(*self._leaving, *self._active()), devices=self._devices())
        if wills != self._told:
            self._told = wills
            self._tell(wills)

    async def _hand_over(self, leaving: RouterWill) -> None:
        sentences = await will.execute(LastWill(routers=(leaving,)))
        self._leaving.remove(leaving)
        await self._handed_over()
        self.changed()
        for sentence in sentences:
            self._tell(Event(kind="handed-over", router=leaving.name, sentence=sentence))
