"""How the benchmarks of failovers print: a row for what was measured, a column for each daemon."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path


def spread(values: Sequence[float | None], places: int = 0) -> str:
    """The median and the range; `never` where it did not happen."""
    found = [value for value in values if value is not None]
    if not found:
        return "never"
    never = len(values) - len(found)
    median, low, high = statistics.median(found), min(found), max(found)
    text = f"{median:.{places}f} ({low:.{places}f}-{high:.{places}f})"
    return f"{text} never {never}x" if never else text


def ratio(ours: Sequence[float | None], theirs: Sequence[float | None]) -> str:
    """Keepalived's median over ours; nothing where one of them is zero."""
    mine = [value for value in ours if value is not None]
    others = [value for value in theirs if value is not None]
    if not mine or not others:
        return ""
    medians = statistics.median(mine), statistics.median(others)
    return f"{medians[1] / medians[0]:.1f} x" if min(medians) >= 0.5 else ""


def row(what: str, ours: str, theirs: str, compared: str) -> None:
    """Print one row."""
    print(f"{what:<50}{ours:>20}{theirs:>28}{compared:>9}", flush=True)


def heading(title: str) -> None:
    """Print a heading."""
    print()
    row(title, "hadirector", "keepalived", "ratio")


def cpu_s(pid: int) -> float:
    """Processor time that the first thread of a process has used until now, in seconds.

    By the scheduler, in nanoseconds: the ticks of /proc/PID/stat are as long as what is measured.
    """
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
