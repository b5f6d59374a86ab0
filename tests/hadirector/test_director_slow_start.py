"""A slow start in the whole director process: who comes back grows, who was never away does not."""

import asyncio
from pathlib import Path

import pytest

from hadirector import messages
from tests.hadirector.pair import write_pair
from tests.hadirector.test_director import Daemon, daemon, listening, port_of


async def weights_until_full(one: Daemon, server: str) -> list[int]:
    """Each weight of a server that is out, until it is 100."""
    seen: list[int] = []
    async with asyncio.timeout(10):
        while 100 not in seen:
            now = one.weights().get(server)
            if now is not None and now not in seen:
                seen.append(now)
            await asyncio.sleep(0.02)
    return seen


@pytest.mark.asyncio
async def test_a_server_that_comes_back_grows(tmp_path: Path) -> None:
    async with listening() as first, listening() as second:
        ports = [port_of(first), port_of(second)]
        server, back = (f"127.0.0.1:{port}" for port in ports)
        async with daemon(tmp_path, ports) as one:
            text = write_pair(one.file, ports).read_text()
            text = text.replace("defaults:", "defaults:\n  weight: 100")
            one.file.write_text(text.replace("forward: nat", "forward: nat\n    slow_start: 2s"))
            await one.hears(messages.Ready)
            await one.asked("/reload", "POST")
            assert one.weights() == {server: 100, back: 100}  # they were never away
            second.close()
            await one.until(lambda _: one.weights() == {server: 100})
            async with await asyncio.start_server(
                lambda _, writer: writer.close(), "127.0.0.1", ports[1]
            ):
                seen = await weights_until_full(one, back)
                assert seen == sorted(seen)
                assert len(seen) > 2  # of the twenty steps, on a busy host
                explained = await one.asked(f"/explain?what=web/{back}")
                assert "slow start" not in str(explained["because"])
