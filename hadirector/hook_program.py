"""The program that runs the hooks of services: `python -m hadirector.hook_program FD WHOSE`.

The problem: starting somebody else's program takes milliseconds, and forking takes longer in a
large process, which the director is. The approach: this small child, with a socket between them. It
is told what happened and which hooks to run (`Run`), runs those of one service one after the other,
those of different services beside each other but few at once, and says what failed (`Failed`).

When the director is gone, it finishes what waits within `FAREWELL_S`, and ends; the supervisor
stays that long, and the helper of a new director waits for its turn. WHOSE is the director's
runtime directory. It never decides what to run.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

from hadirector.hooks import Happened, ServiceHook
from vrrp.hook_queue import HookQueue
from vrrp.turn import FAREWELL_S, Turn
from vrrp.typed_json import read_dataclass, read_line, write_line

AT_ONCE_MAX: Final = 8
"""Hooks that run at the same time, of all services."""
LINE_BYTES_MAX: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Run these hooks for what happened, after those of before for the same service."""

    hooks: tuple[ServiceHook, ...]
    happened: Happened


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A hook of this service has failed, or was left out."""

    service: str
    sentence: str


class HookProgram:
    """All queues, by the name of the service."""

    def __init__(self, writer: asyncio.StreamWriter, turn: Turn) -> None:
        self._writer = writer
        self._turn = turn
        self._queues: dict[str, HookQueue] = {}
        self._slot = asyncio.Semaphore(AT_ONCE_MAX)

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Work until the director is gone."""
        while line := await reader.readline():
            told = cast(Run, read_dataclass(Run, read_line(line), "run"))
            name = told.happened.service
            if name not in self._queues:
                self._queues[name] = HookQueue(
                    partial(self._complain, name), ready=self._turn.come, slot=self._slot
                )
            self._queues[name].put(told.hooks, told.happened)
        tasks = [queue.task for queue in self._queues.values() if queue.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=FAREWELL_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _complain(self, service: str, sentence: str) -> None:
        if not self._writer.is_closing():
            self._writer.write(write_line(Failed(service=service, sentence=sentence)))


async def _main(descriptor: int, whose: str) -> None:
    ours = socket.socket(fileno=descriptor)
    reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_BYTES_MAX)
    turn = Turn(whose)
    await HookProgram(writer, turn).run(reader)
    turn.let_go()
    writer.close()


def main() -> None:
    """Run on the socket whose descriptor is the first argument."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        # The end of the director is what ends it; a group may be signalled as a whole. No SIG_IGN,
        # which every hook would inherit.
        signal.signal(number, lambda *_: None)
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2]))


if __name__ == "__main__":
    main()
