"""UDP servers of one function, on an ephemeral port of the loopback interface."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from checkers.base import Result, Target
from checkers.options import CheckOptions
from tests.checkers.servers import LOOPBACK

Answering = Callable[[bytes], Sequence[bytes]]
"""The datagrams to send back for one."""


@asynccontextmanager
async def serving(answering: Answering) -> AsyncIterator[Target]:
    loop = asyncio.get_running_loop()

    async def serve() -> None:
        while True:
            data, asker = await loop.sock_recvfrom(server, 65_536)
            for answer in answering(data):
                await loop.sock_sendto(server, answer, asker)

    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.setblocking(False)
        server.bind((str(LOOPBACK), 0))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(serve())
            try:
                yield Target(LOOPBACK, server.getsockname()[1])
            finally:
                task.cancel()


def against(answering: Answering, options: CheckOptions, timeout_s: float = 5.0) -> Result:
    """What a probe says of such a server."""

    async def main() -> Result:
        async with serving(answering) as target:
            return await options.make_probe().probe(target, timeout_s, keep_transcript=True)

    return asyncio.run(main())


def silent(_: bytes) -> Sequence[bytes]:
    """Never answer."""
    return ()
