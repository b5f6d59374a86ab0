"""One structured line per event on standard error, for people or for the host's log.

Standard error may be a file on a full disk, or a pipe whose reader has gone. That must not stop
who keeps the addresses, so a line that cannot be written is lost.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import structlog


class LossyLogger:
    """Writes lines on standard error; never raises."""

    def msg(self, line: str) -> None:
        """Write a line, or lose it."""
        with suppress(OSError, ValueError):  # ValueError: it is closed
            print(line, file=sys.stderr, flush=True)

    # The names that structlog calls: the level is in the line already.
    log = debug = info = warning = error = critical = exception = msg


def configure_logs(process: str) -> None:
    """Set up structlog for one of our processes; colours only on a terminal."""
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
