"""The last results of one check, failures preferred.

The problem: "why did it fail last night?" must be answered although thousands of passes came since.
The approach: failures and passes are kept in two short rings, so that passes never push failures
out. Must never grow.
"""

from __future__ import annotations

from collections import deque
from operator import itemgetter

from checkers import limits
from checkers.base import Result


class History:
    """Bounded; results come in order and go out in order."""

    __slots__ = ("_failures", "_passes", "failed", "passed")

    def __init__(self) -> None:
        self._failures: deque[tuple[int, Result]] = deque(maxlen=limits.HISTORY_FAILURES_MAX)
        self._passes: deque[tuple[int, Result]] = deque(maxlen=limits.HISTORY_PASSES_MAX)
        self.passed = 0
        """Passes since the check began."""
        self.failed = 0
        """Failures since the check began."""

    def add(self, result: Result) -> None:
        """Keep a result; the oldest of its sort makes room."""
        if result.healthy:
            self.passed += 1
            self._passes.append((self.passed + self.failed, result))
        else:
            self.failed += 1
            self._failures.append((self.passed + self.failed, result))

    def copy(self) -> History:
        """Another one that begins with the same."""
        other = History()
        other._failures.extend(self._failures)
        other._passes.extend(self._passes)
        other.passed, other.failed = self.passed, self.failed
        return other

    def recall(self, passed: int, failed: int, results: tuple[Result, ...]) -> None:
        """Begin with what was there before a restart; the results count among the numbers."""
        self.passed = self.failed = 0
        for result in results:
            self.add(result)
        self.passed = max(self.passed, passed)
        self.failed = max(self.failed, failed)

    def results(self) -> tuple[Result, ...]:
        """What is kept, oldest first."""
        kept = sorted((*self._failures, *self._passes), key=itemgetter(0))
        return tuple(result for _, result in kept)

    def last(self) -> Result | None:
        """The newest result."""
        newest = max(
            (ring[-1] for ring in (self._failures, self._passes) if ring),
            default=None,
            key=itemgetter(0),
        )
        return None if newest is None else newest[1]
