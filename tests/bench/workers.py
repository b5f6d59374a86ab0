"""10,000 TCP servers at 2 s: made by the director process itself, and by check workers.

Usage: python -m tests.bench.workers [--servers 10000] [--interval 2] [--seconds 20]

The scheduler and the crew of the director process check as many loopback addresses, each by a whole
connection, without workers, with one and with two; each case in a process of its own. Printed are
how many results came of those that the schedule asks for, by how much two results of one check were
further apart than the interval (99 in 100, and at most), processor time (of the judging process,
and of all workers), and memory (the most of the judging process, and of the largest worker).
Exit status: 0; 1 where less than 95 % of the schedule was held, or a case took more than 150 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

from checkers.base import Result, Target
from checkers.check import Check
from checkers.scheduler import Scheduler
from checkers.tcp import TcpOptions
from checkers.timing import Timing
from hadirector.crew import Crew
from hadirector.director_program import allow_many_descriptors
from tests.bench.checking import FIRST
from tests.bench.report import cpu_s

WORKERS = (0, 1, 2)
HELD_MIN = 0.95
MEMORY_MB_MAX = 150.0
SETTLED = 2  # intervals before anything is counted


class Distances:
    """How far apart the results of each check were."""

    def __init__(self) -> None:
        self.seconds = array("d")
        self.results = self.failed = 0
        self._last: dict[str, float] = {}

    def add(self, key: str, result: Result) -> None:
        """Take a result."""
        now = time.monotonic()
        self.results += 1
        self.failed += not result.healthy
        if key in self._last:
            self.seconds.append(now - self._last[key])
        self._last[key] = now

    def forget(self) -> None:
        """Begin to count, now."""
        self.seconds, self.results, self.failed = array("d"), 0, 0


def resident_mb(pid: int) -> float:
    """The most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


async def case(workers: int, checks: dict[str, Check], seconds: float) -> dict[str, float]:
    """One case in this process."""
    interval_s = next(iter(checks.values())).timing.interval
    notes: list[str] = []
    crew, found = Crew(notes.append), Distances()
    crew.resize(workers)
    scheduler = Scheduler(lambda *_: None, found.add, runner=crew)
    scheduler.update(checks)
    running = asyncio.create_task(scheduler.run())
    await scheduler.first_round.wait()
    await asyncio.sleep(SETTLED * interval_s)
    pids = [view.pid for view in crew.views if view.pid is not None]
    found.forget()
    began, used, theirs = time.monotonic(), time.process_time(), sum(map(cpu_s, pids))
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    late = sorted(found.seconds)
    measured = {
        "held": found.results / (len(checks) * took / interval_s),
        "p99_ms": 1000 * (late[int(0.99 * len(late))] - interval_s),
        "worst_ms": 1000 * (late[-1] - interval_s),
        "failed": found.failed,
        "judge_cpu": (time.process_time() - used) / took,
        "worker_cpu": (sum(map(cpu_s, pids)) - theirs) / took,
        "judge_mb": resident_mb(os.getpid()),
        "worker_mb": max(map(resident_mb, pids), default=0.0),
        "total_mb": sum(map(resident_mb, (os.getpid(), *pids))),
        "notes": len(notes),
    }
    await scheduler.aclose()
    await running
    return measured


@contextlib.contextmanager
def listening() -> Iterator[int]:
    """The port of a process that accepts and closes, at every loopback address."""
    with socket.create_server(("", 0), backlog=4096) as listener:
        port: int = listener.getsockname()[1]
        child = os.fork()
        while child == 0:
            listener.accept()[0].close()
    try:
        yield port
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def main() -> int:
    """Measure all cases and print; or one case, as JSON, for the others."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.workers")
    parser.add_argument("--servers", type=int, default=10_000)
    parser.add_argument("--interval", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case is not None:
        allow_many_descriptors()
        timing = Timing(interval=asked.interval, timeout=min(1.0, asked.interval))
        options = TcpOptions()
        checks = {
            str(number): Check(str(number), Target(FIRST + number, asked.port), options, timing)
            for number in range(asked.servers)
        }
        print(json.dumps(asyncio.run(case(asked.case, checks, asked.seconds))))
        return 0
    columns = (
        "workers",
        "held",
        "p99 ms",
        "worst ms",
        "failed",
        "cpu",
        "cpu workers",
        "MB",
        "MB w.",
    )
    print(f"{asked.servers} TCP servers at {asked.interval:g} s")
    print("".join(f"{column:>12}" for column in columns), flush=True)
    status = 0
    with listening() as port:
        for workers in WORKERS:
            numbers = ("--servers", asked.servers, "--interval", asked.interval)
            more = ("--seconds", asked.seconds, "--case", workers, "--port", port)
            command = [sys.executable, "-m", "tests.bench.workers", *map(str, (*numbers, *more))]
            found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            cells = (
                f"{workers}",
                f"{found['held']:.1%}",
                f"{found['p99_ms']:.0f}",
                f"{found['worst_ms']:.0f}",
                f"{found['failed']:.0f}",
                f"{found['judge_cpu']:.0%}",
                f"{found['worker_cpu']:.0%}",
                f"{found['judge_mb']:.0f}",
                f"{found['worker_mb']:.0f}",
            )
            print("".join(f"{cell:>12}" for cell in cells), flush=True)
            if found["held"] < HELD_MIN or found["total_mb"] > MEMORY_MB_MAX or found["notes"]:
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
