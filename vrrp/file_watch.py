"""Files that others write, noticed at once: inotify(7) on a file and on the way to it.

The problem. inotify watches inodes, operators name paths. The file may be replaced by a rename,
deleted and made again, not be there yet, and neither may its directory, nor the one above.

The approach. Every directory from the root down to the file is watched for a change of the *next*
name on the way, and the file itself for being written. Whatever happens to a name on the way, all
watches are set anew, from the root downwards, so that nothing made meanwhile is missed. A file
counts as written when its writer closes it: one that has just been emptied says nothing yet.

What inotify does not tell of (network file systems, a writer that keeps the file open) is seen by
whoever looks from time to time besides.

This module never reads a file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from vrrp.inotify import Inotify, Mask

_ON_THE_WAY: Final = Mask.CREATE | Mask.DELETE | Mask.MOVED_FROM | Mask.MOVED_TO | Mask.ATTRIB
_THERE: Final = Mask.CLOSE_WRITE | Mask.ATTRIB | Mask.DELETE_SELF | Mask.MOVE_SELF
_PAUSE_S: Final = 0.02
"""From an event to what follows: a program that writes without end is not followed each time."""


class FileWatch:
    """Watches some files, in the running event loop.

    Raises OSError where the kernel grants no inotify instance.
    """

    def __init__(self) -> None:
        self._inotify = Inotify()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._inotify, self._read)
        self._watches: set[int] = set()
        self._subscriptions: list[tuple[Path, asyncio.Event]] = []
        self._pending: set[Path] = set()

    @contextmanager
    def watching(self, path: str) -> Iterator[asyncio.Event]:
        """Watch a file meanwhile; the event is set whenever the file may have changed.

        Look at the file once inside, not only before.
        """
        subscription = (Path(path), asyncio.Event())
        self._subscriptions.append(subscription)
        try:
            self._aim()
            yield subscription[1]
        finally:
            self._subscriptions.remove(subscription)
            self._aim()

    def close(self) -> None:
        """Watch nothing any more."""
        self._loop.remove_reader(self._inotify)
        self._inotify.close()

    def _read(self) -> None:
        """Note which files something may have happened to.

        Only names count: by way of symbolic links, a directory is on the way under several names.
        """
        names = self._inotify.names()
        for path, _ in self._subscriptions:
            if "" in names or not names.isdisjoint(path.parts):
                if not self._pending:
                    self._loop.call_later(_PAUSE_S, self._act)
                self._pending.add(path)

    def _act(self) -> None:
        pending, self._pending = self._pending, set()
        if not self._subscriptions:
            return  # nobody is left; it may be closed
        self._aim()
        for path, changed in self._subscriptions:
            if path in pending:
                changed.set()

    def _aim(self) -> None:
        """Have exactly the watches that are needed now."""
        needed: set[int] = set()
        for path in {path for path, _ in self._subscriptions}:
            for directory in reversed(path.parents):
                self._watch(directory, _ON_THE_WAY | Mask.ONLYDIR, needed)
            self._watch(path, _THERE, needed)
        for unused in self._watches - needed:
            with suppress(OSError):  # the kernel has removed it by itself: the inode is gone
                self._inotify.remove(unused)
        self._watches = needed

    def _watch(self, path: Path, mask: Mask, needed: set[int]) -> None:
        with suppress(OSError):  # not there, or not for us to see: what is above it tells
            # Added to, not replaced: what is on the way to one file may be another one's place.
            needed.add(self._inotify.add(str(path), mask | Mask.MASK_ADD))
