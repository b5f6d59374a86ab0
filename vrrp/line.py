"""The worker's end of the line to its supervisor.

What matters here is what does *not* happen: the worker never waits for a supervisor that does not
read. Beyond a bound, what later messages will repeat is dropped; the last will never is.

This module never interprets a message.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Final

from vrrp.messages import (
    LINE_BYTES_MAX,
    Event,
    Heartbeat,
    Message,
    MessageError,
    RouterReport,
    Timing,
    decode,
    encode,
)

UNREAD_BYTES_MAX: Final = 1024 * 1024
"""What may wait for a supervisor that does not read before reports and events are dropped."""
FLUSH_TIMEOUT_S: Final = 1.0


class Line:
    """A stream socket that carries messages."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, connected: socket.socket) -> Line:
        """Take over a connected stream socket."""
        return cls(*await asyncio.open_connection(sock=connected, limit=LINE_BYTES_MAX))

    def tell(self, message: Message) -> None:
        """Send a message without waiting; one that a later one repeats may be dropped."""
        if self._writer.is_closing():
            return
        unread = self._writer.transport.get_write_buffer_size()
        if unread > UNREAD_BYTES_MAX and isinstance(
            message, RouterReport | Heartbeat | Event | Timing
        ):
            return
        self._writer.write(encode(message))

    async def messages(self) -> AsyncIterator[Message | MessageError]:
        """Yield what arrives, until the other end is closed, reset or no longer makes sense."""
        while True:
            try:
                line = await self._reader.readline()
            except (OSError, ValueError):  # reset; or a line longer than LINE_BYTES_MAX
                return
            if not line.endswith(b"\n"):
                return  # the end; half a line is no message
            try:
                message: Message | MessageError = decode(line)
            except MessageError as error:
                message = error
            yield message

    async def flush(self) -> bool:
        """Wait until everything has been taken over; tell whether it was."""
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                self._writer.transport.set_write_buffer_limits(high=0)
                await self._writer.drain()
        except (OSError, TimeoutError):
            return False
        return True

    def close(self) -> None:
        """Close the socket."""
        self._writer.close()
