"""The packaged keepalived as the peer, in both roles, on a real link; a second decoder watches.

Each test has one worker of ours and one keepalived, joined by a cable. What is asserted is what
users of a mixed pair rely on: one active, the address in one place, takeover in protocol time,
and nothing on the wire that another implementation finds malformed.
"""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from tests.prerequisites import require
from tests.vrrp.world import Executor, Host, WorkerProcess, World, eventually
from vrrp.config import RouterSettings

VIP = "192.0.2.100/24"
ADVERTISE_S = 0.2
ACTIVE_DOWN_S = 4 * ADVERTISE_S
"""Three intervals and a skew, which is less than one."""
SLACK_S = 1.0
"""For a loaded machine, and for the polling of these tests."""

CONFIGURATION = """
global_defs {{
    vrrp_version 3
    vrrp_garp_master_delay 1
}}
vrrp_instance front {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int {advertise}
    virtual_ipaddress {{
        {address}
    }}
}}
"""


@dataclass
class Keepalived:
    """A keepalived in a host; everything it writes stays in its own directory."""

    host: Host
    directory: Path
    priority: int
    process: subprocess.Popen[str] | None = None
    _runs: Iterator[int] = field(default_factory=itertools.count)

    def start(self) -> None:
        run = self.directory / f"run-{next(self._runs)}"
        run.mkdir(parents=True)
        configuration = run / "keepalived.conf"
        configuration.write_text(
            CONFIGURATION.format(priority=self.priority, advertise=ADVERTISE_S, address=VIP)
        )
        with (run / "log").open("w") as log:
            self.process = self.host.start(
                *("keepalived", "-n", "-l", "-G", "-P", "-f", str(configuration)),
                *("-p", str(run / "pid"), "-r", str(run / "vrrp.pid")),
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        """Stop it in good order: it says goodbye."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(timeout=10)

    @property
    def holds(self) -> bool:
        return VIP in self.host.addresses()


class Capture:
    """What passes on a link, written by one program and judged by another."""

    def __init__(self, host: Host, path: Path) -> None:
        self.path = path
        self._process = host.start(
            *("tshark", "-n", "-l", "-i", "eth0", "-f", "ip proto 112 or arp", "-w", str(path)),
            *("-a", "duration:60", "-P"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def wait_first(self) -> None:
        """Wait until a packet has been seen, so that it is known to run."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline()

    def end(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=15)

    def show(self, display_filter: str, *fields: str) -> list[list[str]]:
        """Return the fields of all packets that match."""
        wanted = itertools.chain.from_iterable(("-e", name) for name in fields)
        command = ["tshark", "-n", "-r", str(self.path), "-Y", display_filter, "-T", "fields"]
        outcome = subprocess.run(
            [*command, *wanted], capture_output=True, text=True, timeout=15, check=True
        )
        return [line.split("\t") for line in outcome.stdout.splitlines()]


@dataclass
class Mixed:
    """Our host with our worker, their host with keepalived."""

    ours: Host
    theirs: Host
    directory: Path
    stack: ExitStack

    def worker(self, priority: int) -> WorkerProcess:
        settings = RouterSettings(
            name="front",
            vrid=51,
            interface="eth0",
            advertise=ADVERTISE_S,
            addresses=(IPv4Interface(VIP),),
            priority=priority,
        )
        worker = WorkerProcess(self.ours, settings)
        self.stack.callback(worker.close)
        return worker

    def keepalived(self, priority: int) -> Keepalived:
        keepalived = Keepalived(self.theirs, self.directory / "keepalived", priority)
        keepalived.start()
        return keepalived

    def holders(self) -> list[str]:
        return [host.name for host in (self.ours, self.theirs) if VIP in host.addresses()]


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[Mixed]:
    require("ip", "keepalived", "tshark", namespaces=True)
    with World() as world, ExitStack() as stack:
        ours, theirs = world.host("ours"), world.host("theirs")
        world.link({ours: "192.0.2.11/24", theirs: "192.0.2.12/24"})
        yield Mixed(ours, theirs, tmp_path, stack)


@pytest.mark.timeout(40)
def test_we_are_the_better_one(mixed: Mixed) -> None:
    capture = Capture(mixed.theirs, mixed.directory / "wire.pcap")
    worker = mixed.worker(254)
    worker.wait_state("active")
    capture.wait_first()
    keepalived = mixed.keepalived(100)
    _settled_on(mixed, "ours")

    # We crash and our supervisor executes the will: keepalived takes over after its skew.
    executor = Executor(mixed.ours)
    worker.kill()
    executor.execute(worker.will)
    eventually(lambda: keepalived.holds, "keepalived takes over", ADVERTISE_S + SLACK_S)
    assert executor.finish() == ["front: 192.0.2.12 took over; removed 1 of 1 addresses"]
    assert mixed.holders() == ["theirs"]

    # We return: as the better one we preempt, and keepalived yields.
    returned = mixed.worker(254)
    returned.wait_state("active")
    _settled_on(mixed, "ours")
    assert returned.state() == "active"
    capture.end()
    _judge(capture)
    goodbyes = capture.show("vrrp.prio == 0", "ip.src")
    assert goodbyes == [["192.0.2.11"]]
    announced = capture.show("arp.isgratuitous == 1 and arp.opcode == 1", "arp.src.proto_ipv4")
    assert ["192.0.2.100"] in announced


@pytest.mark.timeout(40)
def test_keepalived_is_the_better_one(mixed: Mixed) -> None:
    capture = Capture(mixed.ours, mixed.directory / "wire.pcap")
    worker = mixed.worker(100)
    worker.wait_state("active")  # nobody else is there yet
    capture.wait_first()
    keepalived = mixed.keepalived(200)
    worker.wait_state("backup")
    assert worker.reports["front"].reason == "heard priority 200 from 192.0.2.12; ours is 100"
    _settled_on(mixed, "theirs")

    # It is stopped in good order: priority 0, so our skew is all that is waited for.
    keepalived.stop()
    worker.wait_state("active", within_s=ADVERTISE_S + SLACK_S)
    assert worker.reports["front"].reason.startswith("heard priority 0 from 192.0.2.12; no other")
    _settled_on(mixed, "ours")

    # It returns and takes over, once.
    keepalived.start()
    worker.wait_state("backup")
    _settled_on(mixed, "theirs")

    # It is killed: three intervals and a skew.
    assert keepalived.process is not None
    mixed.theirs.run("ip", "link", "set", "eth0", "arp", "off")  # dead hosts answer no ARP
    _kill_with_children(mixed.theirs, keepalived)
    started = time.monotonic()
    worker.wait_state("active", within_s=ACTIVE_DOWN_S + SLACK_S)
    assert time.monotonic() - started >= 2 * ADVERTISE_S
    assert worker.reports["front"].reason.startswith("no advertisement from 192.0.2.12 for")
    capture.end()
    _judge(capture)
    assert worker.reports["front"].counters["became-active"] == 3
    assert not [event for event in worker.events if event.kind.startswith("rejected")]
    assert not [event for event in worker.events if event.kind.endswith(("differs", "differ"))]


def _settled_on(mixed: Mixed, host: str) -> None:
    """The address is in one place, and stays there for some intervals."""
    eventually(lambda: mixed.holders() == [host], f"the address is at {host} only")
    until = time.monotonic() + 3 * ADVERTISE_S
    while time.monotonic() < until:
        assert mixed.holders() == [host]


def _kill_with_children(host: Host, keepalived: Keepalived) -> None:
    """End keepalived as a power loss does: its processes at once, without a word."""
    pids = [
        (keepalived.directory / f"run-1/{name}").read_text().strip() for name in ("vrrp.pid", "pid")
    ]
    host.run("kill", "-STOP", *pids)  # or the parent would say goodbye for its child
    host.run("kill", "-KILL", *pids)


def _judge(capture: Capture) -> None:
    """Have the second implementation look at every advertisement of both sides."""
    assert capture.show("_ws.malformed", "frame.number") == []
    seen = capture.show(
        "vrrp", "ip.src", "vrrp.version", "ip.ttl", "ip.dsfield", "ip.dst", "vrrp.checksum.status"
    )
    assert {fields[0] for fields in seen} == {"192.0.2.11", "192.0.2.12"}
    assert {tuple(fields[1:]) for fields in seen} == {("3", "255", "0xc0", "224.0.0.18", "1")}
