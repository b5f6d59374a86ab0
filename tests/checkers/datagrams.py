"""UDP servers of one function, on an ephemeral port of the loopback interface."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

from checkers.base import CheckOptions, Result, Target
from tests.checkers.servers import LOOPBACK

Answering = Callable[[bytes], Sequence[bytes]]
"""The datagrams to send back for one."""


class _Server(asyncio.DatagramProtocol):
    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for answer in self._answering(data):
            self._transport.sendto(answer, addr)


@asynccontextmanager
async def serving(answering: Answering) -> AsyncIterator[Target]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Server(answering), (str(LOOPBACK), 0)
    )
    try:
        yield Target(LOOPBACK, transport.get_extra_info("sockname")[1])
    finally:
        transport.close()


def against(answering: Answering, options: CheckOptions, timeout_s: float = 5.0) -> Result:
    """What a probe says of such a server."""

    async def main() -> Result:
        async with serving(answering) as target:
            return await options.make_probe().probe(target, timeout_s, keep_transcript=True)

    return asyncio.run(main())


def silent(_: bytes) -> Sequence[bytes]:
    """Never answer."""
    return ()
