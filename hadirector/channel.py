"""Lines between two of our processes, over a socketpair.

Writing never waits: what a child does not read is buffered up to a bound, and a child that lets
the buffer fill is broken (its heartbeat tells so soon after), so the line is dropped and counted
rather than ever blocking the one who keeps the addresses. Reading is bounded in the length of a
line.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Iterable

from hadirector import limits


class Channel:
    """One end of a socketpair that carries lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._put_back: deque[bytes] = deque()
        self.lines_dropped = 0

    @classmethod
    async def over(cls, end: socket.socket) -> Channel:
        """Wrap one end of a socketpair; the channel owns it from now on."""
        reader, writer = await asyncio.open_connection(sock=end, limit=limits.MESSAGE_BYTES_MAX)
        return cls(reader, writer)

    def send(self, line: bytes) -> None:
        """Queue a line; dropped (and counted) when the other side has stopped reading."""
        if self._writer.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > limits.MESSAGE_BYTES_MAX:
            self.lines_dropped += 1
            return
        self._writer.write(line)

    async def receive(self, *, timeout_s: float | None = None) -> bytes | None:
        """Return the next line, None at the end of the channel; raises TimeoutError."""
        if self._put_back:
            return self._put_back.popleft()
        async with asyncio.timeout(timeout_s):
            try:
                line = await self._reader.readline()
            except (ConnectionError, ValueError):  # ValueError: a line beyond the bound
                return None
        return line if line.endswith(b"\n") else None

    def put_back(self, lines: Iterable[bytes]) -> None:
        """Have these lines received before any other: for whoever reads on from here."""
        self._put_back.extend(lines)

    def close(self) -> None:
        """Close this end."""
        self._writer.close()
