"""How late adverts are while 5,000 checks burn a processor, beside the packaged keepalived.

Usage: python -m tests.bench.lateness [--runs 3]

One director in a network namespace is active, with adverts every 10 ms. Beside it, 5,000 checks are
made five times a second each by the scheduler of our director process, more than one processor can
do; the same for both daemons. What is measured of both is what a client captures, by the kernel's
time: how much later than the interval each advert came after the one before it. Medians of several
runs with their range, in milliseconds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.pair import KINDS, Pair, what_is_missing
from tests.bench.report import cpu_s, row, spread

INTERVAL_S = 0.01
CAPTURED_S = 20.0
SHARES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
BUSY = 0.5
"""What the checks must use of a processor at least; other programs of this host want some, too."""
READY_S = 60.0


def measure(kind: str, place: Path) -> dict[str, float]:
    """One run: quantiles of the lateness in milliseconds."""
    with Pair(kind, INTERVAL_S, place, names=("lb1",)) as pair:
        host = pair.hosts["lb1"]
        host.run("ip", "route", "add", "local", "10.77.0.0/16", "dev", "lo")
        load = host.start(sys.executable, "-m", "tests.bench.check_load")
        try:
            wait_busy(load.pid)
            late = sorted(pair.advert_lateness_ms(CAPTURED_S))
        finally:
            load.kill()
            load.wait()
    last = len(late) - 1
    return {name: late[min(int(share * len(late)), last)] for name, share in SHARES.items()}


def wait_busy(pid: int) -> None:
    """Wait until a process burns its processor. Raises TimeoutError."""
    give_up = time.monotonic() + READY_S
    share = 0.0
    while share < BUSY:
        if time.monotonic() > give_up:
            raise TimeoutError(f"the checks are not busy: {share:.0%} of a processor")
        before, began = cpu_s(pid), time.monotonic()
        time.sleep(1.0)
        share = (cpu_s(pid) - before) / (time.monotonic() - began)


def main() -> int:
    """Measure and print; exit status 0, or 3 where something is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.lateness")
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    if missing := what_is_missing():
        print(missing, file=sys.stderr)
        return 3
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as place:
        for _ in range(asked.runs):  # in turns, so that both see the same neighbours of this host
            for kind in KINDS:
                found[kind].append(measure(kind, Path(place)))
    row("lateness of adverts every 10 ms under load (ms)", "hadirector", "keepalived", "")
    for name in SHARES:
        ours, theirs = ([run[name] for run in found[kind]] for kind in KINDS)
        row(name, spread(ours, 2), spread(theirs, 2), "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
