"""The clients of a drill: `hadirector drill probe --lines`, here or on another host.

The problem: the director under test cannot ask for an address that it holds, and a client's host
has its own clock. The approach: each asker is a child process that tells in lines how long nobody
has answered, and at the end what it saw; its standard input is its life line. Its times are turned
into this host's by the quickest line of all. One that ends early says so.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

LINE_BYTES_MAX: Final = 1 << 16
SAID_BYTES_MAX: Final = 2000
END_S: Final = 15.0
"""For the last probes to end, and the connections to be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Whom to ask, from where, how often."""

    url: str
    via: str = ""  # a command that leads to a client's host, such as "ssh client"
    every: str = "10ms"
    source: str = ""
    send: str = ""
    expect: str = ""
    keep: int = 0

    def command(self) -> list[str]:
        """What is run."""
        program = ["hadirector"] if self.via else [sys.executable, "-m", "hadirector"]
        words = [*program, "drill", "probe", self.url, "--lines", "--every", self.every]
        for name in ("source", "send", "expect"):
            if value := getattr(self, name):
                words += [f"--{name}", value]
        if self.keep and self.url.startswith(("tcp", "http")):
            words += ["--keep", str(self.keep)]
        if not self.via:
            return words
        way = shlex.split(self.via)
        if way[0].rpartition("/")[2] == "ssh":  # it hands its words to a shell on the other side
            return [*way, shlex.join(words)]
        return [*way, *words]


class Asker:
    """One of them, running."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.silent_ms = 0.0
        self.answered = False
        self.summary: dict[str, Any] | None = None
        self.ended = False
        self.said = ""
        """What it had to complain of."""
        self._ahead_s: float | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Raises OSError."""
        self._process = await asyncio.create_subprocess_exec(
            *self.asking.command(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_BYTES_MAX,
            start_new_session=True,  # Ctrl-C is for the drill, not for what measures it
        )
        self._tasks = [asyncio.create_task(self._hear()), asyncio.create_task(self._complaints())]

    async def finish(self) -> None:
        """Have it tell what it saw; afterwards `summary` is there, or never will be."""
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await asyncio.gather(*self._tasks)
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def here(self, there: float) -> float:
        """A Unix time of its host as one of this host."""
        return there - (self._ahead_s or 0.0)

    async def _hear(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async for line in self._process.stdout:
                with suppress(ValueError):
                    told = json.loads(line)
                    ahead_s = told["now"] - time.time()
                    self._ahead_s = max(
                        ahead_s, ahead_s if self._ahead_s is None else self._ahead_s
                    )
                    if told["event"] == "summary":
                        self.summary = told
                    else:
                        self.silent_ms, self.answered = told["ms"], told["answered"]
        finally:
            self.ended = True

    async def _complaints(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(SAID_BYTES_MAX):
            self.said = (self.said + data.decode(errors="replace"))[-SAID_BYTES_MAX:]


async def start(askings: Sequence[Asking]) -> list[Asker]:
    """Start them all; raises OSError."""
    askers = [Asker(asking) for asking in askings]
    for asker in askers:
        await asker.start()
    return askers
