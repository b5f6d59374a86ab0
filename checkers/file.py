"""The check `file`: a file on the director says how the server is.

So that an operator, or a deployment, takes a server out by creating a file and brings it back by
deleting it; or that a program writes weights into one. The name may hold `{address}` and `{port}`.

The file is read by the probe itself: it has to be on a local file system, since nothing else of the
process goes on while a file is read. Must never read more than the first bytes, and never wait for
what is not a regular file.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import MaxLen, MinLen, doc

from checkers import limits
from checkers.base import OptionError, Probe, ProbeError, Reason, Result, Target
from checkers.options import CheckOptions, no_way
from checkers.placeholders import check_placeholders, fill
from checkers.recording import Failure, Recording, quoted
from checkers.words import WordError, understand

_ABSENT = {errno.ENOENT, errno.ENOTDIR}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions(CheckOptions):
    """Options of the check `file`: which file, and what it means."""

    kind: ClassVar[str] = "file"
    lacks: ClassVar[Mapping[str, str]] = {
        **no_way("a file is read here, and nobody connects"),
        "inverted": "write `means: up` or `means: down`",
    }

    file: Annotated[
        Annotated[str, MinLen(1), MaxLen(4096)] | None,
        doc("The file; `{address}` and `{port}` stand for the server's. Required."),
    ] = None
    means: Annotated[
        Literal["down", "up", "says"],
        doc(
            "`down`: the server is out while the file exists. `up`: it is out unless the file "
            "exists. `says`: its first line says how the server is; without a file it is up."
        ),
    ] = "down"

    def __post_init__(self) -> None:
        if self.file is None:
            raise OptionError("file", "is missing: which file says how the server is?")
        if not self.file.startswith("/"):
            raise OptionError("file", f"{self.file!r} is not an absolute path")
        if "\0" in self.file:
            raise OptionError("file", "holds a zero byte")
        check_placeholders("file", self.file)

    def make_probe(self) -> Probe:
        """A probe that looks once."""
        return FileProbe(self)

    def describe(self) -> str:
        """`file /run/out/{address}`."""
        return f"{self.kind} {self.file}"


class FileProbe:
    """Looks once."""

    __slots__ = ("_file", "_means")

    def __init__(self, options: FileOptions) -> None:
        self._file = options.file or ""
        self._means = options.means

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Look once; raises ProbeError if the file cannot be looked at."""
        recording = Recording(keep_transcript=keep_transcript)
        file = fill(self._file, target)
        recording.note("look at %s", file)
        try:
            line = _first_line(file)
            if self._means == "says" and line is not None:
                return _as_said(file, line, recording)
            word = "is not there" if line is None else "is there"
            if line is None and self._means == "up":
                raise Failure(Reason.FILE, f"{file} {word}")
            if line is not None and self._means == "down":
                because = f": {quoted(line)}" if line else ""
                raise Failure(Reason.FILE, f"{file} {word}{because}")
        except Failure as failure:
            return recording.failed(failure)
        return recording.passed(f"{file} {word}, found")


def _as_said(file: str, line: bytes, recording: Recording) -> Result:
    try:
        saying = understand(line, weights=True)
    except WordError as error:
        # Half-written, most likely: no reason to take a server out, nor to trust what is there.
        raise ProbeError(f"{file}: {error}") from error
    if not saying.healthy:
        raise Failure(Reason.FILE, f"{file} says {saying.word}")
    return recording.passed(f"{file} says {saying.word}, read", saying.advice)


def _first_line(file: str) -> bytes | None:
    """The beginning of the file's first line; None if there is no file."""
    try:
        # Without blocking: opening a named pipe would wait for its other end.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise ProbeError(f"cannot look at {file}: {(error.strerror or '').lower()}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ProbeError(f"{file} is not a regular file")
        data = os.read(descriptor, limits.FILE_BYTES_MAX)
    except OSError as error:
        raise ProbeError(f"cannot read {file}: {(error.strerror or '').lower()}") from error
    finally:
        os.close(descriptor)
    return data.partition(b"\n")[0].strip()
