"""What happened, in order, with a sentence each: the journal.

Every transition, repair, refusal and fault becomes one event. The newest stay in memory for the
API, those of the process before included; all are appended to a file of one JSON object a line,
and shown on standard error for the host's own log. Thousands of servers may change at once, so that
within an event loop the lines of one turn of it are one write, made before the loop waits again; no
event is left out. A full disk must never stop a director, so a
file that cannot be written is noted (once, and on the journal itself) while everything goes on.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hadirector import limits
from hadirector.logs import Log

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened."""

    kind: (
        str  # "server", "quorum", "router", "repair", "reload", "process", "config", "journal", ...
    )
    sentence: str  # for a human
    at: float  # unix time, seconds
    subject: str | None = None  # the service, server or virtual router it is about
    details: Mapping[str, object] = field(default_factory=dict)


class Journal:
    """Keeps the newest events, appends all to a file, shows each on standard error."""

    def __init__(
        self,
        path: Path | None,
        *,
        clock: Callable[[], float] = time.time,
        file_bytes_max: int = limits.JOURNAL_FILE_BYTES_MAX,
    ) -> None:
        self._path = path
        self._clock = clock
        self._file_bytes_max = file_bytes_max
        self._log = Log()
        self._waiting: list[bytes] = []  # lines of this turn of the event loop
        self._events = deque(_recall(path), maxlen=limits.JOURNAL_EVENTS_MAX)
        self.trouble: str | None = None  # why the file cannot be written, while it cannot

    def add(
        self,
        kind: str,
        sentence: str,
        *,
        subject: str | None = None,
        at: float | None = None,
        **details: object,
    ) -> Event:
        """Note an event that happens now, or happened `at` an earlier unix time."""
        event = Event(
            kind=kind,
            sentence=sentence,
            at=self._clock() if at is None else at,
            subject=subject,
            details=details,
        )
        self._keep(event)
        if self._path is not None:
            self._append(self._path, event)
        return event

    def newest(self, count: int) -> list[Event]:
        """Return the last `count` events, oldest first."""
        return list(self._events)[-count:] if count > 0 else []

    def _keep(self, event: Event) -> None:
        self._events.append(event)
        about = {"subject": event.subject} if event.subject else {}
        self._log.info(event.sentence, kind=event.kind, **about)

    def _append(self, path: Path, event: Event) -> None:
        self._waiting.append((json.dumps(asdict(event), default=str) + "\n").encode())
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # nobody would come back to it
            self._flush(path)
            return
        if len(self._waiting) >= limits.JOURNAL_LINES_AT_ONCE_MAX:
            self._flush(path)
        elif len(self._waiting) == 1:
            loop.call_soon(self._flush, path)

    def _flush(self, path: Path) -> None:
        lines, self._waiting = b"".join(self._waiting), []
        if not lines:
            return  # they were too many to wait for the end of the turn
        try:
            self._write(path, lines)
        except OSError as error:
            if self.trouble is None:
                self.trouble = f"{path} cannot be written: {error.strerror}"
                self._keep(Event(kind="journal", sentence=self.trouble, at=self._clock()))
        else:
            if self.trouble is not None:
                self.trouble = None
                sentence = f"{path} is written again"
                self._keep(Event(kind="journal", sentence=sentence, at=self._clock()))

    def _write(self, path: Path, lines: bytes) -> None:
        """Open it anew each time, for somebody may have moved or removed it meanwhile."""
        file = os.open(path, _APPEND, 0o666)
        try:
            is_full = os.fstat(file).st_size > max(self._file_bytes_max - len(lines), 0)
            if not is_full and os.write(file, lines) < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)
        if is_full:
            path.replace(path.with_name(path.name + ".1"))
            self._write(path, lines)


def _recall(path: Path | None) -> Iterator[Event]:
    """The newest events of the file, so that a restart hides no history; bad lines are passed over.

    A file that cannot be read is no reason not to start: writing to it will tell what is wrong.
    """
    if path is None:
        return
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - limits.JOURNAL_RECALL_BYTES_MAX, 0))
            lines = file.read(limits.JOURNAL_RECALL_BYTES_MAX).splitlines()
    except OSError:
        return
    for line in lines:  # the first may be half a line, the last, too: a process died there
        with suppress(ValueError, TypeError):
            yield Event(**json.loads(line))
