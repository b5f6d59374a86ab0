"""What ipvsadm and keepalived take for the same tables: the peers of `ipvs_program`.

Each runs in a network namespace of its own. keepalived has done its work when the last server of
its file is in the table (or when it has ended), which is asked of the kernel service by service, so
that the question costs the same whatever the table's size.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from hadirector.ipvs import messages
from hadirector.ipvs.model import DestinationKey, ServiceKey, Table, VirtualAddress
from hadirector.ipvs.netlink import GenericNetlink
from tests.kernel.ipvs_namespace import fresh_network

BOUND_S = 120.0
POLL_S = 0.02


@dataclass(frozen=True)
class Times:
    """Seconds, None where it was not measured."""

    program: float | None = None
    read: float | None = None
    change: float | None = None
    reload: float | None = None
    remove: float | None = None


def rules(table: Table) -> str:
    """The table in ipvsadm's words."""
    lines = []
    for entry in table.values():
        where = str(entry.service.key).removeprefix("tcp ")
        lines.append(f"-A -t {where} -s {entry.service.scheduler}")
        lines += [f"-a -t {where} -r {key} -m -w 1" for key in entry.destinations]
    return "\n".join(lines) + "\n"


def ipvsadm(table: Table) -> Times:
    """Restore, save, change of one weight, and the kernel's own flush."""
    entry = next(iter(table.values()))
    where = str(entry.service.key).removeprefix("tcp ")
    server = str(next(iter(entry.destinations)))

    def run(*arguments: str, text: str = "") -> float:
        with tempfile.TemporaryFile("w+") as file:
            file.write(text)
            file.seek(0)
            started = time.perf_counter()
            subprocess.run(
                ["ipvsadm", *arguments], stdin=file, stdout=subprocess.DEVNULL, check=True
            )
            return time.perf_counter() - started

    with fresh_network():
        return Times(
            program=run("-R", text=rules(table)),
            read=run("-S", "-n"),
            change=run("-e", "-t", where, "-r", server, "-m", "-w", "2"),
            remove=run("-C"),
        )


def keepalived(before: Table, after: Table, last: tuple[ServiceKey, DestinationKey]) -> Times:
    """Start, reload to `after`, which differs in the server `last`, and stop."""
    if shutil.which("keepalived") is None:
        return Times()
    with fresh_network(), tempfile.TemporaryDirectory() as place:
        file = Path(place, "keepalived.conf")
        file.write_text(configuration(before))
        ids = ["-p", f"{place}/pid", "-c", f"{place}/checkers"]
        key = list(before)[-1]
        present = list(before[key].destinations)[-1]
        started = time.perf_counter()
        command = ["keepalived", "-n", "-G", "-C", "-f", str(file), *ids]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            program = asyncio.run(until(started, key, present))
            file.write_text(configuration(after))
            started = time.perf_counter()
            process.send_signal(signal.SIGHUP)
            reload = asyncio.run(until(started, *last))
            started = time.perf_counter()
            process.terminate()
            process.wait(BOUND_S)
            return Times(program=program, reload=reload, remove=time.perf_counter() - started)
        finally:
            process.kill()
            process.wait()


def configuration(table: Table) -> str:
    """The table as keepalived's file, without checks, so that all servers are up at once."""
    blocks = []
    for entry in table.values():
        key = entry.service.key
        assert isinstance(key, VirtualAddress)
        servers = "".join(
            f"  real_server {each.key.address} {each.key.port} {{\n    weight {each.weight}\n  }}\n"
            for each in entry.destinations.values()
        )
        head = f"  lb_algo {entry.service.scheduler}\n  lb_kind NAT\n  protocol TCP\n"
        blocks.append(f"virtual_server {key.address} {key.port} {{\n{head}{servers}}}\n")
    return "".join(blocks)


async def until(started: float, key: ServiceKey, server: DestinationKey) -> float:
    """Seconds since `started` until the kernel has this server of this service; bounded."""
    netlink = GenericNetlink(messages.FAMILY_NAME)
    try:
        while server not in {
            messages.decode_destination(each, version=4)[0].key
            for each in await netlink.dump(messages.get_destinations(key))
        }:
            taken = time.perf_counter() - started
            assert taken < BOUND_S, f"{server} of {key} is not there after {taken:.0f} s"
            await asyncio.sleep(POLL_S)
    finally:
        netlink.close()
    return time.perf_counter() - started
