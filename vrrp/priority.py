"""The priority of a virtual router as a sum that can be shown.

An operator who asks why a director yielded wants to read `base 150, -50 eth1 has no carrier = 100`.
So the sum is made here, once, from the trackers and what is known of each, and carries its own
sentence. What a weight can do at all is worked out here too, so that one that never changes an
election is found before it is relied on.

The rules. A negative weight counts while its tracker fails, a positive one while it is well, that
of a file is multiplied by the file's number. The sum stays within 1 and 254. An owner (255) is one
whatever its trackers say. A failing tracker without a weight is a fault.

This module is pure: it never looks at anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from vrrp.packet import PRIORITY_OWNER
from vrrp.tracked import Tracker

PRIORITY_LEAST: Final = 1
PRIORITY_MOST: Final = 254


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of a tracker."""

    failed: bool
    phrase: str
    """What it is like, in few words: `eth1 has no carrier`."""
    value: int = 0
    """The number in the file, where it is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """A priority, and how it came to be."""

    priority: int
    sentence: str
    """`base 150, -50 eth1 has no carrier = 100`."""
    weighed: int
    """The priority before any bound that a pair has agreed on."""
    fault: str | None = None
    """Why the virtual router cannot take part, if so."""


def add_up(base: int, readings: Iterable[tuple[Tracker, Reading]]) -> Sum:
    """Return the priority of a virtual router that has `base` in its configuration."""
    total, terms = base, [f"base {base}"]
    faults: list[str] = []
    for tracker, reading in readings:
        if tracker.weight is None:
            if reading.failed:
                faults.append(reading.phrase)
            continue
        term = _term(tracker, tracker.weight, reading)
        if term:
            total += term
            terms.append(f"{term:+d} {reading.phrase}")
    fault = "; ".join(faults) or None
    sentence = ", ".join(terms)
    if len(terms) == 1:
        return Sum(priority=base, weighed=base, sentence=sentence, fault=fault)
    if base == PRIORITY_OWNER:
        sentence = f"{sentence}: still {base}, since the owner of the addresses is not weighed"
        return Sum(priority=base, weighed=base, sentence=sentence, fault=fault)
    priority = _clamp(total)
    sentence = f"{sentence} = {total}"
    if priority != total:
        sentence = f"{sentence}, so {priority}"
    return Sum(priority=priority, weighed=priority, sentence=sentence, fault=fault)


def capped(found: Sum, at_most: int, because: str) -> Sum:
    """Return the sum with a bound that the pair has agreed on; the owner of addresses has none."""
    if found.priority <= at_most or found.priority == PRIORITY_OWNER:
        return found
    priority = max(PRIORITY_LEAST, at_most)
    sentence = f"{found.sentence}, {priority} at most: {because}"
    return replace(found, priority=priority, sentence=sentence)


def why_without_effect(
    tracker: Tracker, trackers: Sequence[Tracker], bases: Sequence[tuple[str, int]]
) -> str | None:
    """Say why the weight of `tracker` can never change an election; None: it can.

    `trackers` are all that count for the virtual router, `bases` the directors and their
    priorities. Every director has the same trackers, each for itself, and any of them may fail.
    """
    weight = tracker.weight
    if weight is None or tracker.file is not None or len(bases) < 2:
        return None
    if any(other.file is not None and other.weight is not None for other in trackers):
        return None  # the number in a file has no bounds, so nothing is certain
    weights = [other.weight for other in trackers if other.weight is not None]
    others = list(weights)
    others.remove(weight)
    for name, base in bases:
        for rival, rival_base in bases:
            if rival != name and _can_decide(
                _reachable(base, others), weight, _reachable(rival_base, weights)
            ):
                return None
    return _example(weight, bases)


def _term(tracker: Tracker, weight: int, reading: Reading) -> int:
    """What one tracker adds."""
    if tracker.file is not None:
        return weight * reading.value
    return weight if reading.failed == (weight < 0) else 0


def _clamp(total: int) -> int:
    return max(PRIORITY_LEAST, min(PRIORITY_MOST, total))


def _reachable(base: int, weights: Iterable[int]) -> set[int]:
    """Return every sum that some of the weights make."""
    if base == PRIORITY_OWNER:
        return {base}
    sums = {base}
    for weight in weights:
        sums |= {total + weight for total in sums}
    return sums


def _can_decide(own: set[int], weight: int, rivals: set[int]) -> bool:
    """Tell whether adding `weight` can change who of two is higher."""
    if PRIORITY_OWNER in own:
        return False
    rival_priorities = {r if r == PRIORITY_OWNER else _clamp(r) for r in rivals}
    for total in own:
        low, high = sorted((_clamp(total), _clamp(total + weight)))
        if low != high and any(low <= rival <= high for rival in rival_priorities):
            return True
    return False


def _example(weight: int, bases: Sequence[tuple[str, int]]) -> str:
    """Show the sum that would have to change something, and does not."""
    (best, most), (second, less) = sorted(bases, key=lambda item: -item[1])[:2]
    sign = f"{'-' if weight < 0 else '+'} {abs(weight)}"
    if PRIORITY_OWNER in (most, less):
        return f"{best} has priority 255, and the owner of the addresses is not weighed"
    if weight < 0:
        return f"{best}: {most} {sign} = {_clamp(most + weight)}, still above {second}'s {less}"
    return f"{second}: {less} {sign} = {_clamp(less + weight)}, still below {best}'s {most}"
