"""Makes probes for another process: `python -m checkers.worker FD`.

FD is one end of a socketpair; who has the other one says what to probe and judges what comes of
it (`wire` is the language). This process knows no verdict, no state and no history: should it die,
only the probes under way are lost.

What came of probes is told in batches, a moment later at most. It ends when it is told to, when the
other end is gone, and when the process that started it has died although this end hangs. Must never
wait for a reader that does not read: then that one is broken, and this process ends.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from typing import Final

from checkers import limits, wire
from checkers.base import ProbeError, Result
from checkers.quick import Outcome
from checkers.runner import LocalRunner

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_USAGE = "a check worker is started by the director process, not by hand"


class Worker:
    """What the other process asked for, and what there is to tell it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._runner = LocalRunner()
        self._runner.attend(self._tell, lambda digest, why: None)
        self._digests: dict[int, str] = {}
        self._taken: dict[str, tuple[int, float]] = {}  # by digest, the number and the interval
        self._found: list[tuple[int, Result | ProbeError]] = []
        self._loop = asyncio.get_running_loop()
        self._telling: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Probe until told to stop, or until there is nobody to probe for."""
        probing = asyncio.create_task(self._runner.run())
        beating = asyncio.create_task(self._beat())
        hearing = asyncio.create_task(self._hear())
        tasks = (probing, beating, hearing)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()  # raises: all but the hearing end only by an error of ours
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._telling is not None:
                self._telling.cancel()
            self._writer.close()

    async def _hear(self) -> None:
        """Do as told; return at the end."""
        if not await self._begins():
            return
        while (line := await self._reader.readline()).endswith(b"\n"):
            match wire.decode(line):
                case wire.Take(probes):
                    for one in probes:
                        self._digests[one.number] = one.digest
                        self._taken[one.digest] = one.number, one.interval_s
                        self._runner.take(one.digest, one.check, one.interval_s)
                case wire.Pace(intervals_s):
                    for number, interval_s in intervals_s.items():
                        digest = self._digests[number]
                        self._taken[digest] = number, interval_s
                        self._runner.pace(digest, interval_s)
                case wire.Drop(numbers):
                    for number in numbers:
                        digest = self._digests.pop(number)
                        del self._taken[digest]
                        self._runner.drop(digest)
                case wire.Stop():
                    return
                case other:
                    raise wire.WireError(f"{type(other).__name__} is nothing to say to a worker")

    async def _begins(self) -> bool:
        first = await self._reader.readline()
        if not first:
            return False
        begin = wire.decode(first)
        if isinstance(begin, wire.Begin) and begin.version == wire.VERSION:
            return True
        self._say(wire.Refused(wire.VERSION))
        await self._writer.drain()
        return False

    async def _beat(self) -> None:
        while True:
            self._say(wire.Heartbeat(self._runner.late_s(), self._runner.in_flight))
            await asyncio.sleep(limits.WORKER_HEARTBEAT_EVERY_S)

    def _tell(self, digest: str, outcome: Outcome) -> float:
        number, interval_s = self._taken[digest]
        if outcome is not None:
            self._found.append((number, outcome))
            if len(self._found) >= limits.WORKER_BATCH_MAX:
                self._tell_all()
            elif self._telling is None:
                self._telling = self._loop.call_later(limits.WORKER_GATHERS_S, self._tell_all)
        return interval_s

    def _tell_all(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        found, self._found = self._found, []
        self._say(wire.Found(found))

    def _say(self, message: wire.Message) -> None:
        if self._writer.transport.get_write_buffer_size() > limits.WORKER_UNREAD_BYTES_MAX:
            raise SystemExit("nobody reads what came of the probes")
        if not self._writer.is_closing():
            self._writer.write(wire.encode(message))


async def work(end: socket.socket) -> None:
    """Be a worker for whoever has the other end."""
    reader, writer = await asyncio.open_connection(sock=end, limit=limits.WORKER_LINE_BYTES_MAX)
    await Worker(reader, writer).run()


def main() -> None:
    """Be a worker until told to stop, or until there is nobody to work for."""
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal():
        sys.exit(_USAGE)
    # What these ask comes over the socket; a service manager may signal all processes at once.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _die_with_the_parent()
    gc.set_threshold(limits.COLLECT_AFTER)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # each probe under way needs one
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    end = socket.socket(fileno=int(sys.argv[1]))
    end.set_inheritable(False)
    with suppress(ConnectionError):  # the other end is gone, and with it the reason to be here
        asyncio.run(work(end))


def _die_with_the_parent() -> None:
    """Where the end of the socket cannot be seen, as by a process that was stopped."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main()
