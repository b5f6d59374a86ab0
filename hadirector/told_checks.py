"""What `explain` tells of a server's checks: each by itself, and how they go together. Pure."""

from __future__ import annotations

from checkers.health import State
from checkers.limits import HISTORY_FAILURES_MAX, HISTORY_PASSES_MAX
from hadirector.checks import Part, ServerView

Json = dict[str, object]
RESULTS_TOLD = HISTORY_FAILURES_MAX + HISTORY_PASSES_MAX  # all that is kept


def why(view: ServerView) -> list[str]:
    """The sentences, for people: what is checked, what it found, what would change the verdict."""
    if len(view.parts) == 1:
        (part,) = view.parts
        return [f"check: {part.view.check.describe()}", view.outlook, *_hindered(part)]
    sentences = []
    for part in view.parts:
        found = part.view
        only = ", only warns" if part.advisory else ""
        sentences.append(
            f"check {part.label} ({found.check.describe()}{only}) is {found.state}: "
            f"{found.sentence}; {found.outlook}"
        )
        sentences += _hindered(part)
    return sentences


def warnings(view: ServerView) -> list[str]:
    """What is worth a look although the verdict stays: checks that only warn, or cannot be made."""
    found = []
    for part in view.parts:
        if part.advisory and part.view.state is State.DOWN:
            found.append(f"check {part.label} warns: {part.view.sentence}")
        found += _hindered(part)
    return found


def _hindered(part: Part) -> list[str]:
    """That the last probe could not be made, which is no fault of the server."""
    if part.view.error is None:
        return []
    of = f" {part.label}" if part.label else ""
    return [f"the check{of} cannot be made at present, so the verdict stays: {part.view.error}"]


def checks_told(view: ServerView) -> list[Json]:
    """Each check, for programs."""
    return [
        {
            "label": part.label or None,
            "advisory": part.advisory,
            "check": part.view.check.describe(),
            "state": str(part.view.state),
            "since": part.view.since,
            "sentence": part.view.sentence,
            "outlook": part.view.outlook,
            "held_since": part.view.held_since,
            "passed": part.view.passed,
            "failed": part.view.failed,
            "errors": part.view.errors,
            "error": part.view.error,
        }
        for part in view.parts
    ]


def results_told(view: ServerView) -> list[Json]:
    """The last results of each check, in the order of time."""
    found = [(result, part) for part in view.parts for result in part.view.results[-RESULTS_TOLD:]]
    return [
        {
            "check": part.label or None,
            "at": result.at,
            "healthy": result.healthy,
            "layer": result.reason.layer,
            "reason": str(result.reason),
            "sentence": result.sentence,
            "latency_ms": result.latency_ms,
        }
        for result, part in sorted(found, key=lambda pair: pair[0].at)
    ]
