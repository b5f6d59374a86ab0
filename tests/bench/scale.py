"""Very large tables and many connections: what the commands need, measured as processes.

Usage: python -m tests.bench.scale [--runs 3] [--only plan,large,connections] [SERVICESxSERVERS ...]

    plan          `hadirector plan FILE` against an equal table in the kernel: interpreter, imports,
                  loading, validation, reading the table and planning. Seconds of one processor, and
                  the most memory that was resident. It must find nothing to write.
    large         the last of the sizes through every command, once each: `apply`, the same again (0
                  writes), `ipvs list`, one weight changed in the file (1 write), `ipvs save`, all
                  removed. /proc/net/ip_vs is the second opinion after each.
    connections   `hadirector ipvs list --connections` of 1,000 and of 50,000 connections, on a
                  terminal whose output goes to a file, beside `ipvsadm -L -n -c`.

Default sizes: 4000x10 and 20000x2 (40,000 servers), 10000x10 (100,000).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import pty
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hadirector.ipvs.model import Table
from hadirector.ipvs.table import KernelTable
from hadirector.plan import plan
from tests.bench.embedded import boot, has_ipvs
from tests.bench.tables import blocks, make_table, spread
from tests.kernel.ipvs_namespace import fresh_network

SIZES = ("4000x10", "20000x2", "10000x10")
FEW, MANY = 1_000, 50_000
VIP, SERVER, CLIENT = "10.0.0.1", "10.9.0.2", "10.8.0.1"
FIRST_PORT = 2000


@dataclass(frozen=True)
class Used:
    """What one process needed."""

    seconds: float  # on the wall
    processor_s: float
    resident_mb: float
    told: str  # what it wrote on standard error


def run(command: list[str], output: Path) -> Used:
    """Run a command whose standard error is a terminal; its exit status must be 0."""
    ours, theirs = pty.openpty()
    began = time.monotonic()
    with output.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=theirs)
    os.close(theirs)
    told = bytearray()
    try:
        while chunk := os.read(ours, 4096):
            told += chunk
    except OSError:  # how a terminal says that the other end is closed
        pass
    os.close(ours)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (command, process.returncode, bytes(told[-500:]))
    return Used(
        seconds=time.monotonic() - began,
        processor_s=usage.ru_utime + usage.ru_stime,
        resident_mb=usage.ru_maxrss / 1024,
        told=told.decode(errors="replace"),
    )


def hadirector(*arguments: str) -> list[str]:
    """Our command."""
    return [sys.executable, "-m", "hadirector", *arguments]


def row(what: str, found: list[Used]) -> None:
    """Print one row."""
    wall = spread([used.seconds * 1000 for used in found])
    processor = spread([used.processor_s * 1000 for used in found])
    memory = spread([used.resident_mb for used in found], "MB")
    print(f"{what:<48}{wall:>26}{processor:>26}{memory:>22}", flush=True)


async def program(table: Table) -> None:
    """Write a table into this namespace's kernel."""
    kernel = KernelTable()
    report = await kernel.apply(plan(table, Table()).steps)
    assert report.ok, report.failures[:3]
    kernel.close()


def plans(size: str, runs: int) -> None:
    """Plan against an equal table."""
    services, servers = (int(number) for number in size.split("x"))
    table = make_table(services, servers)
    with fresh_network(), tempfile.TemporaryDirectory() as place:
        file, output = Path(place, "pair.yaml"), Path(place, "output")
        file.write_text(blocks(table))
        asyncio.run(program(table))
        found = [run(hadirector("plan", str(file)), output) for _ in range(runs)]
        assert "matches" in output.read_text(), output.read_text()[:500]
    row(f"{size}: plan against an equal table, 0 writes", found)


def large(size: str) -> None:
    """One table by way of every command, from nothing to nothing."""
    services, servers = (int(number) for number in size.split("x"))
    table = make_table(services, servers)
    text, count = blocks(table), services * servers
    with fresh_network(), tempfile.TemporaryDirectory() as place:
        file, output = Path(place, "pair.yaml"), Path(place, "output")
        nothing = Path(place, "nothing")
        nothing.touch()
        apply = hadirector("apply", str(file), "--yes", "--runtime-dir", place)

        def step(what: str, command: list[str], left: int) -> str:
            used = run(command, output)
            assert in_kernel() == left, (what, in_kernel())
            row(f"{size}: {what}", [used])
            return output.read_text()

        file.write_text(text)
        step("apply to an empty table", apply, count)
        assert "matches" in step("the same again, 0 writes", apply, count)
        assert step("ipvs list", hadirector("ipvs", "list"), count).count("tcp ") == services
        head, _, last = text.rstrip().rpartition("  - ")
        file.write_text(f"{head}  - {{address: '{last}', weight: 2}}\n")
        told = step("apply with one weight changed, 1 write", apply, count)
        assert "change 1 server" in told, told[-500:]
        assert step("ipvs save", hadirector("ipvs", "save"), count).count("-a ") == count
        restore = hadirector("ipvs", "restore", "--exact", str(nothing))
        step("ipvs restore --exact of an empty file", restore, 0)


def in_kernel() -> int:
    """How many real servers /proc shows."""
    with Path("/proc/net/ip_vs").open() as lines:
        return sum(line.startswith("  -> ") for line in lines) - 1  # one is the heading


def connections(runs: int) -> None:
    """List connections, few and many."""
    with fresh_network(), tempfile.TemporaryDirectory() as place:
        output = Path(place, "output")
        for words in (
            f"ip address add {CLIENT}/32 dev lo",
            f"ip address add {VIP}/32 dev lo",
            "ip link add inside type dummy",
            "ip link set inside up",
            "ip address add 10.9.0.1/24 dev inside",
            f"ipvsadm -A -u {VIP}:53 -s rr",
            f"ipvsadm -a -u {VIP}:53 -r {SERVER}:53 -m",
        ):
            subprocess.run(words.split(), check=True)
        peers: dict[str, Callable[[], list[str]]] = {
            "hadirector": lambda: hadirector("ipvs", "list", "--connections"),
            "ipvsadm": lambda: ["ipvsadm", "-L", "-n", "-c"],
        }
        begun = 0
        for count in (FEW, MANY):
            for number in range(begun, count):
                connect(FIRST_PORT + number)
            begun = count
            for name, command in peers.items():
                found = [run(command(), output) for _ in range(runs)]
                with output.open() as lines:
                    assert sum("UDP" in line for line in lines) == count
                if name == "hadirector":
                    assert f"{count} connections read" in found[0].told, found[0].told
                row(f"{count} connections listed by {name}", found)


def connect(port: int) -> None:
    """One datagram from this port to the service."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((CLIENT, port))
        client.sendto(b"x", (VIP, 53))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale")
    parser.add_argument("sizes", nargs="*", default=SIZES)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="plan,large,connections")
    asked = parser.parse_args()
    if not has_ipvs():
        return boot("tests.bench.scale", sys.argv[1:])
    print(f"{'':<48}{'wall clock':>26}{'processor':>26}{'most resident':>22}")
    if "plan" in asked.only:
        for size in asked.sizes:
            plans(size, asked.runs)
    if "large" in asked.only:
        large(asked.sizes[-1])
    if "connections" in asked.only:
        connections(asked.runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
