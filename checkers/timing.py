"""How often a check runs, and what it takes to change its verdict.

Must never read a clock: this is what is written down, and `timetable` and `health` go by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le, Unit, doc

from checkers.base import OptionError

Seconds = Annotated[float, Unit("s")]
"""A duration; a configuration may write it with its unit, such as `500ms` or `2s`."""

Interval = Annotated[Seconds, Ge(0.05), Le(3600)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How often a check runs and what it takes to change its verdict."""

    interval: Annotated[
        Seconds, Ge(0.05), Le(3600), doc("Time from one probe to the next of the same check.")
    ] = 2.0
    timeout: Annotated[
        Seconds,
        Ge(0.01),
        Le(3600),
        doc("A probe without a verdict after this time has failed; at most the interval."),
    ] = 1.0
    rise: Annotated[
        int, Ge(1), Le(1000), doc("Passes in a row that bring a server back that was down.")
    ] = 2
    fall: Annotated[
        int, Ge(1), Le(1000), doc("Failures in a row that take a server out that was up.")
    ] = 3

    fast_interval: Annotated[
        Interval | None,
        doc(
            "The interval while the verdict is about to change: not known yet, or failures of a "
            "server that is up, or passes of one that is down. Unwritten: as ever."
        ),
    ] = None
    down_interval: Annotated[
        Interval | None, doc("The interval while the server is down. Unwritten: as ever.")
    ] = None
    spread: Annotated[
        Annotated[Seconds, Ge(0), Le(3600)] | None,
        doc(
            "How much of the interval the probes of all checks are spread over. Unwritten: all of "
            "it; `0s`: all at the same moment."
        ),
    ] = None
    initial: Annotated[
        Literal["unknown", "up", "down"],
        doc(
            "What a server is before it was checked. `unknown`: out, and the first result decides; "
            "`up`: in, until it fails; `down`: out, until it has passed `rise` times. One that the "
            "kernel serves already when the daemon starts is up in any case."
        ),
    ] = "unknown"
    up_after: Annotated[
        Annotated[Seconds, Ge(0), Le(86_400)] | None,
        doc("A server that was down must have passed for this long, too, before it is up again."),
    ] = None
    manual_resume: Annotated[
        bool,
        doc(
            "Whether a server that went down stays down, whatever its checks say, until somebody "
            "says `hadirector enable`."
        ),
    ] = False

    def __post_init__(self) -> None:
        for name, interval in self.intervals:
            if self.timeout > interval:
                raise OptionError(
                    "timeout",
                    f"the timeout ({self.timeout:g} s) is above the {name} ({interval:g} s): "
                    "two probes of one check never run at once",
                )
        if self.fast_interval is not None and self.fast_interval > self.interval:
            raise OptionError(
                "fast_interval",
                f"{self.fast_interval:g} s is no faster than the interval ({self.interval:g} s)",
            )

    @property
    def intervals(self) -> Iterator[tuple[str, float]]:
        """Every interval that is written, with what it is called."""
        yield "interval", self.interval
        if self.fast_interval is not None:
            yield "fast interval", self.fast_interval
        if self.down_interval is not None:
            yield "down interval", self.down_interval
