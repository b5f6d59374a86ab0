"""ipvsadm takes the rules we write, and we take those it writes, for any table at all.

How it works: a table is drawn, its rules are restored by ipvsadm into an empty kernel, which must
then hold that table; what ipvsadm saves of it must read back as the table (without thresholds and
third scheduler flags, which ipvsadm 1.31 leaves out when it saves).
"""

import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from hadirector.ipvs.model import (
    Destination,
    Entry,
    Forward,
    Protocol,
    Service,
    ServiceFlag,
    ServiceKey,
    Table,
    VirtualAddress,
)
from hadirector.ipvs.ruletext import format_rules, parse_rules
from hadirector.ipvs.table import KernelTable
from tests.hadirector.ipvs.strategies import tables
from tests.kernel.ipvs_namespace import fresh_network

SCHEDULERS_OF_IPVSADM = {"sh", "mh"}


@pytest.fixture
def kernel() -> Iterator[KernelTable]:
    with fresh_network():
        table = KernelTable()
        yield table
        table.close()


def ipvsadm(*arguments: str, rules: str = "") -> str:
    command = ["ipvsadm", *arguments]
    done = subprocess.run(command, input=rules, check=True, capture_output=True, text=True)
    return done.stdout


def sayable(table: Table) -> Table:
    """The table without what ipvsadm cannot be told: it sets the ports of DR and TUN itself."""

    def service(service: Service) -> Service:
        key = service.key
        if isinstance(key, VirtualAddress) and key.protocol is not Protocol.UDP:
            service = replace(service, flags=service.flags & ~ServiceFlag.ONE_PACKET)
        if isinstance(key, VirtualAddress) and key.port == 0 and service.persistence is None:
            return replace(service, key=replace(key, port=80))
        return service

    def server(key: ServiceKey, server: Destination) -> Destination:
        if server.forward in (Forward.LOCAL, Forward.BYPASS):
            server = replace(server, forward=Forward.NAT)
        server = replace(server, upper=min(server.upper, 9), lower=min(server.lower, 9))
        if isinstance(key, VirtualAddress) and server.forward is not Forward.NAT:
            server = replace(server, key=replace(server.key, port=key.port))
        flags = server.tunnel.flags if server.tunnel.type else 0
        flags = min(flags, 1) if server.tunnel.port == 0 else flags
        return replace(server, tunnel=replace(server.tunnel, flags=flags))

    entries: dict[ServiceKey, Entry] = {}
    for entry in table.values():
        asked = service(entry.service)
        servers = [server(asked.key, each) for each in entry.destinations.values()]
        entries.setdefault(asked.key, Entry(asked, {each.key: each for each in servers}))
    return Table(entries)


def as_saved(table: Table) -> Table:
    """What ipvsadm 1.31 leaves of a table when it saves it."""

    def flags(service: Service) -> Service:
        if service.scheduler in SCHEDULERS_OF_IPVSADM:
            return replace(service, flags=service.flags & ~ServiceFlag.SCHEDULER_3)
        return service

    return Table(
        {
            key: Entry(
                flags(entry.service),
                {k: replace(d, upper=0, lower=0) for k, d in entry.destinations.items()},
            )
            for key, entry in table.items()
        }
    )


@pytest.mark.asyncio
@given(drawn=tables())
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_both_directions_hold_for_any_table(kernel: KernelTable, drawn: Table) -> None:
    table = sayable(drawn)
    rules = format_rules(table)
    assert rules.unsaid == ()
    ipvsadm("-C")
    ipvsadm("-R", rules="".join(f"{line}\n" for line in rules.lines))
    assert await kernel.read() == table
    assert parse_rules(ipvsadm("-S", "-n")) == as_saved(table)
