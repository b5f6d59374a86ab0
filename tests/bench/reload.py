"""What a reload costs that changes one server, beside keepalived, in one kernel and one run.

Usage: python -m tests.bench.reload [--runs 5] [SERVICESxSERVERS ...]   (default: 1000x10 5000x2)

Both daemons run; the weight of the last server is changed in the file, SIGHUP is sent, and the
clock runs until the kernel has the new weight (asked of the kernel every few milliseconds, of one
service alone). Then the same with another server in the place of the last: until that one is there.
Checks and audits have nothing to do meanwhile, and servers are up at once with both. Median and
range over the runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hadirector.ipvs import messages
from hadirector.ipvs.model import Destination, ServiceKey, Table
from hadirector.ipvs.netlink import GenericNetlink
from tests.bench.embedded import boot, has_ipvs
from tests.bench.table_peers import configuration
from tests.bench.tables import blocks, make_table, spread
from tests.kernel.ipvs_namespace import fresh_network

BOUND_S = 300.0
POLL_S = 0.005
IDLE_S = 2.0
NEW_ADDRESSES = 1_000_000  # beyond those of the table


async def seen(key: ServiceKey, server: Destination) -> None:
    """Wait until the kernel has this server with this weight."""
    netlink = GenericNetlink(messages.FAMILY_NAME)
    try:
        async with asyncio.timeout(BOUND_S):
            while True:
                found = await netlink.dump(messages.get_destinations(key))
                if server in [messages.decode_destination(one, version=4)[0] for one in found]:
                    return
                await asyncio.sleep(POLL_S)
    finally:
        netlink.close()


@dataclass(frozen=True)
class Taken:
    """Milliseconds: from the start until the table is there, and from each SIGHUP to the change."""

    start: float
    weight: list[float]
    replaced: list[float]


def changes(last: Destination, runs: int) -> list[Destination]:
    """What stands in the place of the last server, one reload after the other."""
    heavier = [replace(last, weight=weight) for weight in range(2, 2 + runs)]
    first = last.key.address + NEW_ADDRESSES
    others = [replace(last, key=replace(last.key, address=first + run)) for run in range(runs)]
    return heavier + others


def measure(
    command: list[str], file: Path, write: Callable[[Table], str], table: Table, runs: int
) -> Taken:
    """Run a daemon, and reload it with each of the changes."""
    key, entry = list(table.items())[-1]
    *others, last = entry.destinations.values()
    file.write_text(write(table))
    with (file.parent / "log").open("w") as log:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            asyncio.run(seen(key, last))
            started = (time.monotonic() - began) * 1000
            taken = []
            for changed in changes(last, runs):
                idle(process.pid)
                servers = {each.key: each for each in (*others, changed)}
                entries = {**table.entries, key: replace(entry, destinations=servers)}
                file.write_text(write(Table(entries)))
                began = time.monotonic()
                process.send_signal(signal.SIGHUP)
                asyncio.run(seen(key, changed))
                taken.append((time.monotonic() - began) * 1000)
            idle(process.pid)
            return Taken(started, taken[:runs], taken[runs:])
        except TimeoutError:
            sys.exit("the daemon did not do it:\n" + (file.parent / "log").read_text()[-3000:])
        finally:
            process.kill()
            process.wait()


def idle(parent: int) -> None:
    """Wait until a daemon and its children have nothing to do."""
    used, since = cpu_ticks(parent), time.monotonic()
    bound = since + BOUND_S
    while time.monotonic() - since < IDLE_S:
        assert time.monotonic() < bound, "the daemon does not come to rest"
        time.sleep(0.2)
        if (now := cpu_ticks(parent)) > used + 2:
            used, since = now, time.monotonic()


def cpu_ticks(parent: int) -> int:
    """Processor time of a process and its children, in ticks."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    total = 0
    for pid in (parent, *map(int, children)):
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(words[11]) + int(words[12])
    return total


def up_at_once(table: Table) -> str:
    """Our file, whose servers are up before their first check, as keepalived's without any."""
    return blocks(table).replace("interval: 1h", "interval: 1h, initial: up", 1)


def ours(table: Table, runs: int) -> Taken:
    """hadirector's daemon; each reload that changes a weight must have been one write."""
    with fresh_network(), tempfile.TemporaryDirectory() as place:
        file = Path(place, "pair.yaml")
        run = [sys.executable, "-m", "hadirector", "run", str(file), "--node", "lb1"]
        command = [*run, "--runtime-dir", f"{place}/run", "--state-dir", f"{place}/state"]
        found = measure(command, file, up_at_once, table, runs)
        journal = Path(place, "state", "journal.ndjson").read_text().splitlines()
        sentences = [str(json.loads(line)["sentence"]) for line in journal]
        writes = [each for each in sentences if each.startswith("reload: ")]
        assert len(writes) == 2 * runs, sentences[-20:]
        one_write = "reload: change 1 server: "
        assert all(each.startswith(one_write) for each in writes[:runs]), writes
        return found


def theirs(table: Table, runs: int) -> Taken:
    """Keepalived without checks, so that all servers are up at once."""
    with fresh_network(), tempfile.TemporaryDirectory() as place:
        file = Path(place, "keepalived.conf")
        ids = ["-p", f"{place}/pid", "-c", f"{place}/checkers"]
        command = ["keepalived", "-n", "-G", "-C", "-f", str(file), *ids]
        return measure(command, file, configuration, table, runs)


def row(what: str, mine: list[float], others: list[float]) -> None:
    """Print one row."""
    share = statistics.median(mine) / statistics.median(others)
    print(f"{what:<40}{spread(mine):>24}{spread(others):>24}{share:>10.2f}", flush=True)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reload")
    parser.add_argument("sizes", nargs="*", default=["1000x10", "5000x2"])
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    if not has_ipvs():
        return boot("tests.bench.reload", sys.argv[1:])
    print(f"{'':<40}{'hadirector':>24}{'keepalived':>24}{'ratio':>10}")
    for size in asked.sizes:
        services, servers = (int(number) for number in size.split("x"))
        table = make_table(services, servers)
        mine, others = ours(table, asked.runs), theirs(table, asked.runs)
        row(f"{size}: one weight changed, 1 write", mine.weight, others.weight)
        row(f"{size}: one server replaced", mine.replaced, others.replaced)
        row(f"{size}: start of the daemon", [mine.start], [others.start])
    return 0


if __name__ == "__main__":
    sys.exit(main())
