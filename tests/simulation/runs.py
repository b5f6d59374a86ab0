"""Running worlds: one, or a portion of them, with what came out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.simulation import options, story
from tests.simulation.world import Outcome, World


@dataclass
class Batch:
    """What came out of a portion of worlds."""

    worlds: int = 0
    steps: int = 0
    changes: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)
    """Seeds, and what was not kept."""

    def add(self, other: Batch) -> None:
        """Add the numbers of another portion; its failures are the caller's business."""
        self.worlds += other.worlds
        self.steps += other.steps
        self.changes += other.changes


def live(seed: int) -> Outcome:
    """The life of the world with this seed."""
    drawn = options.draw(seed)
    return World(drawn, story.draw(drawn)).run()


def run_batch(seeds: Iterable[int]) -> Batch:
    """The lives of all these worlds."""
    batch = Batch()
    for seed in seeds:
        outcome = live(seed)
        batch.add(Batch(1, outcome.steps, outcome.changes))
        if outcome.violation is not None:
            sentence = f"{outcome.violation.invariant}: {outcome.violation}"
            batch.failures.append((seed, sentence))
    return batch
