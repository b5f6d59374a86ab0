"""Which check worker makes which probe, and what it has to be told. Pure.

The problem: a reload or another number of workers should move as few probes as possible, and a
worker that was started again must be told all of its probes, one that goes on only what changed.
The approach: a consistent hash of the probe's digest picks the worker (Lamping and Veach, "A fast,
minimal memory, consistent hash algorithm", 2014): with one worker more, only what goes to the new
one moves. Each worker has a ledger of what it makes, and of what it has not been told yet.

Must never use a number twice: it is what tells late results of a dropped probe from those of a
later one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from checkers import limits
from checkers.check import Check
from checkers.wire import Assigned, Drop, Message, Pace, Take

_STEP = 2862933555777941757
_64_BITS = (1 << 64) - 1


def shard_of(digest: str, shards: int) -> int:
    """The shard of a digest (in hex), from 0 to below `shards`, which is at least 1."""
    key = int(digest[:16], 16)
    place, jump = 0, 0
    while jump < shards:
        place = jump
        key = (key * _STEP + 1) & _64_BITS
        jump = int((place + 1) * ((1 << 31) / ((key >> 33) + 1)))
    return place


class Ledger:
    """The probes of one worker."""

    def __init__(self) -> None:
        self._probes: dict[int, Assigned] = {}
        self._numbers: dict[str, int] = {}  # by digest
        self._last = 0
        self._to_take: dict[int, None] = {}
        self._to_pace: dict[int, float] = {}
        self._to_drop: dict[int, None] = {}
        self._told: set[int] = set()

    def __len__(self) -> int:
        return len(self._probes)

    @property
    def probes(self) -> Mapping[int, Assigned]:
        """What the worker makes, by number."""
        return self._probes

    def digest_of(self, number: int) -> str | None:
        """Of a probe that the worker makes; None: it has been dropped."""
        probe = self._probes.get(number)
        return None if probe is None else probe.digest

    def take(self, digest: str, check: Check, interval_s: float) -> None:
        """Have the worker make this one, soon and at this pace."""
        number = self._numbers.get(digest)
        if number is None:
            number = self._last = self._last + 1
            self._numbers[digest] = number
        self._probes[number] = Assigned(number, digest, check, interval_s)
        self._to_take[number] = None
        self._to_pace.pop(number, None)

    def pace(self, digest: str, interval_s: float) -> None:
        """Have it made at this pace, if that is news."""
        number = self._numbers[digest]
        probe = self._probes[number]
        if probe.interval_s == interval_s:
            return
        self._probes[number] = replace(probe, interval_s=interval_s)
        if number not in self._to_take:
            self._to_pace[number] = interval_s

    def drop(self, digest: str) -> None:
        """Have it made no more."""
        number = self._numbers.pop(digest)
        del self._probes[number]
        self._to_take.pop(number, None)
        self._to_pace.pop(number, None)
        if number in self._told:
            self._told.discard(number)
            self._to_drop[number] = None

    def all(self) -> Iterator[Message]:
        """What a new worker has to be told: everything. Nothing is left to tell after that."""
        self._told.clear()
        self._to_take = dict.fromkeys(self._probes)
        self._to_pace.clear()
        self._to_drop.clear()
        yield from self.news()

    def news(self) -> Iterator[Message]:
        """What the worker has not been told yet; after that it has."""
        drop, pace, take = self._to_drop, self._to_pace, self._to_take
        self._to_drop, self._to_pace, self._to_take = {}, {}, {}
        self._told.update(take)
        if drop:
            yield Drop(tuple(drop))
        probes = [self._probes[number] for number in take]
        for first in range(0, len(probes), limits.WORKER_TAKES_AT_ONCE_MAX):
            yield Take(probes[first : first + limits.WORKER_TAKES_AT_ONCE_MAX])
        if pace:
            yield Pace(pace)
