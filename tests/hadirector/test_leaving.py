"""What a stop leaves in the table, by policy: ours removed or drained, others' never touched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hadirector.ipvs.dataplane import DataplaneUnsureError
from hadirector.ipvs.memory import MemoryTable
from hadirector.ipvs.model import Service, ServiceKey, Table
from hadirector.leaving import OnStop, leave
from hadirector.plan import Undeclared
from tests.hadirector.ipvs.dataplane_contract import SERVER, SERVICE, WEB

FOREIGN = Service(replace(WEB, port=81))
OURS = (SERVICE, [SERVER])
KEEP, REMOVE = Undeclared.KEEP, Undeclared.REMOVE


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("how", "others", "undeclared", "left", "sentence"),
    [
        (OnStop.KEEP, True, KEEP, 2, "the table stays in place"),
        (OnStop.FLUSH, False, KEEP, 0, "1 services removed, and the table is empty"),
        (OnStop.FLUSH, True, KEEP, 1, "1 services removed"),
        (OnStop.FLUSH, True, REMOVE, 0, "2 services removed, and the table is empty"),
        (OnStop.DRAIN, True, KEEP, 2, "1 servers drained"),
    ],
)
async def test_the_table_after_a_stop(
    how: OnStop, others: bool, undeclared: Undeclared, left: int, sentence: str
) -> None:
    table = MemoryTable(Table.of(OURS, *([(FOREIGN, [])] if others else [])))
    assert await leave(how, table, table.table, {WEB}, undeclared) == sentence
    assert len(table.table) == left
    if how is OnStop.DRAIN:
        [server] = table.table[WEB].destinations.values()
        assert server.weight == 0


@pytest.mark.asyncio
async def test_what_fails_is_told_and_stops_no_stop() -> None:
    class Silent(MemoryTable):
        async def keys(self) -> frozenset[ServiceKey] | None:
            raise DataplaneUnsureError("no answer")

    said = await leave(OnStop.FLUSH, Silent(), Table.of(OURS), {WEB}, KEEP)
    assert said == "the table stays in place, although on_stop is flush: no answer"


@pytest.mark.asyncio
async def test_where_nothing_was_declared_nothing_is_asked() -> None:
    assert await leave(OnStop.FLUSH, MemoryTable(), Table(), (), KEEP) == "the table stays in place"


@pytest.mark.asyncio
async def test_what_nobody_can_express_is_not_flushed() -> None:
    class Odd(MemoryTable):
        async def keys(self) -> frozenset[ServiceKey] | None:
            return None

    table = Odd(Table.of(OURS, (FOREIGN, [])))
    assert await leave(OnStop.FLUSH, table, Table(), {WEB}, KEEP) == "1 services removed"
    assert set(table.table) == {FOREIGN.key}
