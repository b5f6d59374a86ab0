"""What a client saw: one sample per probe, and what they add up to.

Pure. Times are seconds on CLOCK_MONOTONIC, which all namespaces of one kernel share. Nothing here
may take a probe that is still under way for a lost one: only finished probes are samples.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

STALL_TICKS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One probe that has ended. `answered_at` is None when it was lost; `failure` says how."""

    target: int
    sent_at: float
    answered_at: float | None
    server: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the samples of a span of time add up to.

    `longest_gap_ms`: the longest time without any answer; the ends of the span count as answers,
    and time in which the machine stood still does not count. `gap_began_at`: when it began.
    `stalled_ms`: the longest time in which the machine stood still. `lost` counts probes sent in
    the span that were never answered.
    """

    longest_gap_ms: float
    gap_began_at: float
    stalled_ms: float
    requests: int
    lost: int
    answers: Mapping[str, int]
    failures: Mapping[str, int]
    latency_ms_median: float | None


def summarise(
    samples: Iterable[Sample],
    *,
    since: float,
    until: float,
    tick_s: float | None = None,
    reference: Iterable[Sample] = (),
) -> Summary:
    """Add up the probes sent, and the answers received, from `since` until `until`.

    `tick_s`: the time from one probe to the next. With it, time in which the whole machine stood
    still is told from an outage. Two things show it: a client that was late with a probe by more
    than STALL_TICKS of them (who does not ask cannot tell whether anybody would have answered),
    and `reference`, probes of a server beside the client, which answers whatever the directors do.
    """
    if until < since:
        raise ValueError(f"a span cannot end ({until}) before it begins ({since})")
    kept = list(samples)
    sent = [sample for sample in kept if since <= sample.sent_at <= until]
    answered = [sample for sample in sent if sample.answered_at is not None]
    times = sorted(s.answered_at for s in kept if s.answered_at is not None)
    inside = [since, *(time for time in times if since < time < until), until]
    stalls = _merged(
        [
            *_stalls(sorted(sample.sent_at for sample in kept), tick_s),
            *_stalls(sorted(s.answered_at for s in reference if s.answered_at is not None), tick_s),
        ]
    )
    gaps = [
        (later - earlier - _overlap(stalls, earlier, later), earlier)
        for earlier, later in pairwise(inside)
    ]
    longest, began = max(gaps, key=lambda gap: gap[0])
    latencies = sorted((s.answered_at or 0.0) - s.sent_at for s in answered)
    return Summary(
        longest_gap_ms=longest * 1000,
        gap_began_at=began,
        stalled_ms=max((_overlap([stall], since, until) for stall in stalls), default=0.0) * 1000,
        requests=len(sent),
        lost=len(sent) - len(answered),
        answers=dict(Counter(sample.server for sample in answered)),
        failures=dict(Counter(s.failure for s in sent if s.answered_at is None)),
        latency_ms_median=latencies[len(latencies) // 2] * 1000 if latencies else None,
    )


def held_against_somebody(
    samples: Iterable[Sample], reference: Iterable[Sample], *, tick_s: float
) -> list[Sample]:
    """All samples but those that were lost because the whole machine stood still.

    That is what it was where a probe of the reference, sent within a tick of it, was lost as well.
    """
    silent = sorted(sample.sent_at for sample in reference if sample.answered_at is None)

    def is_excused(sample: Sample) -> bool:
        nearest = bisect_left(silent, sample.sent_at - tick_s)
        near = nearest < len(silent) and silent[nearest] <= sample.sent_at + tick_s
        return sample.answered_at is None and near

    return [sample for sample in samples if not is_excused(sample)]


def _stalls(times: Sequence[float], tick_s: float | None) -> list[tuple[float, float]]:
    """The times in which something should have happened every tick and did not: begin and end."""
    if tick_s is None:
        return []
    return [
        (earlier + tick_s, later)
        for earlier, later in pairwise(times)
        if later - earlier > (1 + STALL_TICKS) * tick_s
    ]


def _merged(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same spans of time, none overlapping another."""
    merged: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _overlap(stalls: Iterable[tuple[float, float]], since: float, until: float) -> float:
    """How much of a span lies within the stalls, in seconds."""
    return sum(max(0.0, min(end, until) - max(begin, since)) for begin, end in stalls)
