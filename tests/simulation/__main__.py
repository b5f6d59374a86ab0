"""Simulated worlds by the thousand, or one of them as a story.

    python -m tests.simulation --worlds 1000000          many worlds; the first failures are told
    python -m tests.simulation --seed 17                 one world as a timeline
    python -m tests.simulation --seed 17 --whole         the same, not made smaller if it fails

Exit status: 0 all promises were kept, 1 one was not.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice

from tests.simulation import options, story
from tests.simulation.runs import Batch, run_batch
from tests.simulation.shrink import shrink
from tests.simulation.world import World

BATCH = 250
TOLD_MAX = 5


def tell(seed: int, *, whole: bool) -> int:
    """One world as a timeline, made as small as possible if it breaks a promise."""
    drawn = options.draw(seed)
    told = story.draw(drawn)
    outcome = World(drawn, told, record=True).run()
    if outcome.violation is not None and not whole:
        drawn, told = shrink(drawn, told, outcome)
        outcome = World(drawn, told, record=True).run()
        print("made smaller:")
    print(drawn)
    print("\n".join(outcome.timeline))
    if outcome.violation is None:
        print(f"all promises kept: {outcome.steps} steps, {outcome.changes} transitions")
    return int(outcome.violation is not None)


def batches(first: int, worlds: int) -> Iterator[range]:
    """The seeds, in portions."""
    for start in range(first, first + worlds, BATCH):
        yield range(start, min(start + BATCH, first + worlds))


def run_many(first: int, worlds: int, jobs: int) -> int:
    """Many worlds on several processors; a line now and then, and each failure."""
    print(f"worlds {first} to {first + worlds - 1}", flush=True)
    began = told_at = time.monotonic()
    total = Batch()
    todo = batches(first, worlds)
    with ProcessPoolExecutor(jobs) as pool:
        # A million worlds are not queued at once: one round of portions after the other.
        while portion := list(islice(todo, 4 * jobs)):
            for batch in pool.map(run_batch, portion):
                for seed, sentence in batch.failures:
                    if len(total.failures) < TOLD_MAX:
                        print(f"FAILED {sentence}\n  python -m tests.simulation --seed {seed}")
                    total.failures.append((seed, sentence))
                total.add(batch)
            if time.monotonic() - told_at > 10:
                told_at = time.monotonic()
                print(f"  {total.worlds} worlds, {total.steps} steps", flush=True)
    seconds = time.monotonic() - began
    print(
        f"{total.worlds} worlds, {total.steps} steps, {total.changes} transitions in "
        f"{seconds:.1f} s; {len(total.failures)} failed"
    )
    return int(bool(total.failures))


def main() -> int:
    """Read the command line and run."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, help="tell this world")
    parser.add_argument("--whole", action="store_true", help="do not make a failing world smaller")
    parser.add_argument("--worlds", type=int, default=2000, help="how many to run")
    parser.add_argument("--first", type=int, help="the first seed; else one by chance")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    asked = parser.parse_args()
    if asked.seed is not None:
        return tell(asked.seed, whole=asked.whole)
    first = random.randrange(10**9) if asked.first is None else asked.first
    return run_many(first, asked.worlds, asked.jobs)


if __name__ == "__main__":
    sys.exit(main())
