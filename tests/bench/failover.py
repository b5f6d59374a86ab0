"""What a failover costs clients, beside the packaged keepalived, in one run.

Usage: python -m tests.bench.failover [--runs 5] [--intervals 1,0.1,0.03,0.01]

A pair with VRRP alone, in network namespaces of this host: a client asks the address every
millisecond or two, and hears the adverts. Priorities are 101 and 100, so the skew is long. For four
faults: client outage, time until the peer speaks, time until the address has left the dead side.
The runs spread over the interval in the same way for both. Times are medians with their range, in
milliseconds; the ratio is keepalived's median over ours.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import fields
from functools import partial
from pathlib import Path

from tests.bench.pair import KINDS, Measured, Pair, what_is_missing
from tests.bench.report import heading, ratio, row, spread

FAULTS = {
    "link of the active cut": Pair.cut,
    "graceful stop": Pair.graceful,
    "kill -9 of the VRRP process": Pair.kill,
    "VRRP process frozen": Pair.freeze,
}


def outages(intervals_s: list[float], runs: int, directory: Path) -> None:
    """All faults at all intervals."""
    for interval_s in intervals_s:
        heading(f"adverts every {interval_s * 1000:g} ms (milliseconds)")
        found: dict[tuple[str, str], list[Measured]] = {}
        for kind in KINDS:
            with Pair(kind, interval_s, directory) as pair:
                for name, fault in FAULTS.items():
                    found[kind, name] = [
                        pair.measure(partial(fault, pair), phase=(run + 0.5) / runs)
                        for run in range(runs)
                    ]
        for name in FAULTS:
            for field in fields(Measured):
                ours, theirs = ([getattr(m, field.name) for m in found[k, name]] for k in KINDS)
                what = field.name.removesuffix("_ms").replace("_", " ")
                row(f"{name}: {what}", spread(ours), spread(theirs), ratio(ours, theirs))


def main() -> int:
    """Measure and print; exit status 0, or 3 where something is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.failover")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--intervals", default="1,0.1,0.03,0.01")
    asked = parser.parse_args()
    if missing := what_is_missing():
        print(missing, file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory() as place:
        outages([float(text) for text in asked.intervals.split(",")], asked.runs, Path(place))
    return 0


if __name__ == "__main__":
    sys.exit(main())
