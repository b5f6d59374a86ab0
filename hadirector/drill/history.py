"""The drills of the past: one JSON object a line in the state directory, the newest last.

The problem: a drill is worth something when the last one can be shown, and its command may be
killed while it writes. The approach: each record is appended and flushed to the disk as one line; a
torn line costs that record only. Beyond DRILLS_KEPT_MAX the oldest go.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

FILE: Final = "drills.jsonl"
LOCK: Final = "drills.lock"
DRILLS_KEPT_MAX: Final = 200
_NEEDED: Final = ("at", "node", "file", "result")


class BusyError(Exception):
    """Another drill is under way on this director."""


@contextmanager
def alone(state_dir: Path) -> Iterator[None]:
    """Be the only drill on this host meanwhile; raises BusyError, OSError."""
    with (state_dir / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError from None
        yield


def read(state_dir: Path) -> list[dict[str, Any]]:
    """All records, oldest first; lines that are none are passed over. Raises OSError."""
    try:
        lines = (state_dir / FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines[-DRILLS_KEPT_MAX:]:
        with suppress(ValueError):
            record = json.loads(line)
            if isinstance(record, dict) and all(name in record for name in _NEEDED):
                found.append(record)
    return found


def add(state_dir: Path, record: Mapping[str, Any]) -> None:
    """Append a record; raises OSError."""
    path = state_dir / FILE
    line = json.dumps(record).encode() + b"\n"
    before = path.read_bytes() if path.exists() else b""
    if before.count(b"\n") >= DRILLS_KEPT_MAX:
        kept = before.splitlines(keepends=True)[1 - DRILLS_KEPT_MAX :]
        _write(path.with_suffix(".new"), b"".join(kept), os.O_TRUNC)
        path.with_suffix(".new").replace(path)
    torn = b"\n" if before and not before.endswith(b"\n") else b""
    _write(path, torn + line, os.O_APPEND)


def _write(path: Path, data: bytes, how: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how, 0o640)
    try:
        os.write(file, data)
        os.fsync(file)
    finally:
        os.close(file)
