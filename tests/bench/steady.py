"""Whether a pair stays as it is while every processor is busy, beside the packaged keepalived.

Usage: python -m tests.bench.steady [--minutes 30]

Two pairs side by side, ours and keepalived's, adverts every 100 ms, and a program for each
processor that does nothing but burn it. Nothing else happens, so every change of role is a spurious
one; counted are those that a client hears of: somebody else advertises than did before. Printed,
too: the longest silence, and the client's longest outage.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from tests.bench.pair import KINDS, Pair, what_is_missing
from tests.bench.report import heading, row

INTERVAL_S = 0.1
BURN = "while True: pass"


def main() -> int:
    """Measure and print; exit status 0, or 3 where something is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.steady")
    parser.add_argument("--minutes", type=float, default=30.0)
    asked = parser.parse_args()
    if missing := what_is_missing():
        print(missing, file=sys.stderr)
        return 3
    with ExitStack() as exits:
        place = Path(exits.enter_context(tempfile.TemporaryDirectory()))
        pairs = {kind: exits.enter_context(Pair(kind, INTERVAL_S, place)) for kind in KINDS}
        burners = [
            subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(os.cpu_count() or 1)
        ]
        try:
            began = time.monotonic()
            time.sleep(asked.minutes * 60)
            ended = time.monotonic()
        finally:
            for burner in burners:
                burner.kill()
                burner.wait()
        changes, silence_ms, outage_ms = zip(
            *(_seen(pairs[kind], began, ended) for kind in KINDS), strict=True
        )
    heading(
        f"{asked.minutes:g} minutes, adverts every {INTERVAL_S * 1000:g} ms, all processors busy"
    )
    row("spurious changes of role", f"{changes[0]}", f"{changes[1]}", "")
    row("longest silence (ms)", f"{silence_ms[0]:.0f}", f"{silence_ms[1]:.0f}", "")
    row("longest outage (ms)", f"{outage_ms[0]:.0f}", f"{outage_ms[1]:.0f}", "")
    return 0


def _seen(pair: Pair, began: float, ended: float) -> tuple[int, float, float]:
    """Changes of who advertises, the longest silence and the longest outage in milliseconds."""
    adverts = pair.adverts(began, ended)
    changes = sum(before != after for (_, before), (_, after) in pairwise(adverts))
    silence_s = max(after - before for (before, _), (after, _) in pairwise(adverts))
    outage_ms = pair.outage_ms(began, ended)
    assert outage_ms is not None, "nobody answers any more"
    return changes, silence_s * 1000, outage_ms


if __name__ == "__main__":
    sys.exit(main())
