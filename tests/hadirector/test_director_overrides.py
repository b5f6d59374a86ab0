"""Overrides in the whole director process: the table follows them, apart from health, and they
outlast a restart and a reload.
"""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest

from hadirector import messages
from hadirector.cli.errors import CliError
from hadirector.ipvs.memory import MemoryTable
from hadirector.ipvs.model import Table
from hadirector.ipvs.steps import DeleteDestination, Step
from tests.hadirector.pair import write_pair
from tests.hadirector.test_director import Daemon, Status, daemon, listening, port_of


async def ordered(one: Daemon, server: str, order: str, **more: str) -> Status:
    asked = urlencode({"what": f"web/{server}", "order": order, **more})
    return await one.asked(f"/override?{asked}", "POST")


@pytest.mark.asyncio
async def test_each_order_is_in_the_table_when_it_is_answered(tmp_path: Path) -> None:
    async with listening() as first, listening() as second:
        kept, other = (f"127.0.0.1:{port_of(server)}" for server in (first, second))
        async with daemon(tmp_path, [port_of(first), port_of(second)]) as one:
            await one.hears(messages.Ready)
            reply = await ordered(one, other, "drain")
            assert one.weights() == {kept: 1, other: 0}
            assert (reply["table"], reply["failures"]) == ("drain: change 1 server", [])
            assert reply["now"]["because"][0] == "in the table with weight 0"
            assert reply["now"]["overrides"][0]["order"] == "drain"
            await ordered(one, other, "disable")
            assert one.weights() == {kept: 1}
            await ordered(one, other, "weight", weight="7")
            assert one.weights() == {kept: 1}
            await ordered(one, other, "enable")
            assert one.weights() == {kept: 1, other: 7}
            reply = await ordered(one, other, "weight", weight="default")
            assert one.weights() == {kept: 1, other: 1}
            assert reply["now"]["overrides"] == []
            again = await ordered(one, other, "enable")
            assert (again["changed"], again["table"]) == (False, "enable: the table matches")
            told = [s for s in await one.sentences() if "by hand" in s and s.startswith("web/")]
            assert len(told) == 5


@pytest.mark.asyncio
async def test_a_drained_server_outlasts_a_restart_and_a_reload_without_a_write(
    tmp_path: Path,
) -> None:
    async with listening() as first, listening() as second:
        ports = [port_of(first), port_of(second)]
        kept, drained = (f"127.0.0.1:{port}" for port in ports)
        table = MemoryTable()
        async with daemon(tmp_path, ports, table) as one:
            await one.hears(messages.Ready)
            await ordered(one, drained, "drain")
        writes = table.writes
        async with daemon(tmp_path, ports, table) as one:
            await one.hears(messages.Ready)
            assert (one.weights(), table.writes) == ({kept: 1, drained: 0}, writes)
            write_pair(one.file, ports, scheduler="rr")
            await one.asked("/reload", "POST")
            assert one.weights() == {kept: 1, drained: 0}
            write_pair(one.file, ports[:1])
            await one.asked("/reload", "POST")
            assert any("is not configured any more" in s for s in await one.sentences())
            write_pair(one.file, ports)
            await one.asked("/reload", "POST")
            await one.until(lambda _: one.weights() == {kept: 1, drained: 1})


class Kept(MemoryTable):
    """A table that notes which servers are taken out of it."""

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self.removed: list[str] = []

    def step(self, step: Step) -> int:
        if isinstance(step, DeleteDestination):
            self.removed.append(str(step.before.key))
        return super().step(step)


@pytest.mark.asyncio
async def test_what_is_drained_by_nobodys_order_is_not_cut_off_by_a_restart(tmp_path: Path) -> None:
    """As after `on_stop: drain`: weight 0 until its check has spoken, and never out."""
    async with listening() as first, listening() as second:
        ports = [port_of(first), port_of(second)]
        table = MemoryTable()
        async with daemon(tmp_path, ports, table) as one:
            await one.hears(messages.Ready)
        entries = {
            key: replace(
                entry,
                destinations={
                    name: replace(there, weight=0) for name, there in entry.destinations.items()
                },
            )
            for key, entry in table.table.items()
        }
        (tmp_path / "health.json").unlink()  # what was found before is not known
        kept = Kept(Table(entries))
        async with daemon(tmp_path, ports, kept) as one:
            await one.hears(messages.Ready)
            await one.until(lambda _: [*one.weights().values()] == [1, 1])
        assert kept.removed == []


@pytest.mark.asyncio
async def test_health_goes_before_any_order(tmp_path: Path) -> None:
    async with listening() as server:
        port = port_of(server)
        async with daemon(tmp_path, [port]) as one:
            await one.hears(messages.Ready)
            await ordered(one, f"127.0.0.1:{port}", "weight", weight="3")
            server.close()
            await one.until(lambda _: one.weights() == {"127.0.0.1:9": 1})
            for order in ("weight", "drain", "enable"):
                reply = await ordered(one, f"127.0.0.1:{port}", order, weight="9")
                assert one.weights() == {"127.0.0.1:9": 1}
                assert reply["now"]["state"] == "down"


@pytest.mark.asyncio
async def test_who_does_not_exist_is_refused_and_the_near_one_told(tmp_path: Path) -> None:
    async with listening() as server:
        port = port_of(server)
        async with daemon(tmp_path, [port]) as one:
            await one.hears(messages.Ready)
            with pytest.raises(CliError, match=f'did you mean "web/127.0.0.1:{port}"') as refusal:
                await ordered(one, f"127.0.0.2:{port}", "disable")
            assert refusal.value.code == 2
            assert one.weights() == {f"127.0.0.1:{port}": 1}
