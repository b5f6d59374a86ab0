"""What a drill found out, and the verdict on it. Pure.

A scenario passes when the clients' outage kept within its budget *and* everything it promised was
seen. Whatever was not as promised is a sentence in `faults`, so a failed verdict says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hadirector.drill.timeline import EMPTY, Timeline

Json = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One scenario, run."""

    name: str
    title: str
    outage_ms: float  # the longest time without an answer to any of the client's probes
    budget_ms: float
    stalled_ms: float  # the longest time in which the machine stood still; not in the outage
    requests: int
    requests_lost: int
    losses: Mapping[str, int]  # the lost requests by how they were lost: refused, timeout, ...
    connections_opened: int
    connections_kept: int
    connections_promised: bool = False  # all that were opened must still be there
    active_before: str | None
    active_after: str | None
    notes: tuple[str, ...] = ()  # what was done and seen, in order
    faults: tuple[str, ...] = ()  # what was not as promised
    seconds: float = 0.0  # how long the scenario took
    timeline: Timeline = EMPTY  # what happened when

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it failed; empty when it passed."""
        late = self.outage_ms > self.budget_ms
        outage = f"clients waited {self.outage_ms:.0f} ms, the budget is {self.budget_ms:.0f} ms"
        gone = self.connections_opened - self.connections_kept
        lost = f"{gone} of {self.connections_opened} connections were lost in spite of sync"
        broken = self.connections_promised and gone > 0
        return (*((outage,) if late else ()), *((lost,) if broken else ()), *self.faults)

    @property
    def passed(self) -> bool:
        """The verdict."""
        return not self.reasons

    def to_json(self) -> Json:
        """For programs."""
        return {
            "name": self.name,
            "title": self.title,
            "verdict": "pass" if self.passed else "fail",
            "outage_ms": round(self.outage_ms, 1),
            "budget_ms": round(self.budget_ms, 1),
            "stalled_ms": round(self.stalled_ms, 1),
            "requests": self.requests,
            "requests_lost": self.requests_lost,
            "losses": dict(self.losses),
            "connections": {
                "opened": self.connections_opened,
                "kept": self.connections_kept,
                "promised": self.connections_promised,
            },
            "active_before": self.active_before,
            "active_after": self.active_after,
            "notes": list(self.notes),
            "faults": list(self.reasons),
            "seconds": round(self.seconds, 1),
            "timeline": self.timeline.to_json(),
        }


def report(scenarios: Sequence[Json], *, file: str, kernel: str) -> Json:
    """The whole rehearsal as one JSON object, from each scenario's `to_json`."""
    return {"file": file, "kernel": kernel, "scenarios": list(scenarios)}
