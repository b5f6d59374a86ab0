"""Servers that are wrong in every usual way, on plain sockets: one behaviour for each connection.

Sockets and not streams, so that a behaviour says exactly when it reads, resets, or begins TLS.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from checkers.base import Target
from tests.checkers.servers import LOOPBACK

Behaviour = Callable[[socket.socket], Awaitable[None]]
"""What a server does with one connection, which is closed when it returns."""
Answer = Callable[[bytes], bytes]
"""What to say to what was heard."""

DRIP_S = 0.15
_HEARD_BYTES = 65_536


@asynccontextmanager
async def serving(behave: Behaviour) -> AsyncIterator[Target]:
    """A server that treats all its connections so; at the end, all are dropped."""
    loop = asyncio.get_running_loop()
    connections: set[asyncio.Task[None]] = set()

    async def treat(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, EOFError):
            await behave(connection)

    async def accept() -> None:
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setblocking(False)
            task = asyncio.create_task(treat(connection))
            connections.add(task)
            task.add_done_callback(connections.discard)

    with socket.create_server((str(LOOPBACK), 0)) as listener:
        listener.setblocking(False)
        accepting = asyncio.create_task(accept())
        try:
            yield Target(LOOPBACK, listener.getsockname()[1])
        finally:
            ending = [accepting, *connections]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)


@asynccontextmanager
async def refusing(kind: socket.SocketKind = socket.SOCK_STREAM) -> AsyncIterator[Target]:
    """A port where nobody listens, and that nobody else is given meanwhile."""
    with socket.socket(type=kind) as held:
        held.bind((str(LOOPBACK), 0))
        port = held.getsockname()[1]
        if kind is socket.SOCK_DGRAM:
            held.connect((str(LOOPBACK), port))  # it hears nobody but itself
        yield Target(LOOPBACK, port)


async def hear(connection: socket.socket) -> bytes:
    """What comes next; EOFError at the end."""
    data = await asyncio.get_running_loop().sock_recv(connection, _HEARD_BYTES)
    if not data:
        raise EOFError
    return data


async def hear_exactly(connection: socket.socket, count: int) -> bytes:
    """So many bytes, and no more."""
    data = b""
    while len(data) < count:
        more = await asyncio.get_running_loop().sock_recv(connection, count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


async def say(connection: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(connection, data)
    await asyncio.sleep(0)


async def silent(connection: socket.socket) -> None:
    """Take everything, say nothing."""
    while True:
        await hear(connection)


async def closes(_: socket.socket) -> None:
    """Accept and close at once."""


async def resets(connection: socket.socket) -> None:
    """Accept, and be gone without a farewell, as after a crash of the host."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def saying(data: bytes) -> Behaviour:
    """Say this at once, then close when the other side does."""

    async def behave(connection: socket.socket) -> None:
        await say(connection, data)
        await silent(connection)

    return behave


def saying_and_closing(data: bytes) -> Behaviour:
    """Say this and end; what is unread would make a reset of a close, so that is left to them."""

    async def behave(connection: socket.socket) -> None:
        await say(connection, data)
        connection.shutdown(socket.SHUT_WR)
        await silent(connection)

    return behave


def answering(answer: Answer) -> Behaviour:
    """Say this when something was heard."""

    async def behave(connection: socket.socket) -> None:
        await say(connection, answer(await hear(connection)))
        await silent(connection)

    return behave


def endless(data: bytes) -> Behaviour:
    """Say this again and again, whatever is heard."""

    async def behave(connection: socket.socket) -> None:
        while True:
            await say(connection, data * (8192 // len(data) + 1))

    return behave


def dripping(data: bytes) -> Behaviour:
    """Say this a byte at a time, so slowly that nobody waits for it."""

    async def behave(connection: socket.socket) -> None:
        for byte in data:
            await say(connection, bytes((byte,)))
            await asyncio.sleep(DRIP_S)
        await silent(connection)

    return behave


Turn = tuple[bytes, int]
"""What to say, and how many bytes to hear after it: 0 for whatever comes."""


def after(prelude: Sequence[Turn], last: bytes, then: Behaviour, *, hello: bool) -> Behaviour:
    """Talk so, say the last word, and go on as `then` does: up to where TLS begins midway.

    `hello`: not before the other side has begun it.
    """

    async def behave(connection: socket.socket) -> None:
        for said, count in prelude:
            await say(connection, said)
            await (hear_exactly(connection, count) if count else hear(connection))
        await say(connection, last)
        if hello:
            await hear(connection)
        await then(connection)

    return behave


def secured(context: ssl.SSLContext, answer: Answer | None, *, first: bool = False) -> Behaviour:
    """Speak TLS; then say this once something was heard (or `first`), or None: close."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            return
        writer.write(answer(b"" if first else await reader.read(_HEARD_BYTES)))
        while await reader.read(_HEARD_BYTES):
            pass

    return _over_tls(context, talk)


def secured_endless(context: ssl.SSLContext, data: bytes) -> Behaviour:
    """Speak TLS; then say this again and again."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(0)

    return _over_tls(context, talk)


def _over_tls(
    context: ssl.SSLContext,
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> Behaviour:
    async def behave(connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, connection.dup(), ssl=context
        )
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await talk(reader, writer)
        finally:
            writer.close()
            transport.abort()

    return behave
