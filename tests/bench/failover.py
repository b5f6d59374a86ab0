"""What a failover costs clients, beside the packaged keepalived, in one run.

Usage: python -m tests.bench.failover [--runs 3] [--intervals 1,0.1,0.03,0.01]
                                      [--only outage,lateness,size]

A pair with VRRP alone, in network namespaces of this host: a client asks the address every
millisecond or two, and hears the adverts. Priorities are 101 and 100, so the skew is long. Times
are medians with their range, in milliseconds; the ratio is keepalived's median over ours.

    outage       client outage, time until the peer speaks, time until the address has left the
                 dead side; for four faults
    lateness     how late adverts are while two processes burn the processors
    size         processor time and memory of 1, 100 and 250 virtual routers that are all active
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import fields
from ipaddress import IPv4Interface
from pathlib import Path

from tests.bench.pair import THEIRS, Measured, Pair
from tests.vrrp.world import Host, WorkerProcess, World
from vrrp.config import RouterSettings

KINDS = ("ours", "keepalived")
FAULTS = {
    "link of the active cut": Pair.cut,
    "graceful stop": Pair.graceful,
    "kill -9 of the VRRP process": Pair.kill,
    "VRRP process frozen": Pair.freeze,
}
LATENESS_INTERVAL_S = 0.03
LATENESS_S = 15.0
SIZES = (1, 100, 250)
SIZE_S = 10.0


def spread(values: list[float | None]) -> str:
    """The median and the range; `never` where it did not happen."""
    found = [value for value in values if value is not None]
    if not found:
        return "never"
    never = len(values) - len(found)
    text = f"{statistics.median(found):.0f} ({min(found):.0f}-{max(found):.0f})"
    return f"{text} never {never}x" if never else text


def ratio(ours: list[float | None], theirs: list[float | None]) -> str:
    """Keepalived's median over ours; nothing where one of them is zero."""
    mine = [value for value in ours if value is not None]
    others = [value for value in theirs if value is not None]
    if not mine or not others:
        return ""
    medians = statistics.median(mine), statistics.median(others)
    return f"{medians[1] / medians[0]:.1f} x" if min(medians) >= 0.5 else ""


def row(what: str, ours: str, theirs: str, compared: str) -> None:
    """Print one row."""
    print(f"{what:<50}{ours:>20}{theirs:>28}{compared:>9}", flush=True)


def heading(title: str) -> None:
    """Print a heading."""
    print()
    row(title, "hadirector", "keepalived", "ratio")


def outages(intervals_s: list[float], runs: int, directory: Path) -> None:
    """All faults at all intervals."""
    for interval_s in intervals_s:
        heading(f"adverts every {interval_s * 1000:g} ms (milliseconds)")
        found: dict[tuple[str, str], list[Measured]] = {}
        for kind in KINDS:
            with Pair(kind, interval_s, directory) as pair:
                for name, fault in FAULTS.items():
                    found[kind, name] = [pair.measure(lambda f=fault: f(pair)) for _ in range(runs)]  # type: ignore[misc]
        for name in FAULTS:
            for field in fields(Measured):
                ours, theirs = ([getattr(m, field.name) for m in found[k, name]] for k in KINDS)
                what = field.name.removesuffix("_ms").replace("_", " ")
                row(f"{name}: {what}", spread(ours), spread(theirs), ratio(ours, theirs))


def lateness(directory: Path) -> None:
    """Adverts while every processor is wanted by somebody else."""
    heading(f"lateness of adverts every {LATENESS_INTERVAL_S * 1000:g} ms under load (ms)")
    found: dict[str, list[float]] = {}
    for kind in KINDS:
        with Pair(kind, LATENESS_INTERVAL_S, directory) as pair:
            burn = [sys.executable, "-c", "while True: pass"]
            burners = [subprocess.Popen(burn) for _ in range(os.cpu_count() or 1)]
            try:
                found[kind] = sorted(pair.advert_lateness_ms(LATENESS_S))
            finally:
                for burner in burners:
                    burner.kill()
                    burner.wait()
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)):
        ours, theirs = (found[k][min(int(share * len(found[k])), len(found[k]) - 1)] for k in KINDS)
        row(f"{name} of {len(found['ours'])}", f"{ours:.2f}", f"{theirs:.2f}", "")


