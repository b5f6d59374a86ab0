"""One line per event on standard error, for people or for the host's log.

Standard error may be a file on a full disk, or a pipe whose reader has gone or hangs. That must not
stop who keeps the addresses, so a line that cannot be written at once is lost. Thousands of servers
may change at once: within an event loop, the lines of one turn of it are written together, before
the loop waits again.

The standard library's `logging` is all it takes: asyncio loads it anyway, and what the supervisor
does without cannot fail in it, nor cost a start its time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import stat
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

STDERR: Final = 2
NAME: Final = "hadirector"
_COLOURS: Final = {logging.INFO: "\x1b[32m", logging.WARNING: "\x1b[33m"}
_RED, _PLAIN, _BOLD = "\x1b[31m", "\x1b[0m", "\x1b[1m"


class Log:
    """Says what happens, with facts beside the sentence."""

    def info(self, sentence: str, **facts: object) -> None:
        """Something that is as it should be."""
        _LOGGER.info("%s", sentence, extra={"facts": facts})

    def warning(self, sentence: str, **facts: object) -> None:
        """Something that somebody should look at."""
        _LOGGER.warning("%s", sentence, extra={"facts": facts})


_LOGGER: Final = logging.getLogger(NAME)


class _LossyHandler(logging.Handler):
    """Writes lines on standard error; never raises, and never waits for a reader.

    As many at once as a pipe takes whole or not at all (PIPE_BUF): no line is cut by a full one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting = b""

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record).encode(errors="replace") + b"\n"
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # nobody would come back to it; or another thread, which must not wait
            _write(line)
            return
        if len(self._waiting) + len(line) > select.PIPE_BUF:
            self.flush()
        if not self._waiting:
            loop.call_soon(self.flush)
        self._waiting += line

    def flush(self) -> None:
        lines, self._waiting = self._waiting, b""
        if lines:
            _write(lines)


def _write(lines: bytes) -> None:
    with suppress(OSError):  # BlockingIOError among them: the pipe is full
        os.write(STDERR, lines)


class _Line(logging.Formatter):
    """`12:34:56.123456 [info   ] the sentence  kind=journal process=director`."""

    def __init__(self, process: str, *, colours: bool) -> None:
        super().__init__()
        self._process = process
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        facts: Mapping[str, object] = {**getattr(record, "facts", {}), "process": self._process}
        told = " ".join(f"{name}={_word(value)}" for name, value in sorted(facts.items()))
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = f"{record.levelname.lower():7}"
        # What others have put into a sentence must not look like another line.
        sentence = record.getMessage().replace("\n", "\\n")
        if record.exc_info:
            sentence += "\n" + self.formatException(record.exc_info)
        if self._colours:
            level = f"{_COLOURS.get(record.levelno, _RED)}{level}{_PLAIN}"
            sentence = f"{_BOLD}{sentence}{_PLAIN}"
        return f"{clock}.{record.created % 1 * 1e6:06.0f} [{level}] {sentence}  {told}"


def _word(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and " " not in text else repr(text)


def configure_logs(process: str) -> None:
    """Set up the log of one of our processes; colours only on a terminal."""
    with suppress(OSError):
        if not stat.S_ISREG(os.fstat(STDERR).st_mode) and not os.isatty(STDERR):
            os.set_blocking(STDERR, False)  # a terminal is shared with others, who would notice
    handler = _LossyHandler()
    handler.setFormatter(_Line(process, colours=sys.stderr.isatty()))
    root = logging.getLogger()  # what asyncio has to say (a task that failed) belongs here, too
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    _LOGGER.setLevel(logging.INFO)
