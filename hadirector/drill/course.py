"""What was done and seen in a drill, with the time of each. Pure; Unix time of the drill's host."""

from __future__ import annotations

from dataclasses import dataclass, field

from hadirector.drill.timeline import Kind


@dataclass(slots=True)
class Heard:
    """By virtual router: when another host first advertised it, and first announced an address."""

    advertised: dict[str, float] = field(default_factory=dict)
    announced: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Course:
    """One drill, from its first step until all was well again."""

    began_at: float = 0.0
    ended_at: float = 0.0
    moments: list[tuple[float, str, Kind]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    roles: list[tuple[float, str | None]] = field(default_factory=list)
    """From when on who was active for what is moved, as its director knew; None: not known."""
    heard: Heard = field(default_factory=Heard)
