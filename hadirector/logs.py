"""One structured line per event on standard error, for people or for the host's log.

Standard error may be a file on a full disk, or a pipe whose reader has gone or hangs. That must not
stop who keeps the addresses, so a line that cannot be written at once is lost.
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress

import structlog

STDERR = 2


class LossyLogger:
    """Writes lines on standard error; never raises."""

    def msg(self, line: str) -> None:
        """Write a line, or lose it."""
        with suppress(OSError):  # BlockingIOError among them: the pipe is full
            os.write(STDERR, line.encode(errors="replace") + b"\n")

    # The names that structlog calls: the level is in the line already.
    log = debug = info = warning = error = critical = exception = msg


def configure_logs(process: str) -> None:
    """Set up structlog for one of our processes; colours only on a terminal."""
    with suppress(OSError):
        if not stat.S_ISREG(os.fstat(STDERR).st_mode) and not os.isatty(STDERR):
            os.set_blocking(STDERR, False)  # a terminal is shared with others, who would notice
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        logger_factory=lambda *_: LossyLogger(),
    )
    structlog.contextvars.bind_contextvars(process=process)
