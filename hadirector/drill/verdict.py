"""From the course of a drill, and what its clients and the journal say, to a `Result`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hadirector.drill import timeline
from hadirector.drill.course import Course
from hadirector.drill.live import Drill, Facts
from hadirector.drill.result import Result
from hadirector.drill.timeline import Kind

EVENTS_TOLD_MAX = 40
TOLD_KINDS = frozenset({"transition", "process", "peer", "repair", "switchover", "sync", "server"})
NOT_MEASURED = "the outage was not measured: nobody asked (--via, --probe)"


def judged(
    drill: Drill,
    facts: Facts,
    course: Course,
    *,
    summaries: Sequence[Mapping[str, Any] | None],
    events: Sequence[Mapping[str, Any]],
    budget_ms: float,
) -> Result:
    """The result. `summaries`: of each client, its times on this host's clock; None: it failed."""
    faults, notes = list(course.faults), list(course.notes)
    told = [each for each in summaries if each is not None]
    if len(told) < len(summaries):
        faults.append("a client ended without saying what it saw")
    if not summaries:
        notes.append(NOT_MEASURED)
    worst = max(told, key=lambda each: float(each["outage_ms"]), default=None)
    outage_ms = 0.0 if worst is None else float(worst["outage_ms"])
    gap = None
    if worst is not None and outage_ms > 0:
        silent_s = (outage_ms + float(worst["stalled_ms"])) / 1000
        gap = (float(worst["gap_began_at"]), silent_s)
    moments = [*course.moments, *_journal(course, events), *_wire(course)]
    phases = _phases(course, events, gap)
    notes += [", ".join(phases)] if phases else []
    roles = [(at, name) for at, name in course.roles]
    kept = [each["connections"] for each in told]
    opened = sum(each["opened"] - each["closed"] for each in kept)
    return Result(
        name=drill.name,
        title=drill.title,
        outage_ms=outage_ms,
        budget_ms=budget_ms,
        stalled_ms=max((float(each["stalled_ms"]) for each in told), default=0.0),
        requests=sum(each["requests"] for each in told),
        requests_lost=sum(each["requests_lost"] for each in told),
        losses=_added(each["losses"] for each in told),
        connections_opened=opened,
        connections_kept=sum(each["kept"] for each in kept),
        connections_promised=drill.moves and facts.config.connection_sync is not None,
        active_before=roles[0][1] if roles else None,
        active_after=roles[-1][1] if roles else None,
        notes=tuple(notes),
        faults=tuple(faults),
        seconds=course.ended_at - course.began_at,
        timeline=timeline.make(
            began_at=course.began_at,
            ended_at=course.ended_at,
            moments=moments,
            active=_spans(roles),
            outage=gap,
        ),
    )


def _added(counts: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return total


def _spans(
    roles: Sequence[tuple[float, str | None]],
) -> list[tuple[str, float, float | None]]:
    ends = [at for at, _ in roles[1:]] + [None]
    return [(name, at, end) for (at, name), end in zip(roles, ends, strict=True) if name]


def _journal(course: Course, events: Sequence[Mapping[str, Any]]) -> list[tuple[float, str, Kind]]:
    """What this director itself has noted meanwhile."""
    during = [each for each in events if course.began_at <= each["at"] <= course.ended_at]
    told = [each for each in during if each["kind"] in TOLD_KINDS][:EVENTS_TOLD_MAX]
    return [(each["at"], str(each["sentence"]), Kind.SEEN) for each in told]


def _wire(course: Course) -> list[tuple[float, str, Kind]]:
    heard = course.heard
    return [
        (at, f"on the wire: {name} {what} by the other one", Kind.SEEN)
        for what, times in (("advertised", heard.advertised), ("announced", heard.announced))
        for name, at in times.items()
    ]


def _phases(
    course: Course, events: Sequence[Mapping[str, Any]], gap: tuple[float, float] | None
) -> list[str]:
    """When it was detected, elected, announced, and the first answer after; ms from the fault."""
    done = [at for at, _, kind in course.moments if kind is Kind.DONE]
    if not done:
        return []
    fault_at = done[0]
    found: list[tuple[str, float]] = []
    detected = [
        each["at"]
        for each in events
        if each["at"] >= fault_at and each["kind"] in ("process", "transition", "server", "repair")
    ]
    if detected:
        found.append(("detected", min(detected)))
    if course.heard.advertised:
        found.append(("elected", max(course.heard.advertised.values())))
    if course.heard.announced:
        found.append(("addresses moved and announced", max(course.heard.announced.values())))
    if gap is not None and gap[0] + gap[1] >= fault_at:
        found.append(("first answer after the longest silence", gap[0] + gap[1]))
    return [f"{name} after {(at - fault_at) * 1000:.0f} ms" for name, at in found]
