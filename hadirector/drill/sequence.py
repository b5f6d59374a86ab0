"""The order of a drill on a running pair: steps with what puts each back. Pure.

The problem: a fault made on purpose must end, whatever becomes of whoever wanted it. The approach:
a machine that knows what was begun. Each step may have an undo, and what was begun is put back in
reverse order: at the end, on request, on a failed step, and when the time is up. A step counts as
begun before its action is carried out, so that one cut short half-way is put back as well; so an
undo must be harmless where there is nothing to put back.

It must never carry out anything, read a clock, or forget an undo because another one failed.
"""

from __future__ import annotations

from collections.abc import Sequence as Steps
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

STEPS_MAX = 100


@dataclass(frozen=True, slots=True)
class Run:
    """A command; it must end with one of these exit `statuses`, within `bound_s`."""

    argv: tuple[str, ...]
    statuses: tuple[int, ...] = (0,)
    bound_s: float = 10.0

    def __str__(self) -> str:
        """As one would type it."""
        return " ".join(self.argv)


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal to a process, if it still is the one that began at `started` (proc(5), field 22)."""

    pid: int
    started: int
    name: str

    def __str__(self) -> str:
        """As one would type it."""
        return f"kill -{self.name.removeprefix('SIG')} {self.pid}"


Action: TypeAlias = Run | Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that is done, what puts it back (None: by itself), and how long it lasts at most.

    A step that does nothing (`act` is None) keeps something that may be lost: its undo restores it.
    """

    text: str
    act: Action | None
    undo: Action | None = None
    hold_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Perform:
    """Effect: carry out the action of a step; tell with `performed` or `failed`."""

    number: int


@dataclass(frozen=True, slots=True)
class PutBack:
    """Effect: carry out the undo of a step; tell with `put_back`."""

    number: int


@dataclass(frozen=True, slots=True)
class End:
    """Effect: it is over. `why` is empty where all went as planned."""

    why: str


Effect: TypeAlias = Perform | PutBack | End


class Phase(StrEnum):
    """Where a sequence is."""

    WAITING = "waiting"  # nothing was begun
    ACTING = "acting"
    HOLDING = "holding"  # a step lasts
    UNDOING = "undoing"
    ENDED = "ended"


class Sequence:
    """The machine. Every call returns what is to be done next; times are seconds."""

    def __init__(self, steps: Steps[Step], *, limit_s: float) -> None:
        if not 0 < len(steps) <= STEPS_MAX:
            raise ValueError(f"{len(steps)} steps are outside 1..{STEPS_MAX}")
        self.steps = tuple(steps)
        self.phase = Phase.WAITING
        self.why = ""
        self.not_put_back: list[int] = []
        self._limit_s = limit_s
        self._limit_at: float | None = None
        self._hold_until: float | None = None
        self._at = 0
        self._begun: list[int] = []

    def begin(self, now: float) -> list[Effect]:
        """The first step."""
        if self.phase is not Phase.WAITING:
            raise ValueError(f"a sequence begins once, and this one is {self.phase}")
        self._limit_at = now + self._limit_s
        return self._act()

    def performed(self, now: float) -> list[Effect]:
        """The action under way is done."""
        if self.phase is not Phase.ACTING:
            return []  # it was aborted meanwhile, and is put back
        self.phase = Phase.HOLDING
        self._hold_until = now + self.steps[self._at].hold_s
        return self.elapsed(now)

    def enough(self, now: float) -> list[Effect]:
        """What was to be seen has been seen: a step need not last longer."""
        if self.phase is not Phase.HOLDING:
            return []
        self._hold_until = now
        return self.elapsed(now)

    def put_all_back(self, why: str) -> list[Effect]:
        """Instead of `begin`: the undo of every step, for whoever was to do it is gone."""
        if self.phase is not Phase.WAITING:
            raise ValueError(f"this sequence is {self.phase}")
        self._begun = [n for n, step in enumerate(self.steps) if step.undo is not None]
        return self.abort(why)

    def failed(self, why: str) -> list[Effect]:
        """The action under way failed: nothing further is begun."""
        return self.abort(f"{self.steps[self._at].text}: {why}")

    def elapsed(self, now: float) -> list[Effect]:
        """Time went by."""
        if self._limit_at is not None and now >= self._limit_at:
            return self.abort(f"not done within {self._limit_s:g} s")
        if self.phase is Phase.HOLDING and self._hold_until is not None and now >= self._hold_until:
            self._at += 1
            return self._act() if self._at < len(self.steps) else self._undo()
        return []

    def abort(self, why: str) -> list[Effect]:
        """Somebody wants it to end: put everything back. Harmless when that is under way."""
        if self.phase in (Phase.UNDOING, Phase.ENDED):
            return []
        self.why = why
        return self._undo()

    def put_back(self, number: int, *, why_not: str = "") -> list[Effect]:
        """One undo was carried out, or failed; the others follow whatever became of it."""
        if self.phase is not Phase.UNDOING:
            return []
        if why_not:
            self.not_put_back.append(number)
            said = f"{self.steps[number].text} is not put back: {why_not}"
            self.why = f"{self.why}; {said}" if self.why else said
        return self._undo()

    def next_deadline(self) -> float | None:
        """When `elapsed` should be called; None: not before something else happens."""
        if self.phase not in (Phase.ACTING, Phase.HOLDING):
            return None
        times = [at for at in (self._limit_at, self._hold_until) if at is not None]
        return min(times, default=None)

    def _act(self) -> list[Effect]:
        self.phase = Phase.ACTING
        self._hold_until = None
        if self.steps[self._at].undo is not None:
            self._begun.append(self._at)
        return [Perform(self._at)]

    def _undo(self) -> list[Effect]:
        self.phase = Phase.UNDOING
        if self._begun:
            return [PutBack(self._begun.pop())]
        self.phase = Phase.ENDED
        return [End(self.why)]
