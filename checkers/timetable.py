"""When which check is due: one heap for all of them.

The problem: ten thousand checks started together would probe together for ever, and a daemon that
restarts would bunch them again. The approach: each check has a fixed *phase* within its interval,
computed from its key, on a grid counted from the clock's zero. So the probes of many checks are
spread evenly, and a restart finds the same places.

A new check does not wait for its place on the grid: its first probe comes within
`limits.FIRST_ROUND_S`, the second on the grid, half an interval later at least. Of many that are
new together, the first probes come in the order of the caller: neighbours there belong together,
and what is to be decided of them is decided once. A check that was taken is not due again until it
is handed back with `done`: so two probes of one check never run at once, and a slow one delays only
its own next.

Time is always an argument (seconds on a monotonic clock). This module must never read a clock, and
never holds more heap entries than a small multiple of its checks.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from dataclasses import dataclass

from checkers import limits

_TAKEN = -1
_STALE_ENTRIES_MIN = 64


@dataclass(slots=True)
class _Slot:
    interval_s: float
    share: float
    spread_s: float  # of the interval, how much the phase may take
    due: float
    former: float | None  # when it was due before that
    serial: int  # of the slot's one valid heap entry, or _TAKEN while its probe is under way


def phase(key: str) -> float:
    """A number in [0, 1) that is always the same for one key and spread evenly over many."""
    value = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=6).digest(), "big")
    return value / (1 << 48)


class Timetable:
    """The times of all checks, by key."""

    def __init__(self) -> None:
        self._slots: dict[str, _Slot] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._serial = 0
        self._shortest_s = math.inf  # of the intervals there were

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def grain_s(self) -> float:
        """How much earlier than due a check may be taken together with others."""
        return min(limits.TIMER_GRAIN_S, limits.TIMER_GRAIN_SHARE * self._shortest_s)

    def add(
        self,
        key: str,
        interval_s: float,
        now: float,
        *,
        spread_s: float | None = None,
        turn: float | None = None,
    ) -> None:
        """Enter a check, or enter it anew with another interval; its first probe comes soon.

        `spread_s`: how much of the interval its place may take; None: all of it. `turn`: how many
        of those entered together come before it, as a share of all, in [0, 1); None: its phase.
        """
        share = phase(key)
        spread_s = math.inf if spread_s is None else spread_s
        first = share if turn is None else turn
        due = now + first * min(interval_s, limits.FIRST_ROUND_S, spread_s)
        slot = _Slot(interval_s, share, spread_s, due, None, _TAKEN)
        self._slots[key] = slot
        self._shortest_s = min(self._shortest_s, interval_s)
        self._push(key, slot)

    def remove(self, key: str) -> None:
        """Forget a check, taken or not. Raises KeyError if it is not there."""
        del self._slots[key]  # its heap entry is stale now: skipped when it comes up

    def take(self, now: float, most: int) -> list[str]:
        """At most `most` checks that are due, in the order they became due; each is taken."""
        taken: list[str] = []
        while len(taken) < most:
            due = self.next_due()
            if due is None or due > now:
                break
            _, _, key = heapq.heappop(self._heap)
            self._slots[key].serial = _TAKEN
            taken.append(key)
        return taken

    def done(self, key: str, now: float, interval_s: float | None = None) -> None:
        """Hand a taken check back; it is due at its next place on the grid after `now`.

        `interval_s`: the interval, and with it the grid, from now on; None: as before.
        """
        slot = self._slots[key]
        if slot.serial != _TAKEN:
            raise ValueError(f"check {key!r} was not taken")
        if interval_s is not None:
            self._set_interval(slot, interval_s)
        slot.former = slot.due
        self._to_the_grid(key, slot, slot.former, now)

    def pace(self, key: str, now: float, interval_s: float) -> None:
        """Have another interval from now on, as if it had come with the last `done`."""
        slot = self._slots[key]
        if slot.interval_s == interval_s:
            return
        self._set_interval(slot, interval_s)
        # One that is taken is put there by `done`, and one that is new comes soon in any case.
        if slot.serial != _TAKEN and slot.former is not None:
            self._to_the_grid(key, slot, slot.former, now)

    def _set_interval(self, slot: _Slot, interval_s: float) -> None:
        slot.interval_s = interval_s
        self._shortest_s = min(self._shortest_s, interval_s)

    def _to_the_grid(self, key: str, slot: _Slot, former: float, now: float) -> None:
        phase_s = slot.share * min(slot.interval_s, slot.spread_s)
        after = max(now, former + slot.interval_s / 2)
        steps = math.floor((after - phase_s) / slot.interval_s) + 1
        slot.due = phase_s + steps * slot.interval_s
        self._push(key, slot)

    def hasten(self, key: str, due: float) -> bool:
        """Have a check due at `due`, out of turn; False if it is taken, or due before."""
        slot = self._slots[key]
        if slot.serial == _TAKEN or slot.due <= due:
            return False
        slot.due = due
        self._push(key, slot)
        return True

    def next_due(self) -> float | None:
        """When the next check is due; None if every check is taken or there is none."""
        while self._heap:
            due, serial, key = self._heap[0]
            slot = self._slots.get(key)
            if slot is not None and slot.serial == serial:
                return due
            heapq.heappop(self._heap)
        return None

    def _push(self, key: str, slot: _Slot) -> None:
        self._serial += 1
        slot.serial = self._serial
        heapq.heappush(self._heap, (slot.due, slot.serial, key))
        if len(self._heap) > 2 * len(self._slots) + _STALE_ENTRIES_MIN:
            self._heap = [
                (slot.due, slot.serial, key)
                for key, slot in self._slots.items()
                if slot.serial != _TAKEN
            ]
            heapq.heapify(self._heap)
