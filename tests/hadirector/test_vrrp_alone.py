"""The director process without anything to balance: what it answers, and what it becomes when a
reload gives it something to do. In this process, with a supervisor's channel and the real API.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hadirector import messages
from hadirector.channel import Channel
from hadirector.cli.client import ask
from hadirector.cli.errors import CliError
from hadirector.config.codec import config_to_json
from hadirector.config.loader import load
from hadirector.elections import told_to_worker
from hadirector.vrrp_alone import VrrpAlone
from tests.hadirector.cli.made_up import STATUS
from tests.hadirector.test_director import REPORT
from vrrp import messages as vrrp_messages

BOUND_S = 10.0
FILE = """
nodes:
  lb1: {address: 192.0.2.11, priority: 254}
  lb2: {address: 192.0.2.12, priority: 253}
virtual_routers:
  - {name: front, vrid: 51, interface: eth0, addresses: [192.0.2.100/24]}
"""
NOTHING = "services: []\n"
SERVICE = """
services:
  - {name: web, listen: tcp://192.0.2.100:80, scheduler: wlc, forward: nat,
     check: {type: tcp}, servers: [198.51.100.21:80]}
"""


class Alone:
    """The process under way, as its supervisor and its operators see it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "pair.yaml"
        self.channel: Channel
        self.theirs: Channel
        self.running: asyncio.Task[messages.Configure | None]

    def says(self, message: messages.Message) -> None:
        self.channel.send(messages.encode(message))

    async def hears(self, kind: type[messages.Message]) -> messages.Message:
        async with asyncio.timeout(BOUND_S):
            while (line := await self.channel.receive()) is not None:
                if isinstance(message := messages.decode(line), kind):
                    return message
        raise AssertionError(f"it ended without a {kind.__name__}")

    async def asked(self, path: str, method: str = "GET") -> dict[str, Any]:
        return await asyncio.to_thread(ask, self.directory, path, method=method)

    async def until_known(self, name: str) -> dict[str, Any]:
        async with asyncio.timeout(BOUND_S):
            while True:
                told = await self.asked(f"/explain?what={name}")
                if told["state"] != "unknown":
                    return told
                await asyncio.sleep(0.02)

    async def ended(self) -> messages.Configure | None:
        async with asyncio.timeout(BOUND_S):
            return await self.running


@asynccontextmanager
async def alone(directory: Path) -> AsyncIterator[Alone]:
    one = Alone(directory)
    one.file.write_text(FILE + NOTHING)
    config = load(one.file).config
    assert config is not None
    assert not config.balances
    ours, theirs = socket.socketpair()
    one.channel, one.theirs = await Channel.over(ours), await Channel.over(theirs)
    told = messages.Configure(
        config=config_to_json(config),
        vrrp=told_to_worker(config, "lb1"),
        file=str(one.file),
        node="lb1",
        runtime_dir=str(directory),
        state_dir=str(directory),
        balances=False,
    )
    one.running = asyncio.create_task(VrrpAlone(told, one.theirs).run())
    try:
        await one.hears(messages.Ready)  # at once: there is nothing to wait for
        yield one
    finally:
        one.says(messages.Stop("the test is over"))
        await one.ended()
        one.channel.close()
        one.theirs.close()


@pytest.mark.asyncio
async def test_it_is_ready_at_once_and_tells_of_the_virtual_routers(tmp_path: Path) -> None:
    async with alone(tmp_path) as one:
        one.says(messages.Processes({"vrrp": {"pid": 1, "restarts": 0, "since": 0.0}}))
        one.says(messages.FromVrrp(vrrp_messages.encode(REPORT).decode()))
        told = await one.until_known("front")
        assert told["because"][0] == "no other router was heard"
        status = await one.asked("/status")
        assert status["ready"]
        assert status.keys() == STATUS.keys()
        assert status["services"] == []
        assert [router["state"] for router in status["routers"]] == ["active"]
        with pytest.raises(CliError, match=r'"web"; there is: front'):
            await one.asked("/explain?what=web")
        with pytest.raises(CliError, match="has no services"):
            await one.asked("/override?what=web/198.51.100.21:80&order=drain", "POST")
        assert "not looked at" in str((await one.asked("/audit", "POST"))["sentence"])


@pytest.mark.asyncio
async def test_a_reload_passes_on_other_virtual_routers_and_refuses_a_bad_file(
    tmp_path: Path,
) -> None:
    async with alone(tmp_path) as one:
        one.file.write_text(FILE.replace("51", "512") + NOTHING)
        reply = await one.asked("/reload", "POST")
        assert not reply["accepted"]
        assert reply["diagnostics"][0]["path"] == "virtual_routers[0].vrid"
        assert "a restart would fail" in (await one.asked("/status"))["trouble"][0]

        one.file.write_text(FILE.replace("front", "back") + NOTHING)
        one.says(messages.Reload("SIGHUP"))
        adopted = await one.hears(messages.Adopted)
        assert isinstance(adopted, messages.Adopted)
        assert not adopted.balances
        assert json.loads(adopted.vrrp)["routers"][0]["name"] == "back"
        status = await one.asked("/status")
        assert [router["name"] for router in status["routers"]] == ["back"]
        assert status["trouble"] == []


@pytest.mark.asyncio
async def test_a_file_with_services_makes_it_a_director_that_knows_what_was_heard(
    tmp_path: Path,
) -> None:
    async with alone(tmp_path) as one:
        one.says(messages.FromVrrp(vrrp_messages.encode(REPORT).decode()))
        await one.until_known("front")
        one.file.write_text(FILE + SERVICE)
        reply = await one.asked("/reload", "POST")
        assert reply["accepted"]
        become = await one.ended()
        assert become is not None
        assert become.balances
        assert become.adopting
        assert '"web"' in become.config
        lines = [await one.theirs.receive(timeout_s=BOUND_S) for _ in range(2)]
        heard = [messages.decode(line) for line in lines if line is not None]
        assert isinstance(heard[0], messages.Processes)
        assert heard[1] == messages.FromVrrp(vrrp_messages.encode(REPORT).decode())


@pytest.mark.asyncio
async def test_it_ends_with_its_supervisor(tmp_path: Path) -> None:
    async with alone(tmp_path) as one:
        one.channel.close()
        assert await one.ended() is None
    assert "the supervisor is gone" in (tmp_path / "journal.ndjson").read_text()


@pytest.mark.parametrize(
    ("more", "needs_ipvs", "balances"),
    [
        ("", False, False),
        ("connection_sync: {interface: eth1}\n", True, True),
        ("ipvs: {tcp_timeout: 15m}\n", True, True),
        ("undeclared: remove\n", True, True),
        ("peer: {}\n", False, True),
    ],
)
def test_what_a_file_needs_of_the_kernel(
    tmp_path: Path, more: str, needs_ipvs: bool, balances: bool
) -> None:
    file = tmp_path / "pair.yaml"
    file.write_text(FILE + NOTHING + more)
    outcome = load(file)
    assert outcome.config is not None
    assert (outcome.config.needs_ipvs, outcome.config.balances) == (needs_ipvs, balances)
