"""The memory twin keeps the contract, and its tables are values."""

import pytest

from hadirector.ipvs.memory import MemoryTable
from hadirector.ipvs.steps import AddDestination, AddService
from tests.hadirector.ipvs.dataplane_contract import (
    SERVER,
    SERVICE,
    WEB,
    DataplaneContract,
    one,
)


class TestMemoryTable(DataplaneContract):
    @pytest.fixture
    def dataplane(self) -> MemoryTable:
        return MemoryTable()


def test_a_table_handed_out_is_not_changed_by_later_steps() -> None:
    twin = MemoryTable(one(SERVICE))
    before = twin.table
    assert twin.step(AddDestination(WEB, SERVER)) == 0
    assert before == one(SERVICE)
    assert twin.table == one(SERVICE, SERVER)


def test_refused_writes_count_as_writes() -> None:
    twin = MemoryTable(one(SERVICE), schedulers={"rr"})
    twin.step(AddService(SERVICE))
    assert twin.writes == 1
