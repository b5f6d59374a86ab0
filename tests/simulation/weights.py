"""What the priorities of a simulated world depend on.

Each group may have trackers, the same on every director; each fails and recovers on its own. The
sum is made by the real arithmetic (`vrrp.priority`) and compared with the few lines here, which say
the same in another way.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from tests.simulation.violation import Violation
from vrrp.priority import Reading, Sum, add_up
from vrrp.tracked import Tracker

TRACKERS: Final = (
    (),
    (Tracker(process="uplink", weight=-100),),
    (Tracker(service="web", weight=-1), Tracker(route="default", weight=20)),
    (Tracker(service="web"), Tracker(process="uplink", weight=-60)),
)
"""What a group may have: nothing, a heavy one, two small ones, one whose failure is a fault."""


def sum_up(base: int, trackers: tuple[Tracker, ...], failing: Collection[int]) -> Sum:
    """The priority as the worker makes it; raises Violation if the sum is not what it should be."""
    readings = [
        (tracker, Reading(number in failing, tracker.name))
        for number, tracker in enumerate(trackers)
    ]
    found = add_up(base, readings)
    expected = _expected(base, trackers, failing)
    if found.priority != expected:
        raise Violation("weights", f"{found.sentence}, and it should be {expected}")
    faulty = any(trackers[number].weight is None for number in failing)
    if (found.fault is not None) is not faulty:
        raise Violation("weights", f"{found.sentence}: fault {found.fault}")
    return found


def _expected(base: int, trackers: tuple[Tracker, ...], failing: Collection[int]) -> int:
    if base == 255:
        return base
    total = base
    for number, tracker in enumerate(trackers):
        weight = tracker.weight or 0
        total += min(weight, 0) if number in failing else max(weight, 0)
    return base if total == base else min(254, max(1, total))
