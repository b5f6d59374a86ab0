"""From the death of a server process to the kernel, beside keepalived, in one kernel and one run.

Usage: python -m tests.bench.server_death [--runs 10]

One of four servers is killed with SIGKILL, its neighbours live; the clock runs until an observer of
its own finds it gone from the kernel's table, or with weight 0. Three daemons, one after the other:
hadirector asking every second (`fall: 1`), hadirector with `hold`, keepalived asking every second
(`retry 0`). The deaths are spread over the second in the same way for all. From verdict to kernel:
between the journal's event on the server and its event on the table, which follows the kernel's
answer; keepalived tells nothing comparable. Median and range, in milliseconds. To reach: 50 ms with
`hold`, and 20 ms from verdict to kernel.

The embedded kernel's timers go by 10 ms, so what the observer sees is that much too late at most.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from hadirector.ipvs import messages
from hadirector.ipvs.model import DestinationKey, Protocol, VirtualAddress
from hadirector.ipvs.netlink import GenericNetlink
from tests.bench.embedded import boot, has_ipvs
from tests.bench.report import ratio, row, spread
from tests.kernel.ipvs_namespace import fresh_network

BOUND_S = 60.0
POLL_S = 0.001
SETTLED_S = 2.5
"""After the server is back: every daemon has checked it twice by then."""
PORT = 8080
VIP = VirtualAddress(Protocol.TCP, IPv4Address("192.0.2.100"), 80)
SERVERS = tuple(IPv4Address("192.0.2.21") + number for number in range(4))
VICTIM = DestinationKey(SERVERS[1], PORT)

OURS = """\
nodes: {{lb1: {{address: 192.0.2.11, priority: 254}}}}
virtual_routers: []
audit: 1h
services:
  - name: web
    listen: tcp://192.0.2.100:80
    forward: nat
    check: {{type: tcp, interval: 1s, timeout: 1s, rise: 1, fall: 1, hold: {hold}}}
    servers: [{servers}]
"""
THEIRS = "real_server {address} {port} {{\n weight 1\n TCP_CHECK {{\n retry 0\n }}\n}}\n"
SERVER = """\
import asyncio, sys
async def talk(reader, writer):
    await reader.read()
    writer.close()
async def main():
    async with await asyncio.start_server(talk, sys.argv[1], int(sys.argv[2])) as server:
        print("listens", flush=True)
        await server.serve_forever()
asyncio.run(main())
"""


@dataclass
class Found:
    """What was measured of one daemon, in milliseconds."""

    death: list[float] = field(default_factory=list)
    verdict: list[float] = field(default_factory=list)


class Server:
    """A server in a process of its own."""

    def __init__(self, address: IPv4Address) -> None:
        command = [sys.executable, "-c", SERVER, str(address), str(PORT)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"listens\n"

    def kill(self) -> None:
        """End it as a crash does; it is gone for certain when this returns."""
        self._process.kill()
        self._process.communicate()


async def serves(*, wanted: bool) -> None:
    """Wait until the kernel would give the victim new connections, or no more."""
    netlink = GenericNetlink(messages.FAMILY_NAME)
    try:
        async with asyncio.timeout(BOUND_S):
            while True:
                found = await netlink.dump(messages.get_destinations(VIP))
                servers = (messages.decode_destination(one, version=4)[0] for one in found)
                weights = {server.key: server.weight for server in servers}
                if (weights.get(VICTIM, 0) > 0) is wanted:
                    return
                await asyncio.sleep(POLL_S)
    finally:
        netlink.close()


def deaths(runs: int) -> list[float]:
    """Kill the victim so often; how long the kernel went on giving it connections."""
    taken = []
    with servers_but_the_victim():
        for run in range(runs):
            victim = Server(SERVERS[1])
            asyncio.run(serves(wanted=True))
            now = time.monotonic()
            time.sleep(SETTLED_S - now % 1.0 + (run + 0.5) / runs)
            began = time.monotonic()
            victim.kill()
            asyncio.run(serves(wanted=False))
            taken.append(1000 * (time.monotonic() - began))
    return taken


@contextmanager
def servers_but_the_victim() -> Iterator[None]:
    """The neighbours, which live."""
    neighbours = [Server(address) for address in SERVERS if address != VICTIM.address]
    try:
        yield
    finally:
        for each in neighbours:
            each.kill()


@contextmanager
def running(command: Sequence[str], place: Path) -> Iterator[None]:
    """A daemon, in a network of its own."""
    with fresh_network(), (place / "log").open("w") as log:
        for address in (*SERVERS, VIP.address):
            subprocess.run(["ip", "address", "add", f"{address}/24", "dev", "lo"], check=True)
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield
        except TimeoutError:
            sys.exit("the daemon did not do it:\n" + (place / "log").read_text()[-3000:])
        finally:
            process.terminate()
            try:
                process.wait(BOUND_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def ours(runs: int, *, hold: bool) -> Found:
    """hadirector's whole daemon."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        file = place / "pair.yaml"
        servers = ", ".join(f'"{address}:{PORT}"' for address in SERVERS)
        file.write_text(OURS.format(hold=str(hold).lower(), servers=servers))
        run = [sys.executable, "-m", "hadirector", "run", str(file), "--node", "lb1"]
        with running([*run, "--runtime-dir", name, "--state-dir", name], place):
            death = deaths(runs)
        lines = (place / "journal.ndjson").read_text().splitlines()
        return Found(death, verdicts([json.loads(line) for line in lines])[-runs:])


def verdicts(events: Sequence[dict[str, object]]) -> list[float]:
    """From each verdict that the victim is down to the next change of the table."""
    taken, since = [], None
    for event in events:
        at = event["at"]
        assert isinstance(at, float)
        sentence = str(event["sentence"])
        if event["kind"] == "server" and f"{VICTIM} is down" in sentence:
            since = at
        elif since is not None and event["kind"] == "table":
            taken.append(1000 * (at - since))
            since = None
    return taken


def theirs(runs: int) -> Found:
    """Keepalived's checkers."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        file = place / "keepalived.conf"
        servers = "".join(THEIRS.format(address=address, port=PORT) for address in SERVERS)
        head = "delay_loop 1\nlb_algo wlc\nlb_kind NAT\nprotocol TCP\n"
        file.write_text(f"virtual_server {VIP.address} {VIP.port} {{\n{head}{servers}}}\n")
        ids = ["-p", f"{name}/pid", "-c", f"{name}/checkers"]
        with running(["keepalived", "-n", "-G", "-C", "-f", str(file), *ids], place):
            return Found(deaths(runs))


def main() -> int:
    """Measure and print; exit status 0, or 3 without keepalived."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.server_death")
    parser.add_argument("--runs", type=int, default=10)
    asked = parser.parse_args()
    if shutil.which("keepalived") is None:
        print("keepalived is not installed: apt-get install keepalived", file=sys.stderr)
        return 3
    if not has_ipvs():
        return boot("tests.bench.server_death", sys.argv[1:])
    peer, poll, hold = theirs(asked.runs), ours(asked.runs, hold=False), ours(asked.runs, hold=True)
    row("milliseconds: median (range)", "hadirector", "keepalived, 1 s", "ratio")
    beside = spread(peer.death)
    row(
        "death -> kernel, asked every 1 s",
        spread(poll.death),
        beside,
        ratio(poll.death, peer.death),
    )
    row("death -> kernel, `hold`", spread(hold.death), beside, ratio(hold.death, peer.death))
    row("verdict -> kernel, asked every 1 s", spread(poll.verdict, 1), "", "")
    row("verdict -> kernel, `hold`", spread(hold.verdict, 1), "", "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
