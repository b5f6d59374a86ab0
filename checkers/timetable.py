"""When which check is due: one calendar for all of them.

The problem: ten thousand checks started together would probe together for ever, and a daemon that
restarts would bunch them again. The approach: each check has a fixed *phase* within its interval,
computed from its key, on a grid counted from the clock's zero. So the probes of many checks are
spread evenly, and a restart finds the same places.

Phases are rounded down to a *grain*, a small share of the interval: checks of one grain are due at
the same moment, stand in one row of the calendar, and cost one waking. So the calendar sorts
moments, of which there are few, and not checks.

A new check does not wait for its place on the grid: its first probe comes within
`limits.FIRST_ROUND_S`, the second on the grid, half an interval later at least. Of many that are
new together, the first probes come in the order of the caller: neighbours there belong together,
and what is to be decided of them is decided once. A check that was taken is not due again until it
is handed back with `done`: so two probes of one check never run at once, and a slow one delays only
its own next.

Time is always an argument (seconds on a monotonic clock). This module must never read a clock, and
never holds more entries than a small multiple of its checks.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import deque
from dataclasses import dataclass

from checkers import limits

_NEVER = math.inf
_STALE_ENTRIES_MIN = 64


@dataclass(slots=True, eq=False)
class _Slot:
    key: str
    interval_s: float
    share: float
    spread_s: float  # of the interval, how much the phase may take
    due: float = _NEVER  # _NEVER: its probe is under way, or it is gone
    former: float | None = None  # when it was due before that


def phase(key: str) -> float:
    """A number in [0, 1) that is always the same for one key and spread evenly over many."""
    value = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=6).digest(), "big")
    return value / (1 << 48)


class Timetable:
    """The times of all checks, by key."""

    def __init__(self) -> None:
        self._slots: dict[str, _Slot] = {}
        # An entry holds while its slot is due at the row's moment: one that was moved, taken or
        # removed is stale, and passed over when it comes up.
        self._rows: dict[float, deque[_Slot]] = {}
        self._moments: list[float] = []  # a heap: of each row, once
        self._entries = 0

    def __len__(self) -> int:
        return len(self._slots)

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
        if key in self._slots:
            self.remove(key)
        share = phase(key)
        spread_s = math.inf if spread_s is None else spread_s
        slot = self._slots[key] = _Slot(key, interval_s, share, spread_s)
        first = share if turn is None else turn
        within_s = min(interval_s, limits.FIRST_ROUND_S, spread_s)
        self._enter(slot, _on_a_grain(now + first * within_s, interval_s))

    def remove(self, key: str) -> None:
        """Forget a check, taken or not. Raises KeyError if it is not there."""
        self._slots.pop(key).due = _NEVER

    def take(self, now: float, most: int) -> list[str]:
        """At most `most` checks that are due, in the order they became due; each is taken."""
        taken: list[str] = []
        while len(taken) < most:
            due = self.next_due()
            if due is None or due > now:
                break
            slot = self._rows[due].popleft()
            self._entries -= 1
            slot.former, slot.due = due, _NEVER
            taken.append(slot.key)
        return taken

    def done(self, key: str, now: float, interval_s: float | None = None) -> None:
        """Hand a taken check back; it is due at its next place on the grid after `now`.

        `interval_s`: the interval, and with it the grid, from now on; None: as before.
        """
        slot = self._slots[key]
        if slot.due is not _NEVER or slot.former is None:
            raise ValueError(f"check {key!r} was not taken")
        if interval_s is not None:
            slot.interval_s = interval_s
        self._to_the_grid(slot, slot.former, now)

    def pace(self, key: str, now: float, interval_s: float) -> None:
        """Have another interval from now on, as if it had come with the last `done`."""
        slot = self._slots[key]
        if slot.interval_s == interval_s:
            return
        slot.interval_s = interval_s
        # One that is taken is put there by `done`, and one that is new comes soon in any case.
        if slot.due is not _NEVER and slot.former is not None:
            self._to_the_grid(slot, slot.former, now)

    def hasten(self, key: str, due: float) -> bool:
        """Have a check due at `due`, out of turn; False if it is taken, or due before."""
        slot = self._slots[key]
        if slot.due is _NEVER or slot.due <= due:
            return False
        self._enter(slot, due)
        return True

    def next_due(self) -> float | None:
        """When the next check is due; None if every check is taken or there is none."""
        while self._moments:
            due = self._moments[0]
            row = self._rows[due]
            while row:
                if row[0].due == due:
                    return due
                row.popleft()
                self._entries -= 1
            del self._rows[due]
            heapq.heappop(self._moments)
        return None

    def _to_the_grid(self, slot: _Slot, former: float, now: float) -> None:
        interval_s = slot.interval_s
        phase_s = _on_a_grain(slot.share * min(interval_s, slot.spread_s), interval_s)
        after = max(now, former + interval_s / 2)
        steps = math.floor((after - phase_s) / interval_s) + 1
        self._enter(slot, phase_s + steps * interval_s)

    def _enter(self, slot: _Slot, due: float) -> None:
        slot.due = due
        row = self._rows.get(due)
        if row is None:
            row = self._rows[due] = deque()
            heapq.heappush(self._moments, due)
        row.append(slot)
        self._entries += 1
        if self._entries > 2 * len(self._slots) + _STALE_ENTRIES_MIN:
            self._clear_up()

    def _clear_up(self) -> None:
        rows: dict[float, deque[_Slot]] = {}
        for due, row in self._rows.items():
            # One that was moved away and back again has two entries in one row.
            holding = dict.fromkeys(slot for slot in row if slot.due == due)
            if holding:
                rows[due] = deque(holding)
        self._rows = rows
        self._moments = sorted(rows)
        self._entries = sum(map(len, rows.values()))


def _on_a_grain(moment: float, interval_s: float) -> float:
    """The last moment before this one that checks of this interval come together at."""
    grain_s = min(limits.TIMER_GRAIN_S, limits.TIMER_GRAIN_SHARE * interval_s)
    return math.floor(moment / grain_s) * grain_s
