"""The program that does for the worker whatever may take its time: `python -m vrrp.chores FD`.

The problem. Scripts that say how well a director is, and hooks that tell others what it does, are
other people's programs. Starting one takes milliseconds, and the worker has adverts to send.

The approach. The worker has this child, with a socket between them. It is told which trackers to
look at (Assign) and says what it sees (Seen); it is told of changes of state (RunHooks, each with
the hooks to run) and runs those of one virtual router one after the other, in order. When the
worker is gone, for whatever reason, it runs the hooks for that, too, and ends.

After a crash of the worker, a new one may be at work while the hooks for the end of the old one
still run: they take turns (`turn`).

Everything is bounded: one run of a script at a time and within its timeout, a number of changes
that wait per virtual router, retries, and the time after the worker's end.

This module never decides anything about the election, and never talks to the network itself.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial

from vrrp import command
from vrrp.events import State
from vrrp.file_watch import FileWatch
from vrrp.hook_queue import HookQueue
from vrrp.line import Line
from vrrp.looks import look
from vrrp.messages import Assign, Event, RunHooks, Seen
from vrrp.priority import Reading
from vrrp.steady import Streak
from vrrp.tracked import Tracker
from vrrp.turn import FAREWELL_S, Turn


@dataclass(slots=True)
class _Hooks:
    """The hooks of one virtual router at work."""

    last: RunHooks
    queue: HookQueue


class Chores:
    """One program's trackers and hooks."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._trackers: dict[Tracker, asyncio.Task[None]] = {}
        self._files: FileWatch | None = None
        self._hooks: dict[str, _Hooks] = {}
        self._turn = Turn()

    async def run(self) -> None:
        """Work until the worker is gone."""
        async for message in self._line.messages():
            match message:
                case Assign(trackers=trackers):
                    self._assign(trackers)
                case RunHooks():
                    self._enqueue(message)
                case _:
                    raise RuntimeError(f"{message!r} is not for this program")
        for task in self._trackers.values():
            task.cancel()
        await asyncio.gather(*self._trackers.values(), return_exceptions=True)
        if self._files is not None:
            self._files.close()
        await self._say_farewell()

    # ---------------------------------------------------------------- trackers

    def _assign(self, trackers: tuple[Tracker, ...]) -> None:
        for gone in self._trackers.keys() - set(trackers):
            self._trackers.pop(gone).cancel()
        for tracker in trackers:
            if tracker not in self._trackers:
                self._trackers[tracker] = asyncio.create_task(self._work_for(tracker))

    async def _work_for(self, tracker: Tracker) -> None:
        if tracker.script is not None:
            await self._run_script(tracker)
        elif tracker.file is not None:
            await self._follow(tracker)
        else:
            await self._look(tracker)

    async def _run_script(self, tracker: Tracker) -> None:
        assert tracker.script is not None
        streak = Streak(rise=tracker.rise, fall=tracker.fall)
        while True:
            began = time.monotonic()
            outcome = await command.run(
                tracker.script, timeout_s=tracker.timeout, user=tracker.user
            )
            if streak.note(outcome.well):
                phrase = f"{tracker.script[0]} {outcome.sentence}"
                self._tell(tracker, Reading(not outcome.well, phrase))
            # From start to start, so that a slow script is not asked less often than a fast one.
            await asyncio.sleep(max(0.0, began + tracker.interval - time.monotonic()))

    async def _look(self, tracker: Tracker) -> None:
        streak = Streak(rise=tracker.rise, fall=tracker.fall)
        while True:
            seen = look(tracker)
            if streak.note(not seen.failed):
                self._tell(tracker, seen)
            await asyncio.sleep(tracker.interval)

    async def _follow(self, tracker: Tracker) -> None:
        """Read a file whenever it changes, and from time to time: not every change is told of."""
        assert tracker.file is not None
        told: Reading | None = None
        with self._watching(tracker.file) as changed:
            while True:
                changed.clear()
                seen = look(tracker)
                if seen != told:
                    told = seen
                    self._tell(tracker, seen)
                with suppress(TimeoutError):
                    async with asyncio.timeout(tracker.interval):
                        await changed.wait()

    def _watching(self, path: str) -> AbstractContextManager[asyncio.Event]:
        """Watch a file with inotify where the kernel lets us, else not at all."""
        if self._files is None:
            try:
                self._files = FileWatch()
            except OSError as error:
                text = f"files are only looked at from time to time: no inotify ({error.strerror})"
                self._line.tell(Event(kind="chores", router=None, sentence=text))
                return nullcontext(asyncio.Event())
        return self._files.watching(path)

    def _tell(self, tracker: Tracker, seen: Reading) -> None:
        self._line.tell(
            Seen(tracker=tracker, failed=seen.failed, phrase=seen.phrase, value=seen.value)
        )

    # ------------------------------------------------------------------- hooks

    def _enqueue(self, told: RunHooks) -> None:
        name, change = told.change.router, told.change
        hooks = self._hooks.get(name)
        if hooks is None:
            queue = HookQueue(partial(self._complain, name), ready=self._turn.come)
            hooks = self._hooks[name] = _Hooks(told, queue)
        hooks.last = told
        hooks.queue.put([hook for hook in told.hooks if hook.wants(change.new)], change)

    def _complain(self, router: str, sentence: str) -> None:
        self._line.tell(Event(kind="hook-failed", router=router, sentence=sentence))

    async def _say_farewell(self) -> None:
        """Tell the hooks that nobody takes part here any more, within a bounded time."""
        for hooks in self._hooks.values():
            last = hooks.last.change
            if last.new is not State.INIT:
                text = "the VRRP worker has ended"
                end = replace(
                    last, old=last.new, new=State.INIT, reason=text, at=time.time(), replayed=False
                )
                self._enqueue(replace(hooks.last, change=end))
        running = (hooks.queue.task for hooks in self._hooks.values())
        tasks = [task for task in running if task is not None]
        _, late = await asyncio.wait(tasks, timeout=FAREWELL_S) if tasks else (set(), set())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        self._turn.let_go()


async def _main(descriptor: int) -> None:
    line = await Line.over(socket.socket(fileno=descriptor))
    await Chores(line).run()
    line.close()


def main() -> None:
    """Run on the socket whose descriptor is the only argument."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        # A service manager or a terminal signals the whole group: the hooks for the end come first.
        # A handler that does nothing, since to ignore a signal would be inherited by every script.
        signal.signal(number, lambda *_: None)
    asyncio.run(_main(int(sys.argv[1])))


if __name__ == "__main__":
    main()
