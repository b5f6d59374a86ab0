"""What tests of kinds that talk over TCP share: scripted servers and certificates."""

import asyncio
import ssl
from pathlib import Path

import trustme

from checkers.base import Result, Target
from checkers.options import CheckOptions
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


def certificate(authority: trustme.CA, directory: Path, *, mode: int = 0o644) -> Path:
    """A file with key and certificate for NAME and the loopback address."""
    file = directory / "both.pem"
    pem = authority.issue_cert(NAME, "127.0.0.1").private_key_and_cert_chain_pem
    pem.write_to_path(str(file))
    file.chmod(mode)
    return file
