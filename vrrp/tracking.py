"""The worker's side of what virtual routers depend on, and of their hooks.

Interfaces are watched by the worker anyway, services are told of by the supervisor; the rest is
seen by `chores`, a child that is started when there is something for it to do and started again,
not too often, when it ends. What was seen before stays valid meanwhile: the death of a helper is no
reason for a failover.

What has not been seen yet counts as failed, so that a director never takes the addresses before it
knows that it is well. A service of which nothing was said counts as working: the elections must not
depend on the director process.

This module never waits for the child, and never decides about a priority.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Final

from vrrp.hands import Interface
from vrrp.line import Line
from vrrp.messages import Assign, Event, Facts, Message, MessageError, RunHooks, Seen
from vrrp.priority import Reading
from vrrp.tracked import Tracker

RESTART_S: Final = 1.0


class Tracking:
    """What is known of every tracker. Say whom to call when that changes."""

    def __init__(
        self,
        interface: Callable[[str], Interface],
        on_change: Callable[[], None],
        on_start: Callable[[], None],
        tell: Callable[[Message], None],
    ) -> None:
        """`on_start` is called when a child has started anew and knows of no virtual router."""
        self._interface = interface
        self._on_change = on_change
        self._on_start = on_start
        self._tell = tell
        self._trackers: tuple[Tracker, ...] = ()
        self._seen: dict[Tracker, Reading] = {}
        self._settling: dict[Tracker, asyncio.TimerHandle] = {}
        self._services: dict[str, bool] = {}
        self._line: Line | None = None
        self._needed = asyncio.Event()

    # -------------------------------------------------------------------- facts

    def configure(self, trackers: Iterable[Tracker], *, has_hooks: bool) -> None:
        """Know these trackers from now on; call it when their interfaces are watched."""
        wanted = tuple(dict.fromkeys(trackers))
        for gone in set(self._trackers) - set(wanted):
            self._seen.pop(gone, None)
            if (timer := self._settling.pop(gone, None)) is not None:
                timer.cancel()
        self._trackers = wanted
        for tracker in wanted:
            if tracker.interface is not None and tracker not in self._seen:
                self._seen[tracker] = self._look(tracker.interface)
        if has_hooks or self._for_chores():
            self._needed.set()
        self._assign()

    @property
    def interfaces(self) -> frozenset[str]:
        """The names of the interfaces that are tracked."""
        return frozenset(t.interface for t in self._trackers if t.interface is not None)

    def reading(self, tracker: Tracker) -> Reading:
        """Return what is known of a tracker."""
        if tracker.service is not None:
            failed = not self._services.get(tracker.service, True)
            return Reading(failed, f"{tracker.service} has {'no' if failed else 'its'} quorum")
        return self._seen.get(tracker) or Reading(True, f"{tracker.name} is not known yet")

    def interface_changed(self, name: str) -> None:
        """Look at an interface again; what is seen counts when it has lasted."""
        for tracker in self._trackers:
            if tracker.interface != name:
                continue
            if (timer := self._settling.pop(tracker, None)) is not None:
                timer.cancel()
            if self._look(name) == self._seen[tracker]:
                continue
            loop = asyncio.get_running_loop()
            self._settling[tracker] = loop.call_later(tracker.debounce, self._settle, tracker)

    def told(self, facts: Facts) -> None:
        """Take in what the supervisor says of services."""
        if facts.services != self._services:
            self._services = facts.services
            self._on_change()

    def run_hooks(self, told: RunHooks) -> None:
        """Have hooks run; before the child is there, nothing is lost: it asks for a replay."""
        if self._line is not None:
            self._line.tell(told)

    def _look(self, name: str) -> Reading:
        problem = self._interface(name).problem
        if problem is None:
            return Reading(False, f"{name} is up")
        return Reading(True, problem.removeprefix("interface "))

    def _settle(self, tracker: Tracker) -> None:
        self._settling.pop(tracker, None)
        assert tracker.interface is not None
        self._seen[tracker] = self._look(tracker.interface)
        self._on_change()

    # -------------------------------------------------------------------- child

    async def run(self) -> None:
        """Keep a child while one is needed, until cancelled; it ends by itself then."""
        while True:
            await self._needed.wait()
            try:
                await self._live_with_child()
            except OSError as error:
                text = f"the helper for trackers and hooks cannot be started: {error}"
                self._tell(Event(kind="chores", router=None, sentence=text))
            await asyncio.sleep(RESTART_S)

    async def _live_with_child(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            child = _start(theirs.fileno())
        line = await Line.over(ours)
        self._line = line
        try:
            self._assign()
            self._on_start()
            async for message in line.messages():
                self._hear(message)
        except asyncio.CancelledError:
            child.returncode = 0  # it runs on for the last hooks, and nobody waits for it
            raise
        finally:
            self._line = None
            line.close()
        child.kill()
        child.wait()
        text = "the helper for trackers and hooks has ended; another one is started"
        self._tell(Event(kind="chores", router=None, sentence=text))

    def _hear(self, message: Message | MessageError) -> None:
        match message:
            case Seen(tracker=tracker, failed=failed, phrase=phrase, value=value):
                self._see(tracker, Reading(failed, phrase, value))
            case Event():
                self._tell(message)
            case _:
                self._tell(Event(kind="message-error", router=None, sentence=str(message)))

    def _see(self, tracker: Tracker, reading: Reading) -> None:
        if tracker in self._trackers and self._seen.get(tracker) != reading:
            self._seen[tracker] = reading
            self._on_change()

    def _assign(self) -> None:
        if self._line is not None:
            self._line.tell(Assign(trackers=self._for_chores()))

    def _for_chores(self) -> tuple[Tracker, ...]:
        kinds = (t for t in self._trackers if t.interface is None and t.service is None)
        return tuple(kinds)


def _start(descriptor: int) -> subprocess.Popen[bytes]:
    """Start a child; it inherits its end of the line and the streams that are printed to."""
    warnings = [f"-W{option}" for option in sys.warnoptions]  # as the tests want
    return subprocess.Popen(
        [sys.executable, *warnings, "-m", "vrrp.chores", str(descriptor)],
        stdin=subprocess.DEVNULL,
        pass_fds=(descriptor,),
    )
