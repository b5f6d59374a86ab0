"""From drafts to what a service does with the health of its servers, as the program uses it."""

from __future__ import annotations

from dataclasses import fields

from hadirector.config.draft import Draft
from hadirector.quorum import ONE_SERVER, Quorum, Unit, WhenLost
from hadirector.slow_start import AT_ONCE, SlowStart
from hadirector.steering import Steering

NAMES = tuple(item.name for item in fields(Steering))


def quorum_of(draft: Draft | None) -> Quorum:
    """The quorum, of a draft without errors; where none is written, one server."""
    if draft is None:
        return ONE_SERVER
    unit, need = next(
        (unit, need) for unit in Unit if (need := draft.get(str(unit), int)) is not None
    )
    return Quorum(
        need=need,
        unit=unit,
        hysteresis=draft.get("hysteresis", int) or 0,
        when_lost=draft.get("when_lost", WhenLost) or WhenLost.SERVE,
    )


def steering_of(draft: Draft | None) -> Steering | None:
    """How weights are steered, of a draft without errors; None where nothing is written."""
    if draft is None:
        return None
    return Steering(**{name: draft.values[name] for name in NAMES})  # type: ignore[arg-type]


def slow_start_of(draft: Draft | None) -> SlowStart:
    """How a server that comes back grows, of a draft without errors; unwritten: not at all."""
    if draft is None:
        return AT_ONCE
    return SlowStart(draft.get("over", float) or 0.0, draft.get("passes", int) or 0)
