"""From single results to a verdict that does not flap: the rise/fall machine.

The problem: one lost packet must not take a server out, and one lucky answer must not bring it
back. The approach: three states and two counters.

    unknown --pass--> up        the first result decides at once: an unknown server counts as down
    unknown --fail--> down      already, so waiting would only keep a healthy server out
    up    --`fall` failures in a row--> down
    down  --`rise` passes in a row, over `up_after` at least--> up

A pass sets the count of failures to zero and the other way round. A failure that is *decisive*
(`Result.decisive`) needs no others. A server that was already in
service before anybody checked it is *adopted*: it starts up, and leaves like any other that is up.
With `manual_resume`, one that went from up to down is *held* there until somebody resumes it.

Time comes in with each result. This module must never read a clock, do I/O, or decide anything but
the state: weights, quorum and draining are somebody else's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from checkers.base import Result
from checkers.timing import Timing

ADOPTED = "it was in service before its first check, and stays until checks fail"
NOT_CHECKED = "not checked yet"
RESUMED_BY = "`hadirector enable SERVICE/SERVER` resumes it"


class State(StrEnum):
    """The verdict on a server; everything but `up` means that it gets no new clients."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


_INITIALLY = {
    State.UNKNOWN: NOT_CHECKED,
    State.UP: "not checked yet, and up until checks fail (`initial: up`)",
    State.DOWN: "not checked yet, and down until checks pass (`initial: down`)",
}


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

    __slots__ = (
        "_passing_since",
        "_timing",
        "failures",
        "held_since",
        "passes",
        "sentence",
        "since",
        "state",
    )

    def __init__(self, timing: Timing, *, since: float, adopted: bool = False) -> None:
        """Start as the timing says, or up if `adopted`, at Unix time `since`."""
        self._timing = timing
        self._passing_since = 0.0  # of the monotonic clock; of meaning while passes > 0
        self.state = State.UP if adopted else State(timing.initial)
        self.since = since
        """Unix time since when the state holds."""
        self.passes = 0
        """Passes in a row, up to now."""
        self.failures = 0
        """Failures in a row, up to now."""
        self.held_since: float | None = None
        """Unix time since when it waits for somebody to resume it; None: it does not."""
        self.sentence = ADOPTED if adopted else _INITIALLY[self.state]
        """Why the state is what it is."""

    def handle(self, result: Result, now: float) -> Transition | None:
        """Take one result, at `now` seconds of a monotonic clock; the transition, if it made one.

        Now and not `result.at` says how long passes have been coming: that clock may be set.
        """
        if result.healthy:
            if not self.passes:
                self._passing_since = now
            self.passes += 1
            self.failures = 0
        else:
            self.failures += 1
            self.passes = 0
        return self._decide(result, now)

    def resume(self, result: Result | None, now: float) -> Transition | None:
        """Hold it down no longer. `result`: the last one, which decides if it passed long enough.

        The transition, if it is up by that.
        """
        self.held_since = None
        return self._decide(result, now) if result is not None and result.healthy else None

    def revise(self, timing: Timing) -> None:
        """Go on under another definition of the check: the state stays, the counting begins anew.

        So a reload that changes a check takes no server out; only results under the new definition
        do.
        """
        self._timing = timing
        self.passes = 0
        self.failures = 0
        if not timing.manual_resume:
            self.held_since = None

    def restore(
        self,
        state: State,
        *,
        since: float,
        sentence: str,
        passes: int,
        failures: int,
        held_since: float | None,
    ) -> None:
        """Go on where another machine ended (`checkers.memory`), at a time not known here."""
        self.state, self.since, self.sentence = state, since, sentence
        # How long passes had been coming cannot be known on another clock: they begin anew.
        self.passes = 0 if self._timing.up_after else passes
        self.failures = failures
        self.held_since = held_since

    @property
    def manual_resume(self) -> bool:
        """Whether one that goes down is held there."""
        return self._timing.manual_resume

    @property
    def interval(self) -> float:
        """Seconds to the next probe, by the state and by whether it is about to change."""
        timing = self._timing
        if self.state is State.UP:
            changing = self.failures > 0
        elif self.state is State.DOWN:
            changing = self.passes > 0 and self.held_since is None
        else:
            changing = True
        if changing and timing.fast_interval is not None:
            return timing.fast_interval
        if self.state is State.DOWN and not changing and timing.down_interval is not None:
            return timing.down_interval
        return timing.interval

    @property
    def outlook(self) -> str:
        """What would change the state, such as "up after 2 passes in a row, 1 so far"."""
        timing = self._timing
        if self.state is State.UNKNOWN:
            return "the first result decides"
        if self.state is State.UP:
            return f"down after {_count(timing.fall, 'failure')}, {self.failures} so far"
        if self.held_since is not None:
            since = f"{datetime.fromtimestamp(self.held_since, UTC):%Y-%m-%d %H:%M:%S} UTC"
            return f"waits for manual resume since {since}: {RESUMED_BY}"
        lasting = f" over {timing.up_after:g} s" if timing.up_after else ""
        return f"up after {_count(timing.rise, 'pass')}{lasting}, {self.passes} so far"

    def _decide(self, result: Result, now: float) -> Transition | None:
        after = self._verdict(now, decisive=result.decisive)
        if after is self.state:
            return None
        transition = Transition(
            before=self.state,
            after=after,
            at=result.at,
            sentence=self._explain(result),
            result=result,
        )
        if self._timing.manual_resume and self.state is State.UP:
            self.held_since = result.at
        self.state = after
        self.since = result.at
        self.sentence = transition.sentence
        return transition

    def _verdict(self, now: float, *, decisive: bool) -> State:
        if self.state is State.UNKNOWN:
            return State.UP if self.passes else State.DOWN
        if self.state is State.UP:
            return State.DOWN if decisive or self.failures >= self._timing.fall else State.UP
        if self.held_since is not None or self.passes < self._timing.rise:
            return State.DOWN
        lasted = now - self._passing_since >= (self._timing.up_after or 0.0)
        return State.UP if lasted else State.DOWN

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
