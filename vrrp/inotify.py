"""inotify(7) through the C library: three calls and one structure.

The libraries for it bring more code than they save here (a thread, a compiled watcher, or a program
that is started at import to find the C library), and a daemon like this one has few dependencies.

This module never interprets what happened.
"""

from __future__ import annotations

import ctypes
import os
import struct
from enum import IntFlag
from typing import Final

_EVENT: Final = struct.Struct("=iIII")  # watch, mask, cookie, length of the name that follows
_READ_BYTES: Final = 65536
_READS_MAX: Final = 16


class Mask(IntFlag):
    """What is to be told of; linux/inotify.h."""

    ATTRIB = 0x4
    CLOSE_WRITE = 0x8
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    ONLYDIR = 0x0100_0000
    MASK_ADD = 0x2000_0000


class Inotify:
    """One instance. Raises OSError when the kernel grants none."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._checked(self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something has happened."""
        return self._descriptor

    def add(self, path: str, mask: Mask) -> int:
        """Watch what is at `path`; return the number of the watch. Raises OSError."""
        text = os.fsencode(path)
        return self._checked(
            self._library.inotify_add_watch(self._descriptor, text, ctypes.c_uint32(mask))
        )

    def remove(self, watch: int) -> None:
        """Watch it no longer. Raises OSError when there is no such watch (any more)."""
        self._checked(self._library.inotify_rm_watch(self._descriptor, watch))

    def names(self) -> set[str]:
        """Return the names that something happened to; the empty one: to what is watched itself.

        That also stands for events that the kernel had to leave out.
        """
        found: set[str] = set()
        for _ in range(_READS_MAX):
            try:
                data = os.read(self._descriptor, _READ_BYTES)
            except BlockingIOError:
                break
            found |= names_in(data)
        return found

    def close(self) -> None:
        """Close it; all watches end."""
        os.close(self._descriptor)

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result


def names_in(data: bytes) -> set[str]:
    """Return the names in a buffer of events; the empty name for an event without one."""
    found: set[str] = set()
    at = 0
    while at < len(data):
        *_, length = _EVENT.unpack_from(data, at)
        at += _EVENT.size + length
        found.add(os.fsdecode(data[at - length : at].rstrip(b"\0")))
    return found
