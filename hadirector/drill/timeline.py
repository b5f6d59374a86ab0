"""The course of a scenario or a drill: what happened when, who was active, when nobody answered.

The problem: "outage 2908 ms" does not say of which part of a takeover it was made. The approach:
moments and spans on one axis that begins with the fault; every report shows them, as JSON or as a
picture. Pure: times are ms since the beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

Json = dict[str, object]

MOMENTS_MAX = 200
SPANS_MAX = 200


class Kind(StrEnum):
    """What a moment is: something that the drill did, or something that was seen then."""

    DONE = "done"
    SEEN = "seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something at one time."""

    at_ms: float
    text: str
    kind: Kind = Kind.SEEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that lasted: `name` was active, or nobody answered."""

    name: str
    begin_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Everything on one axis of `length_ms`; `outage` is the longest silence, where one was."""

    length_ms: float = 0.0
    moments: tuple[Moment, ...] = ()
    active: tuple[Span, ...] = ()
    outage: Span | None = None

    def to_json(self) -> Json:
        """For programs."""
        return {
            "length_ms": round(self.length_ms, 1),
            "moments": [_rounded(moment) for moment in self.moments],
            "active": [_rounded(span) for span in self.active],
            "outage": None if self.outage is None else _rounded(self.outage),
        }


EMPTY = Timeline()
"""Nothing was noted."""


def _rounded(thing: Moment | Span) -> Json:
    values = asdict(thing)
    return {k: round(v, 1) if isinstance(v, float) else v for k, v in values.items()}


def make(
    *,
    began_at: float,
    ended_at: float,
    moments: Iterable[tuple[float, str, Kind]],
    active: Iterable[tuple[str, float, float | None]],
    outage: tuple[float, float] | None,
) -> Timeline:
    """The course from seconds on one clock, cut to what lies between beginning and end.

    `active` are names with the time since when and until when (None: still); `outage` is when the
    silence began and for how long, in seconds.
    """
    length_ms = max(0.0, ended_at - began_at) * 1000

    def within(at: float) -> float:
        return min(max(0.0, (at - began_at) * 1000), length_ms)

    spans = [
        Span(name=name, begin_ms=within(since), end_ms=within(ended_at if until is None else until))
        for name, since, until in active
    ]
    told = [
        Moment(at_ms=within(at), text=text, kind=kind)
        for at, text, kind in sorted(moments, key=lambda one: one[0])
        if began_at <= at <= ended_at
    ]
    silence = None
    if outage is not None:
        began, lasted = outage
        silence = Span(name="outage", begin_ms=within(began), end_ms=within(began + lasted))
    return Timeline(
        length_ms=length_ms,
        moments=tuple(told[:MOMENTS_MAX]),
        active=tuple(s for s in spans if s.end_ms > s.begin_ms)[:SPANS_MAX],
        outage=silence,
    )


def all_held(
    spans: Mapping[str, Sequence[Sequence[tuple[float, float | None]]]],
    *,
    now: float,
    dark: Iterable[tuple[str, float]] = (),
) -> list[tuple[str, float, float | None]]:
    """When each machine held all addresses: by machine, for each address the spans of holding it.

    A span without an end is still held `now`, and has no end in the result either. Whoever went
    `dark` (name, time) lost its power: it held nothing from then on, whatever it announced.
    """
    found: list[tuple[str, float, float | None]] = []
    lost = list(dark)
    for name, addresses in spans.items():
        common: list[tuple[float, float]] | None = None
        for held in addresses:
            closed = [(since, now if until is None else until) for since, until in held]
            common = closed if common is None else _intersection(common, closed)
        for begin, end in common or ():
            cut = min([end, *(at for who, at in lost if who == name and begin < at)])
            found.append((name, begin, None if cut >= now else cut))
    return sorted(found, key=lambda each: each[1])


def _intersection(
    one: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    both = [(max(a, c), min(b, d)) for a, b in one for c, d in other]
    return [(begin, end) for begin, end in both if begin < end]
