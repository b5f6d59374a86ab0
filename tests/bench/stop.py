"""A stop that empties a large table, beside keepalived, in one kernel and one run.

Usage: python -m tests.bench.stop [--runs 3] [SERVICESxSERVERS ...]     (default: 1000x10 5000x2)

A daemon makes the table and comes to rest, then gets SIGTERM; ours has `on_stop: flush`, which is
what keepalived does. The clock runs until no service is left in the kernel (asked every few
milliseconds, of the first and the last one, and of all once these are gone), and until the daemon
has ended. To reach at 5000x2: an empty table within a second. Median and range over the runs; what
was still in the table when the daemon had ended is told, and then nothing was emptied.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hadirector.ipvs import messages
from hadirector.ipvs.model import ServiceKey, Table
from hadirector.ipvs.netlink import GenericNetlink, RefusedError
from tests.bench.embedded import boot, has_ipvs
from tests.bench.reload import BOUND_S, POLL_S, idle, seen, up_at_once
from tests.bench.table_peers import configuration
from tests.bench.tables import make_table, spread
from tests.kernel.ipvs_namespace import fresh_network


@dataclass(frozen=True)
class Stop:
    """Milliseconds from SIGTERM; `empty` is None where services were `left` at the end."""

    empty: float | None
    end: float
    left: int


async def is_there(netlink: GenericNetlink, key: ServiceKey) -> bool:
    """Whether the kernel has this service."""
    try:
        await netlink.ask(messages.get_service(key))
    except RefusedError as error:
        if error.errno == errno.ESRCH:
            return False
        raise
    return True


async def watched(process: subprocess.Popen[bytes], first: ServiceKey, last: ServiceKey) -> Stop:
    """Tell the daemon to stop, and see what becomes of the table."""
    empty: float | None = None
    with closing(GenericNetlink(messages.FAMILY_NAME)) as netlink:
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        while process.poll() is None:
            if time.monotonic() - began > BOUND_S:
                sys.exit("the daemon does not end")
            if empty is None and not (
                await is_there(netlink, first)
                or await is_there(netlink, last)
                or await netlink.dump(messages.get_services())
            ):
                empty = (time.monotonic() - began) * 1000
            await asyncio.sleep(POLL_S)
        end = (time.monotonic() - began) * 1000
        left = len(await netlink.dump(messages.get_services()))
    return Stop(None if left else empty or end, end, left)


def measure(
    place: Path, command: list[str], file: Path, write: Callable[[Table], str], table: Table
) -> Stop:
    """Run a daemon until it has nothing to do any more, and stop it."""
    file.write_text(write(table))
    entries = list(table.items())
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            key, entry = entries[-1]
            asyncio.run(seen(key, list(entry.destinations.values())[-1]))
            idle(process.pid)
            return asyncio.run(watched(process, entries[0][0], key))
        except TimeoutError:
            sys.exit("the daemon did not do it:\n" + (place / "log").read_text()[-3000:])
        finally:
            process.kill()
            process.wait()


def ours(table: Table) -> Stop:
    """hadirector's daemon."""
    with fresh_network(), tempfile.TemporaryDirectory() as name:
        place, file = Path(name), Path(name, "pair.yaml")
        run = [sys.executable, "-m", "hadirector", "run", str(file), "--node", "lb1"]
        command = [*run, "--runtime-dir", f"{name}/run", "--state-dir", f"{name}/state"]
        return measure(place, command, file, lambda t: "on_stop: flush\n" + up_at_once(t), table)


def theirs(table: Table) -> Stop:
    """Keepalived without checks."""
    with fresh_network(), tempfile.TemporaryDirectory() as name:
        place, file = Path(name), Path(name, "keepalived.conf")
        ids = ["-p", f"{name}/pid", "-c", f"{name}/checkers"]
        command = ["keepalived", "-n", "-G", "-C", "-f", str(file), *ids]
        return measure(place, command, file, configuration, table)


def emptied(stops: list[Stop]) -> str:
    """How long it took until the table was empty, or what was left in it."""
    taken = [stop.empty for stop in stops if stop.empty is not None]
    left = [stop.left for stop in stops if stop.left]
    told = [spread(taken)] if taken else []
    return ", ".join([*told, *([f"{max(left)} left"] if left else [])])


def row(what: str, mine: str, others: str, share: str = "") -> None:
    """Print one row."""
    print(f"{what:<32}{mine:>28}{others:>28}{share:>10}", flush=True)


def main() -> int:
    """Measure and print; 1 if ours left anything."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stop")
    parser.add_argument("sizes", nargs="*", default=["1000x10", "5000x2"])
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    if not has_ipvs():
        return boot("tests.bench.stop", sys.argv[1:])
    row("", "hadirector", "keepalived", "ratio")
    left = 0
    for size in asked.sizes:
        services, servers = (int(number) for number in size.split("x"))
        table = make_table(services, servers)
        mine = [ours(table) for _ in range(asked.runs)]
        others = [theirs(table) for _ in range(asked.runs)]
        row(f"{size}: SIGTERM -> empty table", emptied(mine), emptied(others))
        ends = [[stop.end for stop in stops] for stops in (mine, others)]
        share = statistics.median(ends[0]) / statistics.median(ends[1])
        row(f"{size}: SIGTERM -> ended", spread(ends[0]), spread(ends[1]), f"{share:.2f}")
        left += sum(stop.left for stop in mine)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
