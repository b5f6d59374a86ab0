"""From single results to a verdict that does not flap: the rise/fall machine.

The problem: one lost packet must not take a server out, and one lucky answer must not bring it
back. The approach: three states and two counters.

    unknown --pass--> up        the first result decides at once: an unknown server counts as down
    unknown --fail--> down      already, so waiting would only keep a healthy server out
    up    --`fall` failures in a row--> down
    down  --`rise` passes in a row--> up

A pass sets the count of failures to zero and the other way round. A server that was already in
service before anybody checked it is *adopted*: it starts up, and leaves like any other that is up.

Time comes in with each result. This module must never read a clock, do I/O, or decide anything but
the state: weights, quorum and draining are somebody else's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from checkers.base import Result, Timing

ADOPTED = "it was in service before its first check, and stays until checks fail"
NOT_CHECKED = "not checked yet"


class State(StrEnum):
    """The verdict on a server; everything but `up` means that it gets no new clients."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of the verdict."""

    before: State
    after: State
    at: float
    """Unix time of the result that decided."""
    sentence: str
    """Why, such as "3 failures in a row, the last: connection refused (L4) after 0.3 ms"."""
    result: Result
    """The result that decided."""


class Health:
    """The machine of one check. Not thread-safe; one owner feeds it results in order."""

    __slots__ = ("_fall", "_rise", "failures", "passes", "sentence", "since", "state")

    def __init__(self, timing: Timing, *, since: float, adopted: bool = False) -> None:
        """Start unknown, or up if `adopted`, at Unix time `since`."""
        self._rise = timing.rise
        self._fall = timing.fall
        self.state = State.UP if adopted else State.UNKNOWN
        self.since = since
        """Unix time since when the state holds."""
        self.passes = 0
        """Passes in a row, up to now."""
        self.failures = 0
        """Failures in a row, up to now."""
        self.sentence = ADOPTED if adopted else NOT_CHECKED
        """Why the state is what it is."""

    def handle(self, result: Result) -> Transition | None:
        """Take one result; return the transition if it changed the verdict."""
        if result.healthy:
            self.passes += 1
            self.failures = 0
        else:
            self.failures += 1
            self.passes = 0
        after = self._verdict()
        if after is self.state:
            return None
        transition = Transition(
            before=self.state,
            after=after,
            at=result.at,
            sentence=self._explain(result),
            result=result,
        )
        self.state = after
        self.since = result.at
        self.sentence = transition.sentence
        return transition

    def revise(self, timing: Timing) -> None:
        """Go on under another definition of the check: the state stays, the counting begins anew.

        So a reload that changes a check takes no server out; only results under the new definition
        do.
        """
        self._rise = timing.rise
        self._fall = timing.fall
        self.passes = 0
        self.failures = 0

    @property
    def outlook(self) -> str:
        """What would change the state, such as "up after 2 passes in a row, 1 so far"."""
        if self.state is State.UNKNOWN:
            return "the first result decides"
        if self.state is State.UP:
            return f"down after {_count(self._fall, 'failure')}, {self.failures} so far"
        return f"up after {_count(self._rise, 'pass')}, {self.passes} so far"

    def _verdict(self) -> State:
        if self.state is State.UNKNOWN:
            return State.UP if self.passes else State.DOWN
        if self.state is State.UP:
            return State.DOWN if self.failures >= self._fall else State.UP
        return State.UP if self.passes >= self._rise else State.DOWN

    def _explain(self, result: Result) -> str:
        if self.state is State.UNKNOWN:
            return f"the first check {'passed' if result.healthy else 'failed'}: {result.sentence}"
        if self.passes + self.failures == 1:
            return f"1 {'pass' if result.healthy else 'failure'}: {result.sentence}"
        counted = (
            _count(self.passes, "pass") if result.healthy else _count(self.failures, "failure")
        )
        return f"{counted}, the last: {result.sentence}"


def _count(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'} in a row"
