"""Decides when a child process counts as frozen, and how long to wait before it is started again.

A child that hangs is worse than one that died, because nothing tells; so every child sends
heartbeats and has a deadline that each of them moves on. A child that dies is started again at
once the first time; one that keeps dying is started ever more slowly, so that a fault that cannot
heal by itself does not burn the machine. Pure: the time comes in as an argument (seconds,
monotonic).
"""

from __future__ import annotations

from dataclasses import dataclass

from hadirector import limits

RESTART_DELAY_FIRST_S = 0.5
RESTART_DELAY_MAX_S = 30.0
GOOD_RUN_S = 60.0  # a child that lived this long has earned an immediate restart


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a child may be silent, in seconds."""

    start_s: float  # from its start to its first heartbeat
    heartbeat_s: float  # between two heartbeats
    stop_s: float  # from the request to stop to its end


class Watch:
    """The life of one child as its supervisor sees it."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._former = patience  # holds beside the new one until `_former_until`
        self._former_until = 0.0
        self._started_at = 0.0
        self._deaths_in_a_row = 0
        self.deadline = float("inf")  # silent until then: frozen
        self.exceeded = ""  # what it did not do in time, once it is frozen
        self.restarts = 0

    def change_patience(self, patience: Patience, now: float) -> None:
        """Take another patience from the next heartbeat on.

        The child hears of it a moment later, and its next heartbeat may still come at its old pace:
        for as long as that can be, the longer of the two patiences holds.
        """
        self._former, self._former_until = self._patience, now + self._patience.heartbeat_s
        self._patience = patience

    def started(self, now: float) -> None:
        """Note that the child was started."""
        self._started_at = now
        self._former_until = 0.0
        start_s = self._patience.start_s
        self._allow(now + start_s, f"gave no sign of life within {start_s:g} s of its start")

    def heard(self, now: float) -> None:
        """Note a heartbeat."""
        heartbeat_s = self._patience.heartbeat_s
        if now < self._former_until:
            heartbeat_s = max(heartbeat_s, self._former.heartbeat_s)
        self._allow(now + heartbeat_s, f"gave no sign of life for {heartbeat_s:g} s")

    def stopping(self, now: float) -> None:
        """Note that the child was asked to stop."""
        stop_s = self._patience.stop_s
        self._allow(now + stop_s, f"did not end within {stop_s:g} s of being asked to")

    def is_frozen(self, now: float) -> bool:
        """Tell whether the child has been silent for longer than it may."""
        return now >= self.deadline

    def grace_s(self, now: float) -> float:
        """How long to look once more before the verdict, past the deadline.

        As long as we noticed it late, at least: where this process got no processor, the child got
        none either, and its heartbeat is still to come. Never longer than another patience.
        """
        late_s = now - self.deadline
        return min(max(limits.HEARTBEAT_GRACE_S, late_s), self._patience.heartbeat_s)

    def died(self, now: float) -> float:
        """Note the child's end; return the seconds to wait before it is started again."""
        self.deadline = float("inf")
        self.restarts += 1
        if now - self._started_at >= GOOD_RUN_S:
            self._deaths_in_a_row = 0
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row == 1:
            return 0.0
        doublings = min(self._deaths_in_a_row - 2, 16)  # 2**16 half seconds is past any bound
        return min(RESTART_DELAY_FIRST_S * 2.0**doublings, RESTART_DELAY_MAX_S)

    def _allow(self, deadline: float, exceeded: str) -> None:
        self.deadline, self.exceeded = deadline, exceeded
