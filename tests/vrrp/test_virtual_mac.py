"""A virtual MAC on real links: two directors and a client at a switch, in network namespaces."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.interop.lan import Lan, holds
from tests.prerequisites import require
from tests.vrrp.world import Executor, Host, WorkerProcess, World, eventually
from vrrp.config import RouterSettings
from vrrp.messages import Stop
from vrrp.virtual_mac import hardware_address_of, is_marked, mark, switches_before, vrid_of

MAC = "00:00:5e:00:01:33"
MAC_6 = "00:00:5e:00:02:33"
DEVICE = "vrrp4-51"
VIP = "192.0.2.100/24"
FRONT = RouterSettings(
    name="front",
    vrid=51,
    interface="eth0",
    advertise=0.1,
    addresses=(ip_interface(VIP),),
    priority=254,
    virtual_mac=True,
)
FRONT_6 = replace(FRONT, addresses=(ip_interface("fe80::100/64"), ip_interface("2001:db8::100/64")))
SECOND = 253

_KNOCK = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), timeout=float(sys.argv[2]))
except ConnectionRefusedError:
    print("refused")
except OSError:
    print("silent")
"""


@dataclass
class Scene:
    """Two directors and a client at one switch."""

    world: World
    lan: Lan
    lb1: Host
    lb2: Host
    client: Host
    stack: ExitStack

    def start(self, host: Host, *routers: RouterSettings) -> WorkerProcess:
        worker = WorkerProcess(host, *routers)
        self.stack.callback(worker.close)
        return worker

    def pair(self, settings: RouterSettings = FRONT) -> tuple[WorkerProcess, WorkerProcess]:
        """lb1 is active, lb2 is its backup and has heard it."""
        one = self.start(self.lb1, settings)
        one.wait_state("active")
        _wait_held(one)
        other = self.start(self.lb2, replace(settings, priority=SECOND))
        other.wait(lambda: _hears(other), "lb2 hears lb1")
        return one, other

    def knock(self, address: str, wait_s: float = 3.0) -> str:
        """Connect to a port where nobody listens: `refused` by whoever has it, or `silent`."""
        command = (sys.executable, "-c", _KNOCK, address, str(wait_s))
        return self.client.run(*command).strip()

    def known_as(self, address: str) -> str | None:
        """The hardware address under which the client knows an address."""
        for entry in _json(self.client, "neighbour", "show", "to", address):
            return str(entry.get("lladdr"))
        return None

    def port_of(self, hardware_address: str) -> str | None:
        """The port at which the switch has seen a hardware address last."""
        shown = self.lan.switch.run("bridge", "-json", "fdb", "show", "br", "br0")
        for entry in json.loads(shown):
            if entry["mac"] == hardware_address and "permanent" not in entry.get("state", ""):
                return str(entry["ifname"])
        return None


@pytest.fixture
def scene() -> Iterator[Scene]:
    require("ip", "bridge", "nsenter", "unshare", namespaces=True)
    with World() as world, ExitStack() as stack:
        lan = Lan(world)
        hosts = [world.host(name) for name in ("lb1", "lb2", "client")]
        for host, number in zip(hosts, (11, 12, 50), strict=True):
            lan.plug(host, f"192.0.2.{number}/24", f"2001:db8::{number}/64")
        lb1, lb2, client = hosts
        yield Scene(world, lan, lb1, lb2, client, stack)


