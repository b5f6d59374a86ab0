"""From drafts to what a service does with the health of its servers, as the program uses it."""

from __future__ import annotations

from hadirector.config.draft import Draft
from hadirector.quorum import ONE_SERVER, Quorum, Unit, WhenLost


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
