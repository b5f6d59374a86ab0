"""The configuration file of a running daemon, read in a thread beside the loop.

The problem: loading needs pydantic and half a megabyte of other code that a director otherwise does
without, and reading ten thousand servers takes a second. The approach: both are fetched when the
file is first read. Where it is large, that is done ahead, once everything else is ready, so that
the first reload costs no more than the others: what changed (`config.again`).

Never: two readings at once; anything but reading.
"""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

from hadirector import limits
from hadirector.answers import Present

if TYPE_CHECKING:
    from hadirector.config.again import Reader
    from hadirector.reload import Outcome


class Rereading:
    """Reads one file whenever it is asked to."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._reader: Reader | None = None
        self._alone = asyncio.Lock()

    async def ahead(self, present: Present) -> None:
        """Read the file before anybody asks, if it is a large one."""
        servers = sum(len(service.servers) for service in present.config.services)
        if servers >= limits.READ_AHEAD_SERVERS_MIN:
            async with self._alone:
                await asyncio.to_thread(self._ahead, present)

    async def again(self, present: Present) -> Outcome:
        """Read the file and compare it with what holds now."""
        async with self._alone:
            return await asyncio.to_thread(self._again, present)

    def _ahead(self, present: Present) -> None:
        self._prepared().load(present.config)
        # Hundreds of thousands of objects that stay: no search for garbage has to look at them.
        gc.collect()
        gc.freeze()

    def _again(self, present: Present) -> Outcome:
        from hadirector.reload import read_again

        return read_again(self._prepared(), present)

    def _prepared(self) -> Reader:
        if self._reader is None:
            from hadirector.config.again import Reader

            self._reader = Reader(self._file)
        return self._reader
