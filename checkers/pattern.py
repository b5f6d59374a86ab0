"""Regular expressions on what a server sent, with a bound on the time they take.

The problem: Python's expressions backtrack; `.*a.*b` on the wrong text keeps a process busy for
minutes, and with it every other check. The approach: the search runs under a timer that counts the
processor time of this process and interrupts the search when it is used up.

A search that was cut off says nothing about the server: the expression is ours, so it is a
ProbeError. Must never leave the timer or the signal's handler changed.
"""

from __future__ import annotations

import re
import signal
from types import FrameType

from checkers import limits
from checkers.base import OptionError, ProbeError


class _CutOffError(Exception):
    """Raised in the middle of a search."""


def check_pattern(field: str, pattern: str) -> None:
    """Raise OptionError if this is no regular expression."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise OptionError(field, f"{pattern!r} is no regular expression: {error}") from error


def search(pattern: str, text: str) -> re.Match[str] | None:
    """`re.search`, within `limits.PATTERN_CPU_S`. To be called in the main thread.

    Raises ProbeError if it took longer, or if this is not the main thread.
    """
    compiled = re.compile(pattern)
    try:
        before = signal.signal(signal.SIGVTALRM, _cut_off)
    except ValueError as error:
        raise ProbeError("regular expressions are bounded in the main thread only") from error
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, limits.PATTERN_CPU_S)
        try:
            return compiled.search(text)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except _CutOffError:
        raise ProbeError(
            f"the expression {pattern!r} was still searching {len(text)} characters after "
            f"{limits.PATTERN_CPU_S * 1000:g} ms: write a simpler one"
        ) from None
    finally:
        # None: something that is not Python's had set it.
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL if before is None else before)


def _cut_off(_number: int, _frame: FrameType | None) -> None:
    raise _CutOffError
