"""One child process: started, greeted, listened to, killed when it freezes, started again when it
dies.

The channel to a child is also its life line: it reads end-of-file when the child is gone, whatever
killed it. What to say to a new child, what to do with a line of its, and what to do before it is
started again are the supervisor's affair (`Role`); this file only keeps it alive.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hadirector import limits
from hadirector.channel import Channel
from hadirector.watch import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a child is for. All callbacks run in the supervisor's loop."""

    name: str
    module: str  # started as `python -m MODULE FD`
    greet: Callable[[], list[bytes]]  # the lines a new process hears first
    hear: Callable[[bytes], bool]  # takes one line; True when it was a heartbeat
    bury: Callable[[str], Awaitable[None]]  # called after each end, with a sentence on how it ended
    goodbye: Callable[[str], bytes]  # the line that asks it to stop


class Child:
    """Keeps one process of a role running until `stop` is called."""

    def __init__(self, role: Role, watch: Watch) -> None:
        self.role = role
        self.watch = watch
        self.pid: int | None = None
        self.since: float | None = None
        self._channel: Channel | None = None
        self._stopping = asyncio.Event()
        self._goodbye = b""
        self._deadline_moved = asyncio.Event()

    async def run(self) -> None:
        """Keep the process alive; return once it has ended after `stop`.

        When this is cancelled, the supervisor itself is broken. The process is then not killed: it
        sees its channel end and leaves in good order by itself, as after the supervisor's death.
        """
        delay_s = 0.0
        while not await self._stop_asked_within(delay_s):
            await self.role.bury(await self._live())
            delay_s = self.watch.died(time.monotonic())

    def send(self, line: bytes) -> None:
        """Say something to the process, if there is one."""
        if self._channel is not None:
            self._channel.send(line)

    def stop(self, reason: str) -> None:
        """Ask the process to end; it is killed when it takes too long."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._goodbye = self.role.goodbye(reason)
            self.send(self._goodbye)
            self.watch.stopping(time.monotonic())
            self._deadline_moved.set()

    async def _stop_asked_within(self, delay_s: float) -> bool:
        try:
            async with asyncio.timeout(delay_s):
                return await self._stopping.wait()
        except TimeoutError:
            return self._stopping.is_set()

    async def _live(self) -> str:
        """One life of the process, from start to certain death; return how it ended."""
        try:
            process, channel = await self._start()
        except OSError as error:  # no process, memory or descriptor left: that may pass
            return f"could not be started: {error.strerror or error}"
        try:
            frozen = await self._listen(channel)
        finally:
            self._channel = None
            channel.close()
        end = await _end(process, at_once=frozen is not None)
        self.pid = None
        return frozen or end

    async def _start(self) -> tuple[subprocess.Popen[bytes], Channel]:
        ours, theirs = socket.socketpair()
        channel = await Channel.over(ours)
        try:
            with theirs:
                process = _spawn(self.role.module, theirs)
        except OSError:
            channel.close()
            raise
        self.pid, self.since = process.pid, time.time()
        self._channel = channel
        self.watch.started(time.monotonic())
        for line in self.role.greet():
            channel.send(line)
        if self._stopping.is_set():  # asked while the channel was being made
            channel.send(self._goodbye)
            self.watch.stopping(time.monotonic())
        return process, channel

    async def _listen(self, channel: Channel) -> str | None:
        """Hear the process until its end; return a sentence if it froze, None if it ended itself.

        Reading and watching are two tasks: a process that talks without a heartbeat is frozen too.
        Past the deadline there is one more moment (`Watch.grace_s`), and what waits in the socket
        is read before the verdict: when *we* were held up (a paused machine), the heartbeat is
        there or about to come, and nobody must be killed for our own delay.
        """
        hearing = asyncio.create_task(self._hear(channel))
        watching = asyncio.create_task(self._watch_over())
        try:
            await asyncio.wait([hearing, watching], return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done():
                return self.watch.exceeded
            hearing.result()  # raises what hearing raised
        finally:
            hearing.cancel()
            watching.cancel()
        return None

    async def _hear(self, channel: Channel) -> None:
        while (line := await channel.receive()) is not None:
            if self.role.hear(line) and not self._stopping.is_set():
                self.watch.heard(time.monotonic())
                self._deadline_moved.set()

    async def _watch_over(self) -> None:
        """Return once the process is frozen."""
        while True:
            await _within(self._deadline_moved, self._patience_s())
            self._deadline_moved.clear()
            if self._patience_s() <= 0:
                await asyncio.sleep(self.watch.grace_s(time.monotonic()))
                if self._patience_s() <= 0:
                    return

    def _patience_s(self) -> float:
        return max(self.watch.deadline - time.monotonic(), 0.0)


def python(module: str) -> list[str]:
    """The command that runs a module of ours, to be used with `environment`.

    Not from the current directory (-P): whatever lies where root happened to be is no code of ours.
    """
    return [sys.executable, "-P", "-m", module]


def environment() -> dict[str, str]:
    """Our environment, so that what is started finds the very modules that we have found."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _spawn(module: str, end: socket.socket) -> subprocess.Popen[bytes]:
    # Blocks until the program is loaded: milliseconds, and nothing else can be done before.
    return subprocess.Popen(
        [*python(module), str(end.fileno())],
        env=environment(),
        pass_fds=[end.fileno()],
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # the terminal's Ctrl-C is for the supervisor alone
    )


async def _end(process: subprocess.Popen[bytes], *, at_once: bool) -> str:
    """Make sure that no instruction of the process will ever run again; return how it ended."""
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    pidfd = os.pidfd_open(process.pid)  # nobody has waited for it yet, so the number is its own
    loop.add_reader(pidfd, gone.set)
    try:
        # The channel ended: an orderly process is about to exit, any other is made to.
        killed = at_once or not await _within(gone, limits.EXIT_S)
        if killed:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            if not await _within(gone, limits.KILLED_S):
                return "was killed, but the kernel does not let go of it"
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
    status = process.wait()
    return "fell silent without ending, so it was killed" if killed else _sentence(status)


async def _within(event: asyncio.Event, bound_s: float) -> bool:
    try:
        async with asyncio.timeout(bound_s):
            return await event.wait()
    except TimeoutError:
        return False


def _sentence(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal has no name
        return f"was killed by signal {-status}"
