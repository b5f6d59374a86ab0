"""What a planned switchover costs clients, beside a stop of the packaged keepalived in good order.

Usage: python -m tests.bench.switchover [--runs 5]

The pair of `failover`, with adverts every second; ours has its peer channel, and is told
`hadirector switchover --to lb2`. Whoever has keepalived stops it on the active director, which is
as planned as it gets there. Times are medians with their range, in milliseconds; "peer active" and
"address left" count from the command, and so include its start and its checks.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

from tests.bench.pair import KINDS, Measured, Pair, what_is_missing
from tests.bench.report import heading, ratio, row, spread

INTERVAL_S = 1.0


def main() -> int:
    """Measure and print; exit status 0, or 3 where something is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.switchover")
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    if missing := what_is_missing():
        print(missing, file=sys.stderr)
        return 3
    found: dict[str, list[Measured]] = {}
    with tempfile.TemporaryDirectory() as place:
        for kind in KINDS:
            with Pair(kind, INTERVAL_S, Path(place), channel=True) as pair:
                found[kind] = [
                    pair.measure(pair.switchover, phase=(run + 0.5) / asked.runs)
                    for run in range(asked.runs)
                ]
    heading(f"planned switchover, adverts every {INTERVAL_S:g} s (milliseconds)")
    for field in fields(Measured):
        ours, theirs = ([getattr(m, field.name) for m in found[kind]] for kind in KINDS)
        what = field.name.removesuffix("_ms").replace("_", " ")
        row(what, spread(ours, 1), spread(theirs, 1), ratio(ours, theirs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
