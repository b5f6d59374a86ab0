"""Servers to probe, good and bad, on ephemeral ports of the loopback interface.

Bad ones are what a handler does to its connection. nginx is the packaged one, run in the foreground
from a directory of the test's own and ended by its process id.
"""

import asyncio
import contextlib
import os
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address
from pathlib import Path

from checkers.base import Target

LOOPBACK = ip_address("127.0.0.1")
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Target]:
    """A server whose connections `handler` treats as it likes; all are dropped at the end."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError, ssl.SSLError):
                await handler(reader, writer)
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(handle, str(LOOPBACK), 0, ssl=tls)
    try:
        yield Target(LOOPBACK, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(reply: bytes, *, keep_open: bool = False) -> Handler:
    """Read the request's headers, send `reply`, and close unless told otherwise."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        if keep_open:
            await asyncio.Event().wait()
        writer.close()
        await writer.wait_closed()

    return handle


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Take everything, answer nothing."""
    while await reader.read(65536):
        pass
    await asyncio.Event().wait()


def free_port() -> int:
    """A port that nobody listens on (and that nobody was given since)."""
    with socket.socket() as probe:
        probe.bind((str(LOOPBACK), 0))
        return int(probe.getsockname()[1])


@contextmanager
def full_backlog() -> Iterator[Target]:
    """A listener that accepts nobody and whose queue is full: its kernel drops further SYNs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((str(LOOPBACK), 0))
        listener.listen(0)
        address = listener.getsockname()
        while True:
            client = stack.enter_context(socket.socket())
            client.settimeout(0.3)
            try:
                client.connect(address)
            except TimeoutError:
                break
        yield Target(LOOPBACK, address[1])


NGINX_CONFIG = """
daemon off; master_process off; worker_processes 1;
pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log {directory}/access.log;
    client_body_temp_path {directory}/t1; proxy_temp_path {directory}/t2;
    fastcgi_temp_path {directory}/t3; uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;
    default_type text/plain;
    server {{
        listen {listen};
        server_name _;
        location = /ok {{ return 200 "everything is fine"; }}
        location = /fail {{ return 503 "database gone"; }}
        location = /moved {{ return 302 http://elsewhere.example/; }}
        location = /big {{ root {directory}; }}
        location = /agent {{ return 200 "$http_user_agent,$http_connection,$server_protocol"; }}
    }}
    server {{
        listen {listen};
        server_name www.example.org;
        location = /who {{ return 200 "host $host"; }}
    }}
    {more}
}}
"""


@contextmanager
def nginx(directory: Path, more: str = "") -> Iterator[Target]:
    """The packaged nginx; `more` is put into its http section."""
    (directory / "big").write_bytes(b"x" * 200_000 + b"needle")
    target = Target(LOOPBACK, free_port())
    config = directory / "nginx.conf"
    config.write_text(NGINX_CONFIG.format(directory=directory, listen=target, more=more))
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
    process = subprocess.Popen(
        ["nginx", "-p", str(directory), "-e", str(directory / "error.log"), "-c", str(config)],
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
    )
    try:
        _wait_until_listening(process, target, directory)
        yield target
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait_until_listening(
    process: "subprocess.Popen[bytes]", target: Target, directory: Path
) -> None:
    for _ in range(200):
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection((str(target.address), target.port), timeout=1).close()
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
            break
    raise AssertionError(f"nginx did not start: {(directory / 'error.log').read_text()}")
