"""The director process from its first line to its last, in this process: real checks of real
sockets, the real API, the channel of a supervisor; only the kernel's table is the twin in memory.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from hadirector import messages
from hadirector.channel import Channel
from hadirector.cli.client import ask
from hadirector.config.codec import config_to_json
from hadirector.config.loader import load
from hadirector.director import Director
from hadirector.elections import told_to_worker
from hadirector.ipvs.dataplane import Dataplane, DataplaneAbsentError
from hadirector.ipvs.memory import MemoryTable
from hadirector.ipvs.model import Table
from tests.hadirector.memory_daemons import MemoryDaemons
from tests.hadirector.pair import write_pair
from vrrp import messages as vrrp_messages
from vrrp.events import State

BOUND_S = 10.0
Status = dict[str, Any]
REPORT = vrrp_messages.RouterReport(
    name="front",
    vrid=51,
    interface="eth0",
    group=None,
    state=State.ACTIVE,
    priority=254,
    since=1.0,
    reason="no other router was heard",
    active_peer=None,
    addresses=("192.0.2.100/24",),
    held=("192.0.2.100/24",),
    counters={},
)


class Daemon:
    """A director under way, as its supervisor, its operators and its kernel see it."""

    def __init__(
        self,
        directory: Path,
        table: MemoryTable,
        kernel: Dataplane | None = None,
        *,
        node: str = "lb1",
    ) -> None:
        self.directory = directory
        self.node = node
        self.file = directory / "pair.yaml"
        self.table = table
        self.adopting = False  # it goes on from a director that had nothing to balance
        self._dataplane = kernel or table
        self.kernel = MemoryDaemons()
        self._task: asyncio.Task[None]
        self._channel: Channel
        self._theirs: Channel

    async def start(self) -> None:
        ours, theirs = socket.socketpair()
        self._channel = await Channel.over(ours)
        config = load(self.file).config
        assert config is not None
        told = messages.Configure(
            config=config_to_json(config),
            vrrp=told_to_worker(config, "lb1"),
            file=str(self.file),
            node=self.node,
            runtime_dir=str(self.directory),
            state_dir=str(self.directory),
            adopting=self.adopting,
        )
        self._theirs = await Channel.over(theirs)
        self._task = asyncio.create_task(
            Director(told, self._theirs, self._dataplane, self.kernel).run()
        )
        self.says(messages.Processes({"vrrp": {"pid": 1, "restarts": 0, "since": 0.0}}))
        await self.hears(messages.Heartbeat)  # from now on it answers

    def says(self, message: messages.Message) -> None:
        """The supervisor says something."""
        self._channel.send(messages.encode(message))

    async def stop(self, *, supervisor_dies: bool = False) -> None:
        """Have it end, and raise what it raised."""
        if supervisor_dies:
            self._channel.close()
        else:
            self.says(messages.Stop("the test is over"))
        try:
            async with asyncio.timeout(BOUND_S):
                await self._task
        finally:
            self._channel.close()
            self._theirs.close()

    async def hears(self, kind: type[messages.Message]) -> messages.Message:
        """What the supervisor hears, up to the first message of a kind."""
        async with asyncio.timeout(BOUND_S):
            while (line := await self._channel.receive()) is not None:
                message = messages.decode(line)
                if isinstance(message, kind):
                    return message
        raise AssertionError(f"the director ended without a {kind.__name__}")

    async def asked(self, path: str, method: str = "GET") -> Status:
        return await asyncio.to_thread(ask, self.directory, path, method=method)

    async def until(self, true: Callable[[Status], bool]) -> Status:
        """The first status of which something is true."""
        async with asyncio.timeout(BOUND_S):
            while True:
                status = await self.asked("/status")
                if true(status):
                    return status
                await asyncio.sleep(0.02)

    async def sentences(self) -> list[str]:
        reply = await self.asked("/events?count=100")
        return [event["sentence"] for event in reply["events"]]

    def weights(self) -> dict[str, int]:
        entries = self.table.table.values()
        return {str(k): d.weight for entry in entries for k, d in entry.destinations.items()}


@asynccontextmanager
async def listening() -> AsyncIterator[asyncio.Server]:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1") as server:
        yield server


def port_of(server: asyncio.Server) -> int:
    return cast(int, server.sockets[0].getsockname()[1])


@asynccontextmanager
async def daemon(
    directory: Path,
    ports: list[int],
    table: MemoryTable | None = None,
    *,
    check: str = "type: tcp",
) -> AsyncIterator[Daemon]:
    write_pair(directory / "pair.yaml", ports, check=check)
    one = Daemon(directory, table or MemoryTable())
    await one.start()
    try:
        yield one
    finally:
        await one.stop()


@pytest.mark.asyncio
async def test_servers_come_into_the_table_and_leave_it_with_their_reason(tmp_path: Path) -> None:
    async with listening() as first, listening() as second:
        ports = [port_of(first), port_of(second)]
        async with daemon(tmp_path, ports) as one:
            # Before it is ready, so that an election knows when it may be preempted for it.
            assert await one.hears(messages.Quorums) == messages.Quorums({"web": True})
            await one.hears(messages.Ready)
            assert one.weights() == {f"127.0.0.1:{port}": 1 for port in ports}
            status = await one.until(lambda status: status["ready"])
            assert status["trouble"] == []
            assert [s["state"] for s in status["services"][0]["servers"]] == ["up", "up"]

            second.close()
            await one.until(lambda status: status["services"][0]["up"] == 1)
            gone = f"web/127.0.0.1:{ports[1]}"
            explained = await one.asked(f"/explain?what={gone}")
            assert explained["state"] == "down"
            assert any("refused" in sentence for sentence in explained["because"])
            assert any(s.startswith(f"{gone} is down") for s in await one.sentences())

            first.close()
            status = await one.until(
                lambda status: status["services"][0]["fallbacks"][0]["in_table"]
            )
            assert not status["services"][0]["quorum"]["met"]
            assert await one.hears(messages.Quorums) == messages.Quorums({"web": False})
            await one.until(lambda _: one.weights() == {"127.0.0.1:9": 1})
        assert one.weights() == {"127.0.0.1:9": 1}  # it stopped, the table stays


@pytest.mark.asyncio
async def test_a_restart_adopts_the_table_and_removes_what_left_the_file_meanwhile(
    tmp_path: Path,
) -> None:
    async with listening() as server:
        table = MemoryTable()
        async with daemon(tmp_path, [port_of(server)], table) as one:
            await one.hears(messages.Ready)
        writes = table.writes
        async with daemon(tmp_path, [port_of(server)], table) as one:
            await one.hears(messages.Ready)
            assert table.writes == writes
        (tmp_path / "pair.yaml").write_text(
            (tmp_path / "pair.yaml").read_text().replace("100:80", "100:81")
        )
        again = Daemon(tmp_path, table)
        await again.start()
        await again.hears(messages.Ready)
        assert [str(key) for key in table.table] == ["tcp 192.0.2.100:81"]
        await again.stop(supervisor_dies=True)


@pytest.mark.asyncio
async def test_services_that_come_with_a_reload_are_there_before_the_addresses_follow(
    tmp_path: Path,
) -> None:
    """Until then there was none, so another process answered, and VRRP was not held."""
    async with listening() as server:
        write_pair(tmp_path / "pair.yaml", [port_of(server)])
        one = Daemon(tmp_path, MemoryTable())
        one.adopting = True
        await one.start()
        try:
            adopted = await one.hears(messages.Adopted)
            assert isinstance(adopted, messages.Adopted)
            assert adopted.balances
            assert json.loads(adopted.vrrp)["routers"][0]["name"] == "front"
            assert one.weights() == {f"127.0.0.1:{port_of(server)}": 1}
            await one.hears(messages.Ready)
        finally:
            await one.stop()


@pytest.mark.asyncio
async def test_a_reload_changes_the_difference_and_a_bad_file_nothing(tmp_path: Path) -> None:
    async with (
        listening() as first,
        listening() as second,
        daemon(tmp_path, [port_of(first)]) as one,
    ):
        await one.hears(messages.Ready)
        write_pair(one.file, [port_of(first), port_of(second)])
        reply = await one.asked("/reload", "POST")
        assert reply["sentence"] == (
            f"reload accepted: server web/127.0.0.1:{port_of(second)} added"
        )
        assert (reply["accepted"], reply["changed"], reply["failures"]) == (True, True, [])
        adopted = await one.hears(messages.Adopted)
        assert isinstance(adopted, messages.Adopted)
        assert str(port_of(second)) in json.dumps(json.loads(adopted.config))
        await one.until(lambda status: status["services"][0]["up"] == 2)

        write_pair(one.file, [port_of(first)], scheduler="wlcc")
        reply = await one.asked("/reload", "POST")
        assert (reply["accepted"], reply["changed"]) == (False, False)
        assert reply["diagnostics"][0]["path"] == "services[0].scheduler"
        status = await one.until(lambda status: bool(status["trouble"]))
        assert "a restart would fail" in status["trouble"][0]
        assert len(one.weights()) == 2

        write_pair(one.file, [port_of(first), port_of(second)])
        one.says(messages.Reload("SIGHUP"))
        await one.until(lambda status: not status["trouble"])
        assert (await one.sentences())[-1] == "reload: the file says what it said before"


@pytest.mark.asyncio
async def test_a_step_that_the_kernel_refuses_is_trouble_and_told_to_who_reloads(
    tmp_path: Path,
) -> None:
    async with listening() as server:
        table = MemoryTable(schedulers={"wlc"})
        async with daemon(tmp_path, [port_of(server)], table) as one:
            await one.hears(messages.Ready)
            write_pair(one.file, [port_of(server)], scheduler="mh")
            reply = await one.asked("/reload", "POST")
            assert reply["accepted"]
            assert "no scheduler 'mh'" in reply["failures"][0]
            status = await one.until(lambda status: bool(status["trouble"]))
            assert "no scheduler 'mh'" in status["trouble"][0]


class AbsentTable(MemoryTable):
    """A kernel without IPVS, as long as `absent`."""

    absent = True

    async def read(self, *, traffic: bool = False) -> Table:
        if self.absent:
            raise DataplaneAbsentError("this kernel has no IPVS")
        return await super().read(traffic=traffic)


@pytest.mark.asyncio
async def test_a_table_that_cannot_be_kept_is_said_once_and_tried_again(tmp_path: Path) -> None:
    table = AbsentTable()
    async with listening() as server, daemon(tmp_path, [port_of(server)], table) as one:
        status = await one.until(lambda status: bool(status["services"]))
        assert not status["ready"]
        assert "modprobe ip_vs" in status["trouble"][0]
        assert (await one.asked("/explain?what=web"))["kind"] == "service"
        table.absent = False
        await one.hears(messages.Ready)
        status = await one.until(lambda status: status["ready"])
        assert status["trouble"] == []
        assert len([s for s in await one.sentences() if "cannot be kept" in s]) == 1


@pytest.mark.asyncio
async def test_a_dead_vrrp_worker_is_not_shown_as_active(tmp_path: Path) -> None:
    async with listening() as server, daemon(tmp_path, [port_of(server)]) as one:
        one.says(messages.FromVrrp(vrrp_messages.encode(REPORT).decode()))
        status = await one.until(lambda status: status["routers"][0]["state"] == "active")
        assert status["routers"][0]["held"] == ["192.0.2.100/24"]
        one.says(messages.Processes({"vrrp": {"pid": None, "restarts": 1, "since": 0.0}}))
        status = await one.until(lambda status: status["routers"][0]["state"] == "unknown")
        assert status["routers"][0]["held"] == []
        assert status["trouble"] == ["the VRRP worker is down: this node takes no part"]


@pytest.mark.asyncio
async def test_what_it_does_not_understand_is_journaled(tmp_path: Path) -> None:
    async with listening() as server, daemon(tmp_path, [port_of(server)]) as one:
        one.says(messages.FromVrrp("nonsense"))
        one.says(messages.Heartbeat())  # not for a director
        one.says(messages.Note("last-will", "front: 192.0.2.12 took over", 12.5))
        await one.until(lambda status: True)
        sentences = await one.sentences()
        assert any("something unknown" in sentence for sentence in sentences)
        assert "front: 192.0.2.12 took over" in sentences


@pytest.mark.asyncio
async def test_a_server_asks_for_its_weight_and_is_drained(tmp_path: Path) -> None:
    line = b"up 100%\n"

    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(line)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        port = port_of(server)
        check = f"type: agent, port: {port}"
        async with daemon(tmp_path, [port], check=check) as one:
            key = f"127.0.0.1:{port}"
            await one.until(lambda _: one.weights() == {key: 1})
            line = b"drain\n"
            await one.until(lambda _: one.weights() == {key: 0, "127.0.0.1:9": 1})
            explained = await one.asked(f"/explain?what=web/{key}")
            assert "it asks to be drained" in str(explained["because"])
            line = b"up 100%\n"
            await one.until(lambda _: one.weights() == {key: 1})


class CountedTable(MemoryTable):
    """Counts how often it is read."""

    readings = 0

    async def read(self, *, traffic: bool = False) -> Table:
        self.readings += 1
        return await super().read(traffic=traffic)


@pytest.mark.asyncio
async def test_an_order_costs_one_write_and_a_reload_is_looked_over_after_it(
    tmp_path: Path,
) -> None:
    table = CountedTable()
    async with listening() as server, daemon(tmp_path, [port_of(server)], table) as one:
        await one.hears(messages.Ready)
        before = table.readings, table.writes
        place = f"127.0.0.1:{port_of(server)}"
        await one.asked(f"/override?what=web/{place}&order=weight&weight=5", "POST")
        assert (one.weights(), table.readings, table.writes) == (
            {place: 5},
            before[0],
            before[1] + 1,
        )
        write_pair(one.file, [port_of(server)], scheduler="mh")
        reply = await one.asked("/reload", "POST")
        assert reply["table"] == "reload: change 1 service"
        assert table.writes == before[1] + 2
        status = await one.until(lambda status: status["table"]["sentence"].startswith("audit"))
        assert status["table"]["sentence"] == "audit: the table matches"
        assert table.readings == before[0] + 1
