"""A thousand healthy servers beside a thousand silent ones, for long: who waits, and what is lost.

Usage: python -m tests.bench.soak [--seconds 60] [--servers 1000] [--interval 1]

Healthy servers and silent ones (whose kernel drops the SYN) are checked by TCP, others refuse, hold
a connection that is closed on them again and again, or take an HTTP request and never answer.
Printed is how far the healthy servers' results were apart at most, and what the process had of
descriptors, tasks, threads, children and memory once it had settled and at the end. Exit status: 0;
1 where the healthy ones were more than 10 % of the interval late, or something had grown.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from checkers.base import Target
from checkers.check import Check
from checkers.http import HttpOptions
from checkers.options import CheckOptions
from checkers.scheduler import Scheduler
from checkers.tcp import TcpOptions
from checkers.timing import Timing
from hadirector.director_program import allow_many_descriptors
from tests.bench.checking import FIRST, Tally
from tests.checkers import servers

LATE_MAX = 0.1
"""Of the interval."""
GROWN_MB_MAX = 5.0
SETTLED = 12
"""Intervals after which every check has as much history as it keeps."""
FAULTY = 100
"""Servers of each further kind of fault."""


@dataclass(frozen=True)
class Held:
    """What a process has."""

    descriptors: int
    tasks: int
    threads: int
    children: int
    resident_mb: float

    @classmethod
    def now(cls) -> Held:
        """What this one has."""
        gc.collect()
        status = Path("/proc/self/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        children = Path("/proc/thread-self/children").read_text().split()
        return cls(
            descriptors=len(list(Path("/proc/self/fd").iterdir())),
            tasks=len(asyncio.all_tasks()),
            threads=threading.active_count(),
            children=len(children),
            resident_mb=int(resident.split()[1]) / 1024,
        )


async def takes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close what comes."""
    writer.close()


async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hear everything, say nothing."""
    while await reader.read(65536):
        pass
    writer.close()


@contextlib.contextmanager
def serving() -> Iterator[tuple[int, int]]:
    """Ports of the two above, in a process of their own, which ends with the block."""
    listeners = [socket.create_server(("", 0), backlog=4096) for _ in range(2)]
    healthy, never = (listener.getsockname()[1] for listener in listeners)

    async def serve() -> None:
        handlers = zip((takes, mute), listeners, strict=True)
        for handler, listener in handlers:
            await asyncio.start_server(handler, sock=listener)
        await asyncio.Event().wait()

    child = os.fork()
    if child == 0:
        asyncio.run(serve())
    for listener in listeners:
        listener.close()
    try:
        yield healthy, never
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def checks(count: int, timing: Timing, ports: dict[str, int]) -> Iterator[Check]:
    """Of each sort as many as there are to be."""
    sorts: dict[str, tuple[int, CheckOptions]] = {
        "healthy": (count, TcpOptions()),
        "silent": (count, TcpOptions()),
        "refusing": (FAULTY, TcpOptions()),
        "closing": (FAULTY, TcpOptions(hold=True)),
        "mute": (FAULTY, HttpOptions()),
    }
    for sort, (number, options) in sorts.items():
        for offset in range(number):
            target = Target(FIRST + offset, ports[sort])
            yield Check(f"{sort} {offset}", target, options, timing)


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """Where SYNs are dropped, at every address: the queue of those who wait is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("", 0), backlog=0))
        port: int = listener.getsockname()[1]
        while True:
            client = stack.enter_context(socket.socket())
            client.settimeout(0.3)
            try:
                client.connect(("127.0.0.1", port))
            except TimeoutError:
                break
        yield port


async def soak(seconds: float, count: int, timing: Timing) -> int:
    """Check for so long; the exit status."""
    tally = Tally()
    with silent_port() as silent, serving() as (healthy, never):
        ports = {"healthy": healthy, "silent": silent, "refusing": servers.free_port()}
        ports |= {"closing": healthy, "mute": never}
        scheduler = Scheduler(
            lambda *_: None,
            lambda key, result: tally.add(key, result) if key.startswith("healthy") else None,
        )
        scheduler.update({check.key: check for check in checks(count, timing, ports)})
        before = Held.now()
        running = asyncio.create_task(scheduler.run())
        await asyncio.sleep(SETTLED * timing.interval)
        tally.gap_s, tally.last = 0.0, {}
        settled = Held.now()
        await asyncio.sleep(seconds)
        late = tally.gap_s / timing.interval - 1
        at_the_end = Held.now()
        await scheduler.aclose()
        await running
        after = Held.now()
    for name, held in (("before", before), ("settled", settled), ("end", at_the_end)):
        print(f"{name:<10}{held}")
    print(f"{'closed':<10}{after}")
    print(f"{tally.probes} results of healthy servers, {tally.failed} failures, {late:.1%} late")
    grown = at_the_end.resident_mb - settled.resident_mb
    leaked = replace(after, resident_mb=0) != replace(before, resident_mb=0)
    return int(late > LATE_MAX or grown > GROWN_MB_MAX or leaked)


def main() -> int:
    """Soak and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--servers", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=1.0)
    asked = parser.parse_args()
    allow_many_descriptors()
    timing = Timing(interval=asked.interval, timeout=min(1.0, asked.interval))
    return asyncio.run(soak(asked.seconds, asked.servers, timing))


if __name__ == "__main__":
    sys.exit(main())
