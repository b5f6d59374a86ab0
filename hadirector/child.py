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

    async def run(self) -> None:
        """Keep the process alive; return once it has ended after `stop`."""
        delay_s = 0.0
        while not await self._stop_asked_within(delay_s):
            process, self._channel = await self._start()
            frozen: str | None = "was given up with its supervisor"
            try:
                frozen = await self._listen(self._channel)
            finally:
                self._channel.close()
                status = await _end(process, at_once=frozen is not None)
                self.pid = None
            await self.role.bury(frozen or _sentence(status))
            delay_s = self.watch.died(time.monotonic())

    def send(self, line: bytes) -> None:
        """Say something to the process, if there is one."""
        if self._channel is not None:
            self._channel.send(line)

    def stop(self, reason: str) -> None:
        """Ask the process to end; it is killed when it takes too long."""
        if not self._stopping.is_set():
            self._stopping.set()
            self.send(self.role.goodbye(reason))
            self.watch.stopping(time.monotonic())

    async def _stop_asked_within(self, delay_s: float) -> bool:
        try:
            async with asyncio.timeout(delay_s):
                return await self._stopping.wait()
        except TimeoutError:
            return self._stopping.is_set()

    async def _start(self) -> tuple[subprocess.Popen[bytes], Channel]:
        ours, theirs = socket.socketpair()
        with theirs:
            process = _spawn(self.role.module, theirs)
        self.pid, self.since = process.pid, time.time()
        self.watch.started(time.monotonic())
        channel = await Channel.over(ours)
        for line in self.role.greet():
            channel.send(line)
        return process, channel

    async def _listen(self, channel: Channel) -> str | None:
        """Read until the end; return a sentence if the process froze, None if it ended by itself.

        Past the deadline there is one more short read: when *we* were held up (a paused machine),
        the heartbeat is waiting in the socket, and nobody must be killed for our own delay.
        """
        while True:
            patience_s = self.watch.deadline - time.monotonic()
            overdue = patience_s <= 0
            try:
                line = await channel.receive(
                    timeout_s=limits.HEARTBEAT_GRACE_S if overdue else patience_s
                )
            except TimeoutError:
                if overdue and self.watch.is_frozen(time.monotonic()):
                    return f"gave no sign of life within {self._bound_sentence()}"
                continue
            if line is None:
                return None
            if self.role.hear(line) and not self._stopping.is_set():
                self.watch.heard(time.monotonic())

    def _bound_sentence(self) -> str:
        return "its bound to stop" if self._stopping.is_set() else "its heartbeat bound"


def _spawn(module: str, end: socket.socket) -> subprocess.Popen[bytes]:
    # Blocks until the program is loaded: milliseconds, and nothing else can be done before.
    return subprocess.Popen(
        [sys.executable, "-m", module, str(end.fileno())],
        pass_fds=[end.fileno()],
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # the terminal's Ctrl-C is for the supervisor alone
    )


async def _end(process: subprocess.Popen[bytes], *, at_once: bool) -> int:
    """Make sure that the process is gone; return its status as subprocess gives it."""
    if at_once:
        process.send_signal(signal.SIGKILL)
    gone = asyncio.get_running_loop().create_future()
    pidfd = os.pidfd_open(process.pid)
    try:
        asyncio.get_running_loop().add_reader(pidfd, _settle, gone)
        try:
            # The channel ended: an orderly process is about to exit, any other is made to.
            await asyncio.wait_for(asyncio.shield(gone), limits.EXIT_S)
        except TimeoutError:
            process.send_signal(signal.SIGKILL)
            await gone
    finally:
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
    return process.wait()


def _sentence(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
