"""One probe's stopwatch and transcript.

The problem: "why did this check fail?" must be answered by the product, yet a probe that passes,
as nearly all do, must not pay for it. The approach: a probe notes its steps as format and arguments
with the time; they become text only if the probe fails or somebody asked. Both the number of lines
and their length are bounded, and what a server sent is made printable first.

Must never raise because of what a server sent.
"""

from __future__ import annotations

import time

from checkers import limits
from checkers.base import Advice, ProbeError, Reason, Result


class Failure(Exception):  # noqa: N818 - a verdict on a server, not an error of ours
    """Raised inside a probe when the verdict is known; becomes a Result that is not healthy."""

    def __init__(self, reason: Reason, what: str) -> None:
        super().__init__(what)
        self.reason = reason
        self.what = what
        """What happened, without layer and time: "connection refused"."""


class Recording:
    """From the start of a probe to its Result. Made when the probe starts."""

    __slots__ = ("_keep", "_notes", "_started")

    def __init__(self, *, keep_transcript: bool = False) -> None:
        self._keep = keep_transcript
        self._notes: list[tuple[float, str, tuple[object, ...]]] = []
        self._started = time.monotonic()

    def note(self, text: str, *values: object) -> None:
        """Note one step; `text` with `%s` for each value, formatted only when it is needed."""
        if len(self._notes) < limits.TRANSCRIPT_LINES_MAX:
            self._notes.append((time.monotonic(), text, values))

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def check_punctual(self, timeout_s: float) -> None:
        """To be called when a deadline has come, before a server is blamed for missing it.

        Raises ProbeError if this process was not awake when it came (a stalled host, a pause of
        the virtual machine): the answer may have been there in time, unread.
        """
        late_s = self.elapsed_s - timeout_s
        if late_s > limits.DEADLINE_LATE_S:
            raise ProbeError(f"stalled: the deadline was noticed {late_s:.1f} s late")

    def passed(self, what: str, advice: Advice | None = None) -> Result:
        """The result of a pass; `what` such as "connected"."""
        latency_ms = self.elapsed_s * 1000
        return Result(
            healthy=True,
            reason=Reason.OK,
            sentence=f"{what} in {milliseconds(latency_ms)}",
            latency_ms=latency_ms,
            at=time.time(),
            advice=advice,
            transcript=self._transcript() if self._keep else (),
        )

    def failed(self, failure: Failure) -> Result:
        """The result of a failure."""
        latency_ms = self.elapsed_s * 1000
        sentence = f"{failure.what} ({failure.reason.layer}) after {milliseconds(latency_ms)}"
        self.note("%s", sentence)
        return Result(
            healthy=False,
            reason=failure.reason,
            sentence=sentence,
            latency_ms=latency_ms,
            at=time.time(),
            transcript=self._transcript(),
        )

    def _transcript(self) -> tuple[str, ...]:
        lines = []
        for at, text, values in self._notes:
            line = text % values
            if len(line) > limits.TRANSCRIPT_LINE_CHARACTERS_MAX:
                line = line[: limits.TRANSCRIPT_LINE_CHARACTERS_MAX] + "…"
            lines.append(f"{(at - self._started) * 1000:9.1f} ms  {line}")
        return tuple(lines)


def milliseconds(value: float) -> str:
    """`0.3 ms`, `12.0 ms`, `1500 ms`."""
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def quoted(data: bytes, characters_max: int = 80) -> str:
    """What a server sent, quoted, made harmless as by `plain`."""
    return f'"{plain(data, characters_max)}"'


def plain(data: bytes, characters_max: int = 80) -> str:
    """What a server sent, for people: bounded, and with nothing that a terminal would obey."""
    shown: list[str] = []
    room = characters_max
    for character in data[: 4 * characters_max + 1].decode("utf-8", "replace"):
        written = character if character.isprintable() else repr(character)[1:-1]
        room -= len(written)
        if room < 0:
            return "".join(shown) + "…"
        shown.append(written)
    return "".join(shown)
