"""The packaged keepalived as the peer, in both roles, on a real link; a second decoder watches.

Each test has one worker of ours and one keepalived, joined by a cable. What is asserted is what
users of a mixed pair rely on: one active, the address in one place, takeover in protocol time,
and nothing on the wire that another implementation finds malformed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from tests.interop.keepalived import Keepalived, configuration
from tests.interop.lan import Capture, Lan, holds
from tests.prerequisites import require
from tests.vrrp.world import Executor, Host, WorkerProcess, World, eventually
from vrrp.config import RouterSettings

VIP = "192.0.2.100/24"
ADVERTISE_S = 0.2
ACTIVE_DOWN_S = 4 * ADVERTISE_S
"""Three intervals and a skew, which is less than one."""
SLACK_S = 1.0
"""For a loaded machine, and for the polling of these tests."""


@dataclass
class Mixed:
    """Our host with our worker, their host with keepalived."""

    ours: Host
    theirs: Host
    capture: Capture
    stack: ExitStack
    keepalived: Keepalived

    def worker(self, priority: int) -> WorkerProcess:
        worker = WorkerProcess(self.ours, settings(priority))
        self.stack.callback(worker.close)
        return worker

    def start_keepalived(self, priority: int) -> None:
        self.keepalived.start(configuration([settings(priority)], None))

    def holders(self) -> list[str]:
        return [host.name for host in (self.ours, self.theirs) if holds(host, VIP)]


def settings(priority: int) -> RouterSettings:
    return RouterSettings(
        name="front",
        vrid=51,
        interface="eth0",
        advertise=ADVERTISE_S,
        addresses=(IPv4Interface(VIP),),
        priority=priority,
    )


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[Mixed]:
    require("ip", "keepalived", "tshark", namespaces=True)
    with World() as world, ExitStack() as stack:
        ours, theirs = world.host("ours"), world.host("theirs")
        lan = Lan(world)
        lan.plug(ours, "192.0.2.11/24")
        lan.plug(theirs, "192.0.2.12/24")
        capture = Capture(lan, tmp_path / "wire.pcapng")
        keepalived = Keepalived(theirs, tmp_path / "keepalived")
        yield Mixed(ours, theirs, capture, stack, keepalived)


@pytest.mark.timeout(40)
def test_we_are_the_better_one(mixed: Mixed) -> None:
    worker = mixed.worker(254)
    worker.wait_state("active")
    mixed.start_keepalived(100)
    _settled_on(mixed, "ours")

    # We crash and our supervisor executes the will: keepalived takes over after its skew.
    executor = Executor(mixed.ours)
    worker.kill()
    executor.execute(worker.will)
    within_s = ADVERTISE_S + SLACK_S
    eventually(lambda: holds(mixed.theirs, VIP), "keepalived takes over", within_s)
    assert executor.finish() == ["front: 192.0.2.12 took over; removed 1 of 1 addresses"]
    assert mixed.holders() == ["theirs"]

    # We return: as the better one we preempt, and keepalived yields.
    returned = mixed.worker(254)
    returned.wait_state("active")
    _settled_on(mixed, "ours")
    assert returned.state() == "active"
    _judge(mixed.capture)
    goodbyes = mixed.capture.show("vrrp.prio == 0", "ip.src")
    assert goodbyes == [["192.0.2.11"]]
    announced = mixed.capture.show(
        "arp.isgratuitous == 1 and arp.opcode == 1", "arp.src.proto_ipv4"
    )
    assert ["192.0.2.100"] in announced


@pytest.mark.timeout(40)
def test_keepalived_is_the_better_one(mixed: Mixed) -> None:
    worker = mixed.worker(100)
    worker.wait_state("active")  # nobody else is there yet
    mixed.start_keepalived(200)
    worker.wait_state("backup")
    assert worker.reports["front"].reason == "heard priority 200 from 192.0.2.12; ours is 100"
    _settled_on(mixed, "theirs")

    # It is stopped in good order: priority 0, so our skew is all that is waited for.
    mixed.keepalived.stop()
    worker.wait_state("active", within_s=ADVERTISE_S + SLACK_S)
    assert worker.reports["front"].reason.startswith("heard priority 0 from 192.0.2.12; no other")
    _settled_on(mixed, "ours")

    # It returns and takes over, once.
    mixed.start_keepalived(200)
    worker.wait_state("backup")
    _settled_on(mixed, "theirs")

    # It is killed: three intervals and a skew.
    mixed.theirs.run("ip", "link", "set", "eth0", "arp", "off")  # dead hosts answer no ARP
    mixed.keepalived.kill()
    started = time.monotonic()
    worker.wait_state("active", within_s=ACTIVE_DOWN_S + SLACK_S)
    assert time.monotonic() - started >= 2 * ADVERTISE_S
    assert worker.reports["front"].reason.startswith("no advertisement from 192.0.2.12 for")
    _judge(mixed.capture)
    assert worker.reports["front"].counters["became-active"] == 3
    assert not [event for event in worker.events if event.kind.startswith("rejected")]
    assert not [event for event in worker.events if event.kind.endswith(("differs", "differ"))]


def _settled_on(mixed: Mixed, host: str) -> None:
    """The address is in one place, and stays there for some intervals."""
    eventually(lambda: mixed.holders() == [host], f"the address is at {host} only")
    until = time.monotonic() + 3 * ADVERTISE_S
    while time.monotonic() < until:
        assert mixed.holders() == [host]


def _judge(capture: Capture) -> None:
    """Have the second implementation look at every advertisement of both sides."""
    capture.end()
    assert capture.show("_ws.malformed", "frame.number") == []
    seen = capture.show(
        "vrrp", "ip.src", "vrrp.version", "ip.ttl", "ip.dsfield", "ip.dst", "vrrp.checksum.status"
    )
    assert {fields[0] for fields in seen} == {"192.0.2.11", "192.0.2.12"}
    assert {tuple(fields[1:]) for fields in seen} == {("3", "255", "0xc0", "224.0.0.18", "1")}
