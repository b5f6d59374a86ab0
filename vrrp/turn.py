"""Whose turn it is to run hooks: at most one program's for each name in a network namespace.

After a crash of the worker a new one may be at work while hooks for the end of the old one still
run; and a supervisor that ended before they do would have them cut by the service manager, which
signals all that is left then. So whoever runs hooks holds a name, and who comes later waits for it.
The name is an abstract socket: the kernel lets go of it with the process. Hooks of virtual routers
go by one name; who runs others says whose they are, and has a name of its own.

Every wait is bounded: hooks have `FAREWELL_S` after the worker's end, and nobody waits longer.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
from typing import Final

FAREWELL_S: Final = 15.0
"""How long hooks may go on after the end of what they are told of by."""
KILLED_S: Final = 1.0
"""What is left then is killed, which takes a moment."""
_NAME: Final = "\0vrrp-hooks"
_POLL_S: Final = 0.1


class Turn:
    """The right to run hooks; taken until it is let go. `whose`: nothing for virtual routers."""

    def __init__(self, whose: str = "") -> None:
        mark = hashlib.sha256(whose.encode()).hexdigest()[:16] if whose else ""
        self._name = _NAME + mark
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._coming: asyncio.Task[bool] | None = None

    async def come(self) -> None:
        """Wait for the turn, beside others that do; past the bound it is taken for come."""
        if self._coming is None:
            self._coming = asyncio.create_task(self.take())
        await asyncio.wait([self._coming])

    async def take(self) -> bool:
        """Wait for the turn; tell whether it came in time."""
        give_up = time.monotonic() + FAREWELL_S + KILLED_S
        while time.monotonic() < give_up:
            try:
                self._socket.bind(self._name)
            except OSError:
                await asyncio.sleep(_POLL_S)
            else:
                return True
        return False

    def let_go(self) -> None:
        """Let the next one have it."""
        if self._coming is not None:
            self._coming.cancel()
        self._socket.close()


async def hooks_have_ended(whose: str = "") -> bool:
    """Wait until nobody runs these hooks here any more; tell whether that came in time."""
    turn = Turn(whose)
    try:
        return await turn.take()
    finally:
        turn.let_go()
