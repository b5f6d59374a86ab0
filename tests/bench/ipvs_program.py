"""How fast a table reaches the kernel, beside ipvsadm and keepalived, in one kernel and one run.

Usage: python -m tests.bench.ipvs_program [SERVICESxSERVERS ...]     (default: 1000x10 5000x2)

Runs here where the kernel has IPVS and we are root, else in the embedded kernel. Each side starts
from an empty table in a network namespace of its own: hadirector loads its file, plans, writes and
plans again against what it reads back; ipvsadm restores the same rules, keepalived starts with them
(without checks). Times in an embedded kernel mean nothing by themselves, hence the ratios.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

from hadirector.config.loader import load
from hadirector.ipvs.model import (
    Destination,
    DestinationKey,
    Forward,
    Table,
    VirtualAddress,
)
from hadirector.ipvs.table import KernelTable
from hadirector.journal import Journal
from hadirector.plan import Plan, plan
from hadirector.pool import Pool, desired_table, everything_up
from hadirector.reconciler import HEALTH, Changes, Reconciler
from tests.bench import table_peers
from tests.bench.embedded import boot, has_ipvs
from tests.bench.table_peers import Times
from tests.bench.tables import blocks, make_table
from tests.kernel.ipvs_namespace import fresh_network


@dataclass(frozen=True)
class Row:
    what: str
    seconds: float
    ipvsadm: float | None = None
    keepalived: float | None = None

    def __str__(self) -> str:
        return f"{self.what:<52}{self.seconds:10.3f}" + "".join(
            f"{peer:10.3f}{peer / self.seconds:7.1f} x" if peer else " " * 19
            for peer in (self.ipvsadm, self.keepalived)
        )


class Clock:
    """How long the last `with clock:` took, in seconds."""

    seconds = 0.0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds = time.perf_counter() - started


def pools_of(text: str) -> list[Pool]:
    """What a configuration text asks for, all servers being up."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "pair.yaml")
        file.write_text(text)
        loaded = load(file)
    assert loaded.config is not None, loaded.render()[:500]
    return [everything_up(service) for service in loaded.config.services]


async def apply(kernel: KernelTable, made: Plan) -> None:
    report = await kernel.apply(made.steps)
    assert report.ok, report.failures[:3]


def measure(table: Table) -> list[Row]:
    """One row per thing measured, the peers first."""
    changed, last = with_one_replaced(table)
    theirs = table_peers.ipvsadm(table)
    others = table_peers.keepalived(table, changed, last)
    return asyncio.run(measure_ours(table, changed, theirs, others))


async def measure_ours(table: Table, changed: Table, theirs: Times, others: Times) -> list[Row]:
    """Our side of it."""
    size = f"{len(table)} x {len(next(iter(table.values())).destinations)}"
    clock = Clock()
    rows = []

    def row(what: str, *peers: float | None) -> None:
        rows.append(Row(f"{size}: {what}", clock.seconds, *peers))

    with fresh_network():
        kernel = KernelTable()
        with clock():
            pools = pools_of(blocks(table))
            wanted = desired_table(pools)
        row("file loaded and validated")
        loaded = clock.seconds
        with clock():
            await apply(kernel, plan(wanted, await kernel.read()))
        row("programmed, plan included", theirs.program, others.program)
        clock.seconds += loaded
        row("the same with the file loaded", None, others.program)
        with clock():
            actual = await kernel.read()
        row("read back", theirs.read)
        with clock():
            assert not plan(wanted, actual)
        row("plan against an equal table")
        clock.seconds = await change_one(kernel, pools)
        row("one weight changed by the running daemon", theirs.change)
        text = blocks(changed)
        with clock():
            wanted = desired_table(pools_of(text))
            made = plan(wanted, await kernel.read())
            await apply(kernel, made)
        row(f"file with one server replaced: {len(made.steps)} writes", None, others.reload)
        with clock():
            await apply(kernel, plan(Table(), await kernel.read(), declared_before=set(table)))
        row("removed again", theirs.remove, others.remove)
        assert not await kernel.read()
        kernel.close()
    return rows


def with_one_replaced(table: Table) -> tuple[Table, tuple[VirtualAddress, DestinationKey]]:
    """The table with another last server in its last service, and where that one is."""
    key, entry = list(table.items())[-1]
    assert isinstance(key, VirtualAddress)
    fresh = Destination(DestinationKey(IPv4Address("10.255.0.1"), 8080), Forward.NAT)
    kept = list(entry.destinations.values())[:-1]
    replaced = replace(entry, destinations={each.key: each for each in (*kept, fresh)})
    return Table({**table.entries, key: replaced}), (key, fresh.key)


async def change_one(kernel: KernelTable, pools: list[Pool]) -> float:
    """From a changed pool to the kernel, as the daemon does it: it knows the table already."""
    reconciler = Reconciler(kernel, Journal(None))
    await reconciler.turn("start", pools)
    first = pools[0].members[0]
    members = (replace(first, weight=2), *pools[0].members[1:])
    changed = [replace(pools[0], members=members), *pools[1:]]
    started = time.perf_counter()
    turn = await reconciler.turn(HEALTH, changed, changes=Changes((changed[0],)))
    taken = time.perf_counter() - started
    assert len(turn.steps) == 1, turn.steps
    return taken


def main() -> int:
    """Measure and print; exit status 0, or 3 where ipvsadm is missing."""
    sizes = sys.argv[1:] or ["1000x10", "5000x2"]
    if not has_ipvs():
        return boot("tests.bench.ipvs_program", sizes)
    if shutil.which("ipvsadm") is None:
        print("ipvsadm is not installed: apt-get install ipvsadm", file=sys.stderr)
        return 3
    print(f"{'seconds':<52}{'hadirector':>10}{'ipvsadm':>10}{'':9}{'keepalived':>10}")
    for size in sizes:
        services, servers = (int(number) for number in size.split("x"))
        for row in measure(make_table(services, servers)):
            print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
