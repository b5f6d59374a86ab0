"""What tests of kinds that talk over TCP share: scripted servers, certificates, faults."""

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from pathlib import Path

import trustme

from checkers.base import CheckOptions, Reason, Result, Target
from tests.checkers import servers

NAME = "mail.example.test"


def probe(target: Target, options: CheckOptions, timeout_s: float = 5.0) -> Result:
    """What a probe says of a server."""
    return asyncio.run(options.make_probe().probe(target, timeout_s, keep_transcript=True))


def against(
    handler: servers.Handler,
    options: CheckOptions,
    timeout_s: float = 2.0,
    tls: ssl.SSLContext | None = None,
) -> Result:
    """What a probe says of a server of the test's own."""

    async def main() -> Result:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with servers.serving(handler, tls) as target:
            return await options.make_probe().probe(target, timeout_s, keep_transcript=True)

    return asyncio.run(main())


def saying(*turns: bytes, close: bool = False) -> servers.Handler:
    """Say each in turn, after something was heard but for the first; then wait, or close."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, turn in enumerate(turns):
            if number and not await reader.read(65536):
                return
            writer.write(turn)
            await writer.drain()
        if close:
            writer.close()
        else:
            while await reader.read(65536):
                pass

    return handle


async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Rubbish without end, and without an end of line."""
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()


async def lines_without_end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Lines without end that begin as many protocols' unfinished replies do."""
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(b"220-x\r\n* x\r\n250-x\r\n" * 500)
            await writer.drain()


async def closes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept and close."""
    writer.close()


def faults(options: CheckOptions) -> dict[str, Reason]:
    """The reasons that a kind gives for servers which are wrong in the usual ways."""
    refused = Target(servers.LOOPBACK, servers.free_port())
    found = {"refused": probe(refused, options)}
    with servers.full_backlog() as full:
        found["full"] = probe(full, options, 0.2)
    wrong: Sequence[tuple[str, servers.Handler]] = (
        ("silent", servers.silent),
        ("closes", closes),
        ("garbage", saying(b"\x00\xff\x00\xffwhat is this?\r\n" * 9, close=True)),
        ("endless", endless),
        ("lines", lines_without_end),
    )
    for name, handler in wrong:
        found[name] = against(handler, options, 0.4)
    for name, result in found.items():
        assert not result.healthy, name
        assert result.latency_ms < 1500, name
        assert len(result.sentence) < 400, result.sentence
        assert result.sentence.isprintable(), result.sentence
    return {name: result.reason for name, result in found.items()}


USUAL = {
    "refused": Reason.L4_REFUSED,
    "full": Reason.L4_TIMEOUT,
    "silent": Reason.L7_TIMEOUT,
    "closes": Reason.L7_CLOSED,
    "garbage": Reason.L7_PROTOCOL,
    "endless": Reason.L7_PROTOCOL,
    "lines": Reason.L7_PROTOCOL,
}
"""What those reasons should be for a protocol of lines."""


def certificate(authority: trustme.CA, directory: Path, *, mode: int = 0o644) -> Path:
    """A file with key and certificate for NAME and the loopback address."""
    file = directory / "both.pem"
    pem = authority.issue_cert(NAME, "127.0.0.1").private_key_and_cert_chain_pem
    pem.write_to_path(str(file))
    file.chmod(mode)
    return file