def _json(host: Host, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(host.run("ip", "-json", "-details", *words) or "[]")
    return found


def _device(host: Host, name: str = DEVICE) -> dict[str, Any] | None:
    links = {link["ifname"]: link for link in _json(host, "link", "show")}
    return links.get(name)


def _is_on(host: Host, name: str = DEVICE) -> bool:
    device = _device(host, name)
    return device is not None and "UP" in device["flags"]


def _hears(worker: WorkerProcess) -> bool:
    report = worker.reports.get("front")
    return report is not None and report.active_peer is not None


def _wait_held(worker: WorkerProcess) -> None:
    worker.wait(
        lambda: worker.reports["front"].held == worker.reports["front"].addresses, "all are held"
    )


def _switch(host: Host, key: str, interface: str = "eth0") -> int:
    return int(host.run("cat", f"/proc/sys/net/ipv4/conf/{interface}/{key}"))


# --------------------------------------------------------------------------------- pure


@given(vrid=st.integers(1, 255), family=st.sampled_from((4, 6)))
def test_a_virtual_mac_tells_its_vrid(vrid: int, family: int) -> None:
    written = hardware_address_of(vrid, family).hex(":")
    assert vrid_of(written, family) == vrid
    assert vrid_of(written, 10 - family) is None


@given(st.dictionaries(st.sampled_from(("arp_ignore", "arp_announce")), st.integers(0, 8)))
def test_a_mark_tells_what_was_before(before: dict[str, int]) -> None:
    alias = mark("eth0.100", before)
    assert is_marked(alias)
    assert switches_before(alias) == before
    assert len(alias) < 256  # IFALIASZ


# --------------------------------------------------------------------------------- takeover


def test_a_takeover_changes_what_the_switch_knows_and_nothing_else(scene: Scene) -> None:
    one, _ = scene.pair()
    assert scene.knock("192.0.2.100") == "refused"
    assert scene.known_as("192.0.2.100") == MAC
    assert scene.port_of(MAC) == "lb1"
    backups = _device(scene.lb2)
    assert backups is not None
    assert (backups["address"], "UP" in backups["flags"]) == (MAC, False)
    assert scene.lb1.addresses() == {"192.0.2.11/24"}
    assert scene.lb1.addresses(DEVICE) == {VIP}
    # The director's own address has its own hardware address, as before.
    assert scene.knock("192.0.2.11") == "refused"
    assert scene.known_as("192.0.2.11") not in (MAC, None)

    executor = Executor(scene.lb1)
    one.kill()
    executor.execute(one.will)
    eventually(lambda: holds(scene.lb2, VIP), "lb2 takes over", 1.0)
    eventually(lambda: scene.port_of(MAC) == "lb2", "the switch has seen it", 1.0)
    assert executor.finish() == ["front: 192.0.2.12 took over; removed 1 of 1 addresses"]
    assert scene.knock("192.0.2.100") == "refused"
    assert scene.known_as("192.0.2.100") == MAC
    assert _device(scene.lb1) is None
    assert (_switch(scene.lb1, "arp_ignore"), _switch(scene.lb1, "arp_announce")) == (0, 0)


def test_over_ipv6_too(scene: Scene) -> None:
    one, other = scene.pair(FRONT_6)
    assert scene.knock("2001:db8::100") == "refused"
    assert scene.known_as("2001:db8::100") == MAC_6
    # Nothing but the virtual addresses: one made of the MAC would be the same on both directors.
    assert scene.lb1.addresses_6("vrrp6-51") == {"fe80::100/64", "2001:db8::100/64"}
    executor = Executor(scene.lb1)
    one.tell(Stop(reason="stopped by hand"))
    one.wait(lambda: one.ended, "it ends")
    executor.execute(one.will)
    other.wait_state("active")
    assert executor.finish()[0].endswith("took over; removed 2 of 2 addresses")
    _wait_held(other)
    assert scene.knock("2001:db8::100") == "refused"
    assert scene.port_of(MAC_6) == "lb2"
    assert _device(scene.lb1, "vrrp6-51") is None


def test_two_that_are_active_with_the_same_mac_hear_each_other(scene: Scene) -> None:
    one, other = scene.pair()
    scene.lan.isolate(scene.lb2)
    other.wait_state("active")
    scene.lan.heal(scene.lb2)
    other.wait_state("backup")
    eventually(lambda: not _is_on(scene.lb2), "its interface is off")
    assert one.state() == "active"
    eventually(lambda: scene.port_of(MAC) == "lb1", "the switch has seen the one that stays")
    assert scene.knock("192.0.2.100") == "refused"


def test_a_backup_leaves_nothing_behind_either(scene: Scene) -> None:
    _, other = scene.pair()
    executor = Executor(scene.lb2)
    other.tell(Stop(reason="stopped by hand"))
    other.wait(lambda: other.ended, "it ends")
    executor.execute(other.will)
    assert executor.finish() == []
    assert _device(scene.lb2) is None


def test_by_unicast_the_advertisements_come_from_the_real_address(scene: Scene) -> None:
    peers = (ip_address("192.0.2.11"), ip_address("192.0.2.12"))
    one, other = scene.pair(replace(FRONT, peers=peers))
    assert scene.knock("192.0.2.100") == "refused"
    assert scene.known_as("192.0.2.100") == MAC
    one.kill()
    other.wait_state("active")


# --------------------------------------------------------------------------------- disturbances


def test_a_deleted_interface_comes_back_and_that_is_told(scene: Scene) -> None:
    one, _ = scene.pair()
    scene.lb1.run("ip", "link", "del", DEVICE)
    one.wait_event("device-restored")
    _wait_held(one)
    assert _is_on(scene.lb1)
    assert scene.knock("192.0.2.100") == "refused"
    assert one.reports["front"].counters["became-active"] == 1


def test_one_that_was_switched_off_or_given_another_mac_is_put_right(scene: Scene) -> None:
    one = scene.start(scene.lb1, FRONT)
    one.wait_state("active")
    _wait_held(one)
    scene.lb1.run("ip", "link", "set", DEVICE, "down")
    eventually(lambda: _is_on(scene.lb1), "it is on again")
    scene.lb1.run("ip", "link", "set", DEVICE, "address", "02:00:00:00:00:01")
    eventually(lambda: (_device(scene.lb1) or {}).get("address") == MAC, "it has its MAC again")
    _wait_held(one)


def test_the_switches_below_are_put_right_again(scene: Scene) -> None:
    one = scene.start(scene.lb1, FRONT)
    one.wait_state("active")
    _wait_held(one)
    scene.lb1.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/eth0/arp_ignore")
    scene.lb1.run("ip", "address", "add", "198.51.100.9/24", "dev", "eth0")  # so it looks again
    eventually(lambda: _switch(scene.lb1, "arp_ignore") == 1, "eth0 is silent again")


def test_the_interface_below_is_waited_for_gone_or_renamed(scene: Scene) -> None:
    one = scene.start(scene.lb1, FRONT)
    one.wait_state("active")
    _wait_held(one)
    scene.lb1.run("ip", "link", "set", "eth0", "down")
    scene.lb1.run("ip", "link", "set", "eth0", "name", "old0")
    one.wait_state("fault")
    eventually(lambda: not _is_on(scene.lb1), "a MAC without a link is let go of")
    scene.lan.switch.run("ip", "link", "set", "lb1", "down")
    scene.lan.switch.run("ip", "link", "set", "lb1", "name", "old")
    scene.lan.plug(scene.lb1, "192.0.2.11/24")  # another eth0
    one.wait_state("active")
    _wait_held(one)
    found = _device(scene.lb1)
    assert found is not None
    assert found["link"] == "eth0"
    scene.lb1.run("ip", "link", "del", "eth0")
    one.wait_state("fault")
    scene.lan.plug(scene.lb1, "192.0.2.11/24")
    one.wait_state("active")
    _wait_held(one)
    assert one.process.poll() is None


def test_a_name_that_somebody_else_has_is_a_fault_until_it_is_free(scene: Scene) -> None:
    scene.lb1.run("ip", "link", "add", "link", "eth0", "name", DEVICE, "type", "macvlan")
    one = scene.start(scene.lb1, FRONT)
    one.wait_state("fault")
    assert one.reports["front"].reason == (
        "vrrp4-51 is a macvlan interface of somebody else: remove it, or write another"
        " virtual_mac_name"
    )
    assert one.will.is_empty
    scene.lb1.run("ip", "link", "del", DEVICE)
    one.wait_state("active")
    _wait_held(one)


def test_after_a_crash_without_a_will_the_interface_is_taken_over(scene: Scene) -> None:
    one = scene.start(scene.lb1, FRONT)
    one.wait_state("active")
    _wait_held(one)
    before = _device(scene.lb1)
    one.kill()
    again = scene.start(scene.lb1, replace(FRONT, priority=SECOND))
    again.wait_event("address-leftover")
    again.wait_state("active")
    _wait_held(again)
    after = _device(scene.lb1)
    assert before is not None
    assert after is not None
    assert after["ifindex"] == before["ifindex"]
    # What the switches were before stands at the interface, so it is not lost with the process.
    again.wait(lambda: len(again.will.devices) == 1, "the will names the interface")
    assert again.will.devices[0].switches == {"arp_ignore": 0, "arp_announce": 0}


def test_what_is_not_configured_any_more_is_deleted(scene: Scene) -> None:
    one = scene.start(scene.lb1, FRONT, FRONT_6_NAMED)
    one.wait_state("active")
    one.wait_state("active", "six")
    eventually(lambda: _switch(scene.lb1, "arp_ignore") == 1, "eth0 is silent about the addresses")
    one.configure(FRONT)
    eventually(lambda: _device(scene.lb1, "six0") is None, "its interface is deleted")
    assert _switch(scene.lb1, "arp_ignore") == 1
    one.configure(replace(FRONT, virtual_mac=False))
    one.wait(lambda: scene.lb1.addresses() >= {VIP}, "the address is on eth0 itself")
    eventually(lambda: _device(scene.lb1) is None, "its interface is deleted")
    eventually(lambda: _switch(scene.lb1, "arp_ignore") == 0, "eth0 is as it was")


FRONT_6_NAMED = replace(FRONT_6, name="six", virtual_mac_name="six0")


# --------------------------------------------------------------------------------- accept mode


@pytest.mark.parametrize("virtual_mac", [True, False])
@pytest.mark.parametrize("settings", [FRONT, FRONT_6], ids=["ipv4", "ipv6"])
def test_nothing_is_accepted_but_the_address_is_there(
    scene: Scene, settings: RouterSettings, *, virtual_mac: bool
) -> None:
    closed = replace(settings, virtual_mac=virtual_mac, accept=False)
    one = scene.start(scene.lb1, closed)
    one.wait_state("active")
    _wait_held(one)
    vip, own = str(settings.plain_addresses[-1]), "192.0.2.11"
    if settings.family == 6:
        own = "2001:db8::11"
    assert scene.knock(vip, 0.5) == "silent"
    assert scene.known_as(vip) not in (None, "None")  # ARP and neighbour discovery are answered
    assert scene.knock(own) == "refused"
    one.configure(replace(closed, accept=True))
    eventually(lambda: scene.knock(vip, 0.5) == "refused", "it is accepted now")
    one.configure(closed)
    eventually(lambda: scene.knock(vip, 0.5) == "silent", "and now it is not")
    one.kill()  # no rule survives its owner
    assert scene.knock(vip) == "refused"


def test_where_it_cannot_be_refused_the_router_works_and_says_so(scene: Scene) -> None:
    first = scene.start(scene.lb1, replace(FRONT, accept=False))
    first.wait_state("active")
    second = scene.start(scene.lb1, replace(FRONT, vrid=52, virtual_mac_name="x", accept=False))
    assert second.wait_event("accepting").sentence.startswith("accept: false is not in force: ")
    second.wait_state("active")
    assert second.reports["front"].remark == second.wait_event("accepting").sentence
