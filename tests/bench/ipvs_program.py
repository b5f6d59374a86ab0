"""How fast a table reaches the kernel, beside ipvsadm, in one kernel and one run.

Usage: python -m tests.bench.ipvs_program [SERVICESxSERVERS ...]     (default: 1000x10)

Runs here where the kernel has IPVS and we are root, else in the embedded kernel. Each side starts
from an empty table in a network namespace of its own: hadirector plans, writes and plans again
against what it reads back; ipvsadm restores the same rules from a file. Times in an embedded
kernel mean nothing by themselves, so the last column is a ratio.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

from hadirector.ipvs.model import (
    Destination,
    DestinationKey,
    Protocol,
    Service,
    Table,
    VirtualAddress,
)
from hadirector.ipvs.table import KernelTable
from hadirector.plan import Plan, plan
from tests.kernel.ipvs_namespace import fresh_network

_VIP = IPv4Address("10.0.0.0")
_SERVER = IPv4Address("10.128.0.0")


@dataclass(frozen=True)
class Row:
    what: str
    seconds: float
    peer_seconds: float | None = None

    def __str__(self) -> str:
        ratio = f"{self.peer_seconds / self.seconds:6.1f} x" if self.peer_seconds else ""
        peer = f"{self.peer_seconds:9.3f}" if self.peer_seconds else " " * 9
        return f"{self.what:<44}{self.seconds:9.3f}{peer}{ratio:>10}"


def make_table(services: int, servers: int) -> Table:
    """So many services with so many servers each, all addresses different."""
    entries = []
    for index in range(services):
        key = VirtualAddress(Protocol.TCP, _VIP + index, 80)
        first = index * servers
        keys = (DestinationKey(_SERVER + first + place, 8080) for place in range(servers))
        entries.append((Service(key), [Destination(each) for each in keys]))
    return Table.of(*entries)


def rules(table: Table) -> str:
    """The same table in ipvsadm's words."""
    lines = []
    for entry in table.values():
        where = str(entry.service.key).removeprefix("tcp ")
        lines.append(f"-A -t {where} -s {entry.service.scheduler}")
        lines += [f"-a -t {where} -r {key} -m -w 1" for key in entry.destinations]
    return "\n".join(lines) + "\n"


async def apply(kernel: KernelTable, made: Plan) -> None:
    report = await kernel.apply(made.steps)
    assert report.ok, report.failures[:3]


async def measure(table: Table) -> list[Row]:
    """One row per thing measured."""
    size = f"{len(table)} x {len(next(iter(table.values())).destinations)}"
    rows = []
    with fresh_network():
        kernel = KernelTable()
        started = time.perf_counter()
        await apply(kernel, plan(table, await kernel.read()))
        programmed = time.perf_counter() - started
        started = time.perf_counter()
        actual = await kernel.read()
        rows.append(Row(f"{size}: read back", time.perf_counter() - started))
        started = time.perf_counter()
        assert not plan(table, actual)
        rows.append(Row(f"{size}: plan against an equal table", time.perf_counter() - started))
        rows.append(Row(f"{size}: one weight changed", await change_one(kernel, actual)))
        started = time.perf_counter()
        await apply(kernel, plan(Table(), await kernel.read(), declared_before=set(table)))
        rows.append(Row(f"{size}: removed again", time.perf_counter() - started))
        assert not await kernel.read()
        kernel.close()
    return [Row(f"{size}: programmed", programmed, restore(rules(table))), *rows]


async def change_one(kernel: KernelTable, actual: Table) -> float:
    """From a changed desired table to the kernel: plan and write, without reading again."""
    key, entry = next(iter(actual.items()))
    server = replace(next(iter(entry.destinations.values())), weight=2)
    changed = replace(entry, destinations={**entry.destinations, server.key: server})
    started = time.perf_counter()
    await apply(kernel, plan(Table({**actual.entries, key: changed}), actual))
    return time.perf_counter() - started


def restore(text: str) -> float:
    """The seconds `ipvsadm -R` takes for these rules."""
    with fresh_network(), tempfile.TemporaryFile("w+") as file:
        file.write(text)
        file.seek(0)
        started = time.perf_counter()
        subprocess.run(["ipvsadm", "-R"], stdin=file, check=True)
        return time.perf_counter() - started


def boot(sizes: list[str]) -> int:
    """This benchmark in the embedded kernel; its exit status."""
    from hadirector.lab.embedded_kernel import Work, run_in_embedded_kernel

    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory() as place:
        work = Work(
            argv=(sys.executable, "-m", "tests.bench.ipvs_program", *sizes),
            workdir=root,
            environment={"HOME": place, "PYTHONPATH": str(root)},
            output=Path(place, "output"),
            console_log=Path(place, "console"),
            timeout_s=900,
        )
        status = run_in_embedded_kernel(work)
        print(work.output.read_text(), end="")
        return status


def main() -> int:
    """Measure and print; exit status 0, or 3 where ipvsadm is missing."""
    sizes = sys.argv[1:] or ["1000x10"]
    if not Path("/proc/net/ip_vs").exists() or os.geteuid() != 0:
        return boot(sizes)
    if shutil.which("ipvsadm") is None:
        print("ipvsadm is not installed: apt-get install ipvsadm", file=sys.stderr)
        return 3
    print(f"{'':<44}{'hadirector':>9}{'ipvsadm':>8}{'ratio':>10}   (seconds)")
    for size in sizes:
        services, servers = (int(number) for number in size.split("x"))
        for row in asyncio.run(measure(make_table(services, servers))):
            print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
