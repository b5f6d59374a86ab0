"""What a scheduler keeps of its checks: each check's own machine, and the probe it shares.

Checks that are equal but for their key share one run. Must never outlive its scheduler's wish: a
run that nobody asks for any more is gone.
"""

from __future__ import annotations

from checkers.check import Check
from checkers.health import Health
from checkers.history import History
from checkers.memory import Memory
from checkers.view import CheckView


class Run:
    """What came of one probe, made again and again for everybody who asks for the same."""

    __slots__ = (
        "check",
        "digest",
        "error",
        "errors",
        "healths",
        "history",
    )

    def __init__(self, check: Check, digest: str, history: History) -> None:
        self.check = check
        self.digest = digest
        self.history = history
        self.errors = 0
        self.error: str | None = None
        self.healths: dict[str, Health] = {}
        """By the key of each check that this probe is made for."""

    @property
    def interval(self) -> float:
        """Until the next probe: as soon as anybody wants it; as before once nobody does."""
        if len(self.healths) == 1:  # nearly always
            (health,) = self.healths.values()
            return health.interval
        return min(
            (health.interval for health in self.healths.values()),
            default=self.check.timing.interval,
        )


class Entry:
    """One check: its own machine, and the run it shares with its like."""

    __slots__ = ("check", "health", "run")

    def __init__(self, check: Check, health: Health, run: Run) -> None:
        self.check = check
        self.health = health
        self.run = run

    def memory(self) -> Memory:
        """What is worth keeping across a restart."""
        health, history = self.health, self.run.history
        return Memory(
            digest=self.run.digest,
            state=health.state,
            since=health.since,
            sentence=health.sentence,
            passes=health.passes,
            failures=health.failures,
            held_since=health.held_since,
            passed=history.passed,
            failed=history.failed,
            results=history.results(),
        )

    def view(self) -> CheckView:
        """Everything about it, now."""
        health, run = self.health, self.run
        return CheckView(
            check=self.check,
            state=health.state,
            since=health.since,
            sentence=health.sentence,
            outlook=health.outlook,
            passes=health.passes,
            failures=health.failures,
            passed=run.history.passed,
            failed=run.history.failed,
            errors=run.errors,
            error=run.error,
            last=run.history.last(),
            results=run.history.results(),
            held_since=health.held_since,
        )
