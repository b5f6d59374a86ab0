"""Turns against the memory twin: adoption, drift, refusals, and services of others."""

import asyncio
from collections.abc import Iterable
from ipaddress import ip_address

import pytest

from hadirector import pool
from hadirector.ipvs import model as ipvs
from hadirector.ipvs.dataplane import AppliedReport, DataplaneAbsentError, DataplaneUnsureError
from hadirector.ipvs.memory import MemoryTable
from hadirector.ipvs.steps import AddService, DeleteService, Step
from hadirector.journal import Journal
from hadirector.reconciler import Reconciler, Turn
from tests.hadirector.test_pool import WEB

POOLS = [pool.everything_up(WEB)]
FOREIGN = ipvs.Service(ipvs.VirtualAddress(ipvs.Protocol.TCP, ip_address("203.0.113.9"), 80))


def turn(reconciler: Reconciler, why: str, pools: list[pool.Pool] = POOLS) -> Turn:
    return asyncio.run(reconciler.turn(why, pools))


def make() -> tuple[Reconciler, MemoryTable, Journal]:
    table, journal = MemoryTable(), Journal(None)
    return Reconciler(table, journal), table, journal


def test_an_empty_kernel_is_filled_and_a_second_turn_writes_nothing() -> None:
    reconciler, _, _ = make()
    assert turn(reconciler, "start").sentence == "start: add 1 service and 2 servers"
    again = turn(reconciler, "audit")
    assert (again.sentence, again.steps, again.drift) == ("audit: the table matches", (), ())


def test_what_matches_already_is_adopted_without_a_write() -> None:
    first, table, _ = make()
    turn(first, "start")
    assert turn(Reconciler(table, Journal(None)), "start").steps == ()


def test_what_another_program_changed_is_journaled_and_repaired() -> None:
    reconciler, table, journal = make()
    turn(reconciler, "start")
    entry = asyncio.run(table.read())[WEB.listen]
    asyncio.run(table.apply([DeleteService(entry)]))
    repaired = turn(reconciler, "audit")
    assert len(repaired.drift) == 3
    assert journal.newest(1)[0].kind == "repair"
    assert "another program changed the table" in journal.newest(1)[0].sentence
    assert turn(reconciler, "audit").drift == ()


def test_a_change_of_health_is_not_drift() -> None:
    reconciler, _, journal = make()
    turn(reconciler, "start")
    down = pool.build(WEB, {"web/198.51.100.22:80": pool.Health(True, "")})
    changed = turn(reconciler, "health", [down])
    assert changed.drift == ()
    assert changed.sentence == "health: remove 1 server"
    assert journal.newest(1)[0].kind == "table"


class Absent(MemoryTable):
    async def read(self, *, traffic: bool = False) -> ipvs.Table:
        raise DataplaneAbsentError("this kernel has no IPVS")


def test_without_services_no_table_is_needed() -> None:
    reconciler = Reconciler(Absent(), Journal(None))
    assert turn(reconciler, "start", []).sentence == (
        "start: no services, so the table is not looked at"
    )
    with pytest.raises(DataplaneAbsentError):
        turn(reconciler, "reload")


def test_what_the_kernel_refuses_is_told_once_and_tried_again() -> None:
    table, journal = MemoryTable(schedulers={"rr"}), Journal(None)
    reconciler = Reconciler(table, journal)
    refused = turn(reconciler, "start")
    assert "no scheduler 'wlc'" in refused.failures[0]
    assert refused.sentence.endswith("3 refused by the kernel")
    told = journal.newest(10)
    assert len(told) == 1 + len(refused.failures)
    assert turn(reconciler, "audit").failures == refused.failures
    assert journal.newest(10) == told


class Interrupted(MemoryTable):
    """Does the first step, then loses the kernel's answer, once."""

    lost = False

    async def apply(self, steps: Iterable[Step]) -> AppliedReport:
        if self.lost:
            return await super().apply(steps)
        self.lost = True
        await super().apply(list(steps)[:1])
        raise DataplaneUnsureError("no answer within 2 s")


def test_our_own_half_done_work_is_no_drift_and_stays_ours() -> None:
    reconciler = Reconciler(Interrupted(), Journal(None))
    with pytest.raises(DataplaneUnsureError):
        turn(reconciler, "start")
    assert turn(reconciler, "reload", []).sentence == "reload: remove 1 service"
    changed = turn(reconciler, "retry")
    assert (changed.drift, changed.failures) == ((), ())


def test_a_service_of_somebody_else_stays_and_is_told_once() -> None:
    reconciler, table, journal = make()
    asyncio.run(table.apply([AddService(FOREIGN)]))
    assert turn(reconciler, "start").kept == ("tcp 203.0.113.9:80",)
    turn(reconciler, "audit")
    told = [event for event in journal.newest(10) if "left alone" in event.sentence]
    assert len(told) == 1
    assert FOREIGN.key in asyncio.run(table.read())


def test_a_service_that_was_ours_goes_with_its_configuration() -> None:
    reconciler, table, _ = make()
    turn(reconciler, "start")
    assert turn(reconciler, "reload", []).sentence == "reload: remove 1 service"
    assert len(asyncio.run(table.read())) == 0