def sizes(directory: Path) -> None:
    """Processor time and memory of many virtual routers, all active, adverts every second."""
    heading("many virtual routers, 1 s adverts: CPU s per minute / resident MB")
    for number in SIZES:
        found = {}
        for kind in KINDS:
            with World() as world:
                host, other = world.host("one"), world.host("other")
                world.link({host: "192.0.2.11/16", other: "192.0.2.12/16"})
                found[kind] = _size(kind, host, number, directory)
        (ours, our_mb), (theirs, their_mb) = (found[kind] for kind in KINDS)
        row(
            f"{number} virtual routers",
            f"{ours:.2f} / {our_mb:.0f}",
            f"{theirs:.2f} / {their_mb:.0f}",
            f"{theirs / max(ours, 0.001):.2f} x",
        )


def _size(kind: str, host: Host, number: int, directory: Path) -> tuple[float, float]:
    """CPU seconds per minute and resident megabytes of one process that is active for all."""
    worker = None
    if kind == "ours":
        worker = WorkerProcess(host, *(_router(vrid) for vrid in range(1, number + 1)))
        process: subprocess.Popen[str] = worker.process
    else:
        file = directory / f"size-{number}"
        file.write_text(_many(number))
        ids = ["-p", str(directory / f"{number}.pid"), "-r", str(directory / f"{number}.vrrp")]
        process = host.start(
            *("keepalived", "-n", "-l", "-G", "-P", "-f", str(file), *ids),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    ready = time.monotonic() + 60
    while len(host.addresses()) <= number:
        if worker is not None:
            worker.state()  # take in what it says
        if time.monotonic() > ready:
            raise TimeoutError(f"{kind}: {number} virtual routers do not become active")
        time.sleep(0.2)
    pid = process.pid
    if kind == "keepalived":
        pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    time.sleep(6)  # the second burst of announcements
    before, began = _cpu_s(pid), time.monotonic()
    while time.monotonic() < began + SIZE_S:
        time.sleep(0.25)
        if worker is not None:
            worker.state()
    used = (_cpu_s(pid) - before) / (time.monotonic() - began) * 60
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    if worker is not None:
        worker.close()
    else:
        process.terminate()
        process.wait(timeout=20)
    return used, pages * resource.getpagesize() / 1e6


def _cpu_s(pid: int) -> float:
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def _router(vrid: int) -> RouterSettings:
    return RouterSettings(
        name=f"r{vrid}",
        vrid=vrid,
        interface="eth0",
        addresses=(IPv4Interface(f"192.0.3.{vrid}/16"),),
        priority=100,
    )


def _many(number: int) -> str:
    head, instance = THEIRS.format(priority=100, seconds=1).split("vrrp_instance", 1)
    made = [
        instance.replace(" front", f" r{vrid}")
        .replace("virtual_router_id 51", f"virtual_router_id {vrid}")
        .replace("192.0.2.100/24", f"192.0.3.{vrid}/16")
        for vrid in range(1, number + 1)
    ]
    return head + "".join("vrrp_instance" + one for one in made)


def main() -> int:
    """Measure and print; exit status 0, or 3 where something is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.failover")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--intervals", default="1,0.1,0.03,0.01")
    parser.add_argument("--only", default="outage,lateness,size")
    asked = parser.parse_args()
    if shutil.which("keepalived") is None:
        print("keepalived is not installed: apt-get install keepalived", file=sys.stderr)
        return 3
    if os.geteuid() != 0:
        print("network namespaces and raw sockets need root: run it with sudo", file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        if "outage" in asked.only:
            outages([float(text) for text in asked.intervals.split(",")], asked.runs, directory)
        if "lateness" in asked.only:
            lateness(directory)
        if "size" in asked.only:
            sizes(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
