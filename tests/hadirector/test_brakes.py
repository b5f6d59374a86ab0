"""The brake in the whole director process: real servers, and a real control probe beside them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hadirector import messages
from tests.hadirector.pair import write_pair
from tests.hadirector.test_director import Daemon, daemon, listening, port_of

BRAKE = """\
brake:
  window: 5s
  settle: {settle}
  hold: {hold}
  control: {{type: tcp, address: 127.0.0.2, port: {port}, interval: 100ms, timeout: 100ms}}
"""
FALLBACK = {"127.0.0.1:9": 1}


async def answering(port: int = 0, host: str = "127.0.0.1") -> asyncio.Server:
    """A server that accepts and closes."""
    return await asyncio.start_server(lambda _, writer: writer.close(), host, port)


class Story:
    """Three servers and something to ask besides, each of which can go."""

    def __init__(self, one: Daemon, servers: list[asyncio.Server], control: asyncio.Server) -> None:
        self.one = one
        self.servers = servers
        self.control = control
        self.full = {f"127.0.0.1:{port_of(each)}": 1 for each in servers}

    async def told(self, word: str) -> None:
        """Wait until the brake has said something in the journal."""
        async with asyncio.timeout(10):
            while True:
                events = (await self.one.asked("/events?count=200"))["events"]
                if any(e["kind"] == "brake" and word in e["sentence"] for e in events):
                    return
                await asyncio.sleep(0.02)

    def servers_go(self) -> None:
        for each in self.servers:
            each.close()


@asynccontextmanager
async def story(directory: Path, *, settle: str = "10s", hold: str = "60s") -> AsyncIterator[Story]:
    """A director whose three servers have passed, with a control probe that has passed, too."""
    async with (
        listening() as first,
        listening() as second,
        listening() as third,
        await answering(host="127.0.0.2") as control,
    ):
        servers = [first, second, third]
        ports = [port_of(each) for each in servers]
        text = write_pair(directory / "pair.yaml", ports).read_text()
        brake = BRAKE.format(settle=settle, hold=hold, port=port_of(control))
        async with daemon(directory, ports) as one:
            one.file.write_text(text + brake)
            await one.hears(messages.Ready)
            await one.asked("/reload", "POST")
            telling = Story(one, servers, control)
            await one.until(lambda now: bool(now["brake_control"]["passes"]))
            await one.until(lambda _: one.weights() == telling.full)
            yield telling


@pytest.mark.asyncio
async def test_when_the_control_fails_too_the_weights_are_held_until_the_servers_are_back(
    tmp_path: Path,
) -> None:
    async with story(tmp_path) as now:
        now.control.close()
        now.servers_go()
        await now.told("it is our own link")
        held = await now.one.until(
            lambda told: [each["held"] for each in told["services"][0]["servers"]] == [True] * 3
        )
        assert now.one.weights() == now.full
        [service] = held["services"]
        assert service["brake"]["phase"] == "holding"
        assert not service["quorum"]["met"]
        assert any("`hadirector believe web` ends it" in each for each in held["trouble"])
        explained = await now.one.asked(f"/explain?what=web/{next(iter(now.full))}")
        assert "its weight is held by the brake: the control probe fails" in str(explained)
        assert "or by `hadirector believe web`" in str(explained["because"])
        port = port_of_text(now)
        async with await answering(port, "127.0.0.2"):
            await now.told("passes again: the servers have 10 s")
            await all_come_back(now)


async def all_come_back(now: Story) -> None:
    """The servers answer again, and have the weights that they had."""
    back = [await answering(int(key.rpartition(":")[2])) for key in now.full]
    try:
        await now.told("all that were held have come back")
        assert now.one.weights() == now.full
    finally:
        for each in back:
            each.close()


def port_of_text(now: Story) -> int:
    """The port of the control, which is closed by now."""
    line = next(line for line in now.one.file.read_text().splitlines() if "control:" in line)
    return int(line.partition("port: ")[2].partition(",")[0])


@pytest.mark.asyncio
async def test_a_restart_goes_on_holding_until_the_link_is_back(tmp_path: Path) -> None:
    async with story(tmp_path) as now:
        now.control.close()
        now.servers_go()
        await now.told("it is our own link")
        before = await now.one.until(lambda told: not told["services"][0]["quorum"]["met"])
        await now.one.stop()
        await now.one.start()
        await now.one.hears(messages.Ready)
        assert now.one.weights() == now.full
        await now.told("3 servers are held as before the restart")
        [service] = (await now.one.asked("/status"))["services"]
        assert [each["held"] for each in service["servers"]] == [True] * 3
        assert [each["state"] for each in service["servers"]] == ["down"] * 3
        assert service["quorum"] == before["services"][0]["quorum"]
        assert service["brake"]["for_s"] > 0
        port = port_of_text(now)
        async with await answering(port, "127.0.0.2"):
            await all_come_back(now)


@pytest.mark.asyncio
async def test_when_the_control_passes_the_failures_are_believed(tmp_path: Path) -> None:
    async with story(tmp_path) as now:
        now.servers_go()
        await now.told("the control probe passes: the failures of")
        await now.one.until(lambda _: now.one.weights() == FALLBACK)


@pytest.mark.asyncio
async def test_an_operator_ends_it(tmp_path: Path) -> None:
    async with story(tmp_path) as now:
        now.control.close()
        now.servers_go()
        await now.told("it is our own link")
        reply = await now.one.asked("/believe?what=web", "POST")
        assert "are believed by order" in str(reply["sentence"])
        await now.one.until(lambda _: now.one.weights() == FALLBACK)
        reply = await now.one.asked("/believe?what=web", "POST")
        assert reply["sentence"] == "web: the brake holds nothing"


@pytest.mark.asyncio
async def test_it_ends_by_its_time(tmp_path: Path) -> None:
    async with story(tmp_path, hold="1s") as now:
        now.control.close()
        now.servers_go()
        await now.told("it is our own link")
        await now.told("held for 1 s, which is the most")
        await now.one.until(lambda _: now.one.weights() == FALLBACK)


@pytest.mark.asyncio
async def test_what_never_passed_here_is_no_collapse(tmp_path: Path) -> None:
    """The servers are adopted and their checks are wrong: nothing is held."""
    async with story(tmp_path) as now:
        now.control.close()
        text = now.one.file.read_text()
        dead = text.replace("type: tcp,", "type: tcp, port: 1,", 1)
        assert dead != text
        now.one.file.write_text(dead)
        await now.one.asked("/reload", "POST")
        await now.one.until(lambda _: now.one.weights() == FALLBACK)
        events = (await now.one.asked("/events?count=200"))["events"]
        assert not any("failed within" in event["sentence"] for event in events)
