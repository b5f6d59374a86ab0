"""The sockets of the peer channel: one TLS connection between two director processes.

One director dials, the other listens (`PeerSettings.dials`); after the handshake both do the same.
What is said is `link`'s affair, what proves who it is `material`'s. Whatever goes wrong ends the
connection, is told with its cause, and is tried again by the one who dials; nothing here waits for
the peer, and what it does not read ends the connection instead of filling memory.

This module never decides anything.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from hadirector import __version__, limits
from hadirector.peer.link import Cause, Link, LinkError, pair_of
from hadirector.peer.material import MaterialError, contexts, names_in
from hadirector.peer.messages import LINE_BYTES_MAX, PROTOCOL, Body, Bye, Hello
from hadirector.peer.settings import PeerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Ear:
    """Who hears of the channel; all are called in the event loop and must not raise."""

    met: Callable[[Hello], None]
    heard: Callable[[Body], None]
    ended: Callable[[Cause, str, bool], None]
    """Cause, sentence, and whether the peer had been met on that connection."""


@dataclass(slots=True)
class _Connection:
    link: Link
    writer: asyncio.StreamWriter


class PeerChannel:
    """The channel of one director, for one configuration of it."""

    def __init__(self, settings: PeerSettings, node: str, ear: Ear) -> None:
        self._settings = settings
        self._node = node
        self._peer = settings.peer_of(node)
        self._ear = ear
        self._current: _Connection | None = None
        self._strangers = 0  # connections on which the peer was not met yet
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Keep the channel until cancelled; says goodbye then."""
        try:
            await (self._dial() if self._settings.dials(self._node) else self._listen())
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def send(self, body: Body) -> bool:
        """Say something to the peer; False where there is none, or it does not read."""
        current = self._current
        if current is None or current.writer.is_closing():
            return False
        if current.writer.transport.get_write_buffer_size() > LINE_BYTES_MAX:
            current.writer.transport.abort()  # it hangs; the end is told by who reads
            return False
        current.writer.write(current.link.say(body))
        return True

    # Both ways to a connection

    async def _dial(self) -> None:
        address = str(self._settings.addresses[self._peer])
        wait_s = limits.PEER_RETRY_FIRST_S
        while True:
            try:
                context = contexts(self._settings.material(self._node), listens=False)
                async with asyncio.timeout(limits.PEER_CONNECT_S):
                    reader, writer = await asyncio.open_connection(
                        address, self._settings.port, ssl=context, limit=LINE_BYTES_MAX
                    )
            except (MaterialError, OSError, TimeoutError) as error:
                self._ear.ended(*_failed(error, f"{address} port {self._settings.port}"), False)
            else:
                if await self._live(reader, writer):
                    wait_s = limits.PEER_RETRY_FIRST_S
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, limits.PEER_RETRY_MAX_S)

    async def _listen(self) -> None:
        address, port = str(self._settings.addresses[self._node]), self._settings.port
        while True:
            try:
                contexts(self._settings.material(self._node), listens=True)
                server = await asyncio.start_server(
                    self._accept, address, port, limit=LINE_BYTES_MAX
                )
            except (MaterialError, OSError) as error:
                self._ear.ended(*_failed(error, f"listening on {address} port {port}"), False)
                await asyncio.sleep(limits.PEER_RETRY_MAX_S)
                continue
            async with server:
                await server.serve_forever()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._strangers >= limits.PEER_STRANGERS_MAX:
            writer.transport.abort()
            sentence = f"more than {limits.PEER_STRANGERS_MAX} connections at once"
            self._ear.ended(Cause.FLOOD, sentence, False)
            return
        task = asyncio.create_task(self._receive(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._strangers += 1
        try:
            # Read anew each time: certificates are renewed without a restart.
            context = contexts(self._settings.material(self._node), listens=True)
            async with asyncio.timeout(limits.PEER_CONNECT_S):
                await writer.start_tls(context)
        except (MaterialError, OSError, TimeoutError) as error:
            who = writer.get_extra_info("peername") or ("?",)
            writer.transport.abort()
            self._ear.ended(*_failed(error, str(who[0])), False)
            return
        finally:
            self._strangers -= 1
        await self._live(reader, writer)

    # A connection

    async def _live(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Talk until the end; returns whether the peer was met."""
        loop = asyncio.get_running_loop()
        connection = _Connection(Link(self._hello(), self._peer, loop.time()), writer)
        try:
            await self._talk(reader, connection)
            cause, sentence = Cause.LOST, "the connection ended"
        except LinkError as error:
            cause, sentence = error.cause, str(error)
        except ssl.SSLError as error:
            cause, sentence = Cause.CERTIFICATE, f"TLS: {error.reason or error}"
        except OSError as error:
            cause, sentence = Cause.LOST, f"the connection ended: {error.strerror or error}"
        except asyncio.CancelledError:
            if self._current is connection:
                self.send(Bye(reason="it stops"))
                self._current = None
            await _close(writer)
            raise
        is_current, met = self._current is connection, connection.link.theirs is not None
        if is_current:
            self._current = None
        writer.transport.abort()
        if is_current or not met:  # else another connection has taken its place
            self._ear.ended(cause, sentence, met)
        return met

    def _hello(self) -> Hello:
        return Hello(
            protocol=PROTOCOL,
            software=__version__,
            pair=pair_of(self._settings.addresses),
            node=self._node,
            nonce=secrets.token_hex(16),
        )

    async def _talk(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        """Hear lines until the end of the connection; raises LinkError, OSError."""
        loop, link, writer = asyncio.get_running_loop(), connection.link, connection.writer
        if self._peer not in (names := names_in(writer.transport.get_extra_info("peercert"))):
            known = ", ".join(names)[:100] or "nobody"
            raise LinkError(Cause.CERTIFICATE, f"its certificate is of {known}")
        writer.write(link.greeting())
        while True:
            try:
                async with asyncio.timeout_at(link.deadline):
                    line = await reader.readline()
            except TimeoutError:
                link.check(loop.time())
                continue
            except ValueError:  # of the stream: a line beyond its limit
                raise LinkError(Cause.TOO_LONG, f"more than {LINE_BYTES_MAX} bytes") from None
            if not line.endswith(b"\n"):
                return
            body = link.hear(line, loop.time())
            if body is None and link.theirs is not None:
                self._take(connection, link.theirs)
            elif isinstance(body, Bye):
                raise LinkError(Cause.LEFT, f"{self._peer} has left: {body.reason[:100]}")
            elif body is not None and self._current is connection:
                self._ear.heard(body)

    def _take(self, connection: _Connection, theirs: Hello) -> None:
        """The peer has proved who it is: a connection it had before is a dead one."""
        before, self._current = self._current, connection
        if before is not None:
            before.writer.transport.abort()
        self._ear.met(theirs)


def _failed(error: Exception, where: str) -> tuple[Cause, str]:
    """Why there is no connection."""
    if isinstance(error, MaterialError):
        return Cause.MATERIAL, str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Cause.CERTIFICATE, f"{where}: its certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return Cause.CERTIFICATE, f"{where}: TLS: {error.reason or error}"
    if isinstance(error, TimeoutError):
        return Cause.UNREACHABLE, f"{where}: no answer within {limits.PEER_CONNECT_S:g} s"
    if isinstance(error, OSError) and error.strerror:
        return Cause.UNREACHABLE, f"{where}: {error.strerror}"
    return Cause.UNREACHABLE, f"{where}: {error or 'it hung up during the handshake'}"


async def _close(writer: asyncio.StreamWriter) -> None:
    """Let what was written leave, for a moment."""
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(limits.PEER_CLOSE_S):
            await writer.wait_closed()
