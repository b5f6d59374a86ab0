"""Processor time and memory of many virtual routers, beside the packaged keepalived, in one run.

Usage: python -m tests.bench.many_routers [--runs 3]

1, 100 and 250 virtual routers on one link, adverts every second: one process that is active for all
of them, and one that is backup for all of them (the other one speaks for all, and is of its kind).
Medians with their range; the ratio is ours over keepalived's.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from ipaddress import IPv4Interface
from pathlib import Path

from tests.bench.pair import KINDS, THEIRS, what_is_missing
from tests.bench.report import cpu_s, row
from tests.vrrp.world import Host, WorkerProcess, World
from vrrp.config import RouterSettings

SIZES = (1, 100, 250)
PRIORITIES = {"active": 200, "backup": 100}
SETTLED_S = 6.0
"""The second burst of announcements is over by then."""
MEASURED_S = 10.0
READY_S = 60.0
HEARTBEAT_S = 2.0
"""What a supervisor tells the worker at this interval (`hadirector.elections`)."""


class Daemon:
    """One VRRP process with many virtual routers."""

    def __init__(self, kind: str, host: Host, number: int, priority: int, place: Path) -> None:
        self._host, self._number = host, number
        self._worker: WorkerProcess | None = None
        if kind == "ours":
            routers = [_router(vrid, priority) for vrid in range(1, number + 1)]
            self._worker = WorkerProcess(host, *routers)
            self._worker.configure(*routers, heartbeat_s=HEARTBEAT_S)
            self.pid = self._worker.process.pid
            return
        file = place / f"{number}-{priority}"
        file.write_text(_many(number, priority))
        ids = ["-p", f"{file}.pid", "-r", f"{file}.vrrp"]
        self._parent = host.start(
            *("keepalived", "-n", "-l", "-G", "-P", "-f", str(file), *ids),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        children = Path(f"/proc/{self._parent.pid}/task/{self._parent.pid}/children")
        give_up = time.monotonic() + READY_S
        while not (found := children.read_text().split()):
            if time.monotonic() > give_up:
                raise TimeoutError("keepalived has no VRRP process")
            time.sleep(0.1)
        self.pid = int(found[0])

    def wait_active(self) -> None:
        """Wait until it holds all addresses."""
        give_up = time.monotonic() + READY_S
        while len(self._host.addresses()) <= self._number:
            if time.monotonic() > give_up:
                raise TimeoutError(f"{self._number} virtual routers do not become active")
            self.listen(0.2)

    def listen(self, seconds: float) -> None:
        """Let time pass; what our worker says is taken in, as a supervisor does."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._worker is not None:
                self._worker.state()
            time.sleep(0.1)

    def cpu_s(self) -> float:
        """Processor time until now."""
        return cpu_s(self.pid)

    def resident_mb(self) -> float:
        """Memory that is in use just now, libraries included."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6

    def close(self) -> None:
        """End it."""
        if self._worker is not None:
            self._worker.close()
            return
        self._parent.terminate()
        self._parent.wait(timeout=20)


def measure(kind: str, number: int, place: Path) -> dict[str, tuple[float, float]]:
    """CPU seconds per minute and resident megabytes, of the active and of the backup."""
    with World() as world:
        hosts = {role: world.host(role) for role in PRIORITIES}
        world.link({hosts["active"]: "192.0.2.11/16", hosts["backup"]: "192.0.2.12/16"})
        daemons: dict[str, Daemon] = {}
        try:
            for role, priority in PRIORITIES.items():
                daemons[role] = Daemon(kind, hosts[role], number, priority, place)
                if role == "active":
                    daemons[role].wait_active()
            began = time.monotonic()
            while time.monotonic() < began + SETTLED_S:
                for daemon in daemons.values():
                    daemon.listen(0.1)
            before = {role: daemon.cpu_s() for role, daemon in daemons.items()}
            began = time.monotonic()
            while time.monotonic() < began + MEASURED_S:
                for daemon in daemons.values():
                    daemon.listen(0.1)
            minutes = (time.monotonic() - began) / 60
            return {
                role: ((daemon.cpu_s() - before[role]) / minutes, daemon.resident_mb())
                for role, daemon in daemons.items()
            }
        finally:
            for daemon in daemons.values():
                daemon.close()


def compare(number: int, runs: int, place: Path) -> None:
    """Print the rows of one size."""
    found = {kind: [measure(kind, number, place) for _ in range(runs)] for kind in KINDS}
    for role in PRIORITIES:
        shown, medians = {}, {}
        for kind in KINDS:
            cpu, memory = (sorted(run[role][of] for run in found[kind]) for of in (0, 1))
            medians[kind] = statistics.median(cpu)
            spread = f"{medians[kind]:.2f} ({cpu[0]:.2f}-{cpu[-1]:.2f})"
            shown[kind] = f"{spread} / {statistics.median(memory):.0f}"
        ratio = f"{medians['ours'] / medians['keepalived']:.1f} x" if medians["keepalived"] else ""
        row(f"{number} virtual routers, {role}", shown["ours"], shown["keepalived"], ratio)


def _router(vrid: int, priority: int) -> RouterSettings:
    return RouterSettings(
        name=f"r{vrid}",
        vrid=vrid,
        interface="eth0",
        addresses=(IPv4Interface(f"192.0.3.{vrid}/16"),),
        priority=priority,
    )


def _many(number: int, priority: int) -> str:
    head, instance = THEIRS.format(priority=priority, seconds=1).split("vrrp_instance", 1)
    made = [
        instance.replace(" front", f" r{vrid}")
        .replace("virtual_router_id 51", f"virtual_router_id {vrid}")
        .replace("192.0.2.100/24", f"192.0.3.{vrid}/16")
        for vrid in range(1, number + 1)
    ]
    return head + "".join("vrrp_instance" + one for one in made)


def main() -> int:
    """Measure and print; exit status 0, or 3 where something is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.many_routers")
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    if missing := what_is_missing():
        print(missing, file=sys.stderr)
        return 3
    row("CPU s per minute / resident MB", "hadirector", "keepalived", "ratio")
    with tempfile.TemporaryDirectory() as place:
        for number in SIZES:
            compare(number, asked.runs, Path(place))
    return 0


if __name__ == "__main__":
    sys.exit(main())
