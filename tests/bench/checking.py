"""One process that makes checks with our scheduler, and measures itself.

    python -m tests.bench.checking COUNT KIND INTERVAL_S SECONDS PORT

KIND: connect, half_open, hold or http, each of another loopback address, 127.1.0.0 onwards. Prints
one line of JSON: probes, processor seconds and memory of the time measured, the greatest distance
of two results of one check, and how many failed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time
from ipaddress import IPv4Address

from checkers import limits
from checkers.base import Result, Target
from checkers.check import Check
from checkers.http import HttpOptions
from checkers.options import CheckOptions
from checkers.scheduler import Scheduler
from checkers.tcp import TcpOptions
from checkers.timing import Timing
from hadirector.director_program import allow_many_descriptors

SETTLED = limits.HISTORY_PASSES_MAX + 1
"""Intervals until what is kept of every check grows no more: a daemon does that once, not for ever.
"""
FIRST = IPv4Address("127.1.0.1")
OPTIONS: dict[str, CheckOptions] = {
    "connect": TcpOptions(),
    "half_open": TcpOptions(half_open=True),
    "hold": TcpOptions(hold=True),
    "http": HttpOptions(path="/ok"),
}


class Tally:
    """What came, and when."""

    def __init__(self) -> None:
        self.probes = self.failed = 0
        self.last: dict[str, float] = {}
        self.gap_s = 0.0

    def add(self, key: str, result: Result) -> None:
        """Take a result."""
        now = time.monotonic()
        self.probes += 1
        self.failed += not result.healthy
        if key in self.last:
            self.gap_s = max(self.gap_s, now - self.last[key])
        self.last[key] = now


async def measure(checks: dict[str, Check], settled_s: float, seconds: float) -> dict[str, float]:
    """Run these checks; what they needed once they had settled."""
    tally = Tally()
    scheduler = Scheduler(lambda *_: None, tally.add)
    scheduler.update(checks)
    running = asyncio.create_task(scheduler.run())
    await scheduler.first_round.wait()
    await asyncio.sleep(settled_s)
    tally.probes, tally.failed, tally.gap_s, tally.last = 0, 0, 0.0, {}
    began, used = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    found = {
        "probes": tally.probes,
        "failed": tally.failed,
        "processor_s": time.process_time() - used,
        "seconds": time.monotonic() - began,
        "gap_s": tally.gap_s,
        "resident_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    await scheduler.aclose()
    await running
    return found


def main() -> None:
    """Measure and print."""
    count, kind, interval, seconds, port = sys.argv[1:]
    timing = Timing(interval=float(interval), timeout=1.0)
    allow_many_descriptors()
    gc.set_threshold(limits.COLLECT_AFTER)
    checks = {
        str(number): Check(str(number), Target(FIRST + number, int(port)), OPTIONS[kind], timing)
        for number in range(int(count))
    }
    found = asyncio.run(measure(checks, SETTLED * float(interval), float(seconds)))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
