"""The worker as a program: real processes, sockets and addresses, in network namespaces."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, ip_interface

import pytest

from tests.prerequisites import require
from tests.vrrp.world import Executor, Host, WorkerProcess, World, eventually
from vrrp.choices import OnLoss, Scope
from vrrp.config import RouterSettings
from vrrp.messages import Event, Hold, Stop
from vrrp.paths import PolicyRule, Route

VIP = "192.0.2.100/24"
BACK_VIP = "198.51.100.1/24"
StartWorker = Callable[..., WorkerProcess]


def front(
    priority: int,
    *addresses: str,
    group: str | None = None,
    source: IPv4Address | None = None,
) -> RouterSettings:
    return RouterSettings(
        name="front",
        vrid=51,
        interface="eth0",
        advertise=0.1,
        addresses=tuple(IPv4Interface(address) for address in addresses or (VIP,)),
        priority=priority,
        group=group,
        source=source,
    )


@pytest.fixture
def world() -> Iterator[World]:
    require("ip", "nsenter", "unshare", namespaces=True)
    with World() as world:
        yield world


@pytest.fixture
def hosts(world: World) -> tuple[Host, Host]:
    one, other = world.host("lb1"), world.host("lb2")
    world.link({one: "192.0.2.11/24", other: "192.0.2.12/24"})
    return one, other


@pytest.fixture
def start(world: World) -> Iterator[StartWorker]:
    with ExitStack() as stack:

        def start_worker(host: Host, *routers: RouterSettings) -> WorkerProcess:
            worker = WorkerProcess(host, *routers)
            stack.callback(worker.close)
            return worker

        yield start_worker


@pytest.fixture
def pair(hosts: tuple[Host, Host], start: StartWorker) -> tuple[WorkerProcess, WorkerProcess]:
    """lb1 is active, lb2 is backup and has heard it."""
    one = start(hosts[0], front(254))
    one.wait_state("active")
    other = start(hosts[1], front(253))
    other.wait(lambda: _peer(other) == "192.0.2.11", "lb2 hears lb1")
    return one, other


def _peer(worker: WorkerProcess) -> str | None:
    report = worker.reports.get("front")
    return None if report is None else report.active_peer


def _received(worker: WorkerProcess) -> int:
    report = worker.reports.get("front")
    return 0 if report is None else report.counters.get("received", 0)


def wait_held(worker: WorkerProcess, *addresses: str) -> None:
    worker.wait(lambda: worker.reports["front"].held == addresses, f"holds {addresses}")


# ------------------------------------------------------------------------------ takeover


def test_a_crash_is_taken_over_and_the_will_cleans_up(
    pair: tuple[WorkerProcess, WorkerProcess],
) -> None:
    one, other = pair
    wait_held(one, VIP)
    assert [router.name for router in one.will.routers] == ["front"]
    assert other.will.routers == ()
    executor = Executor(one.host)
    one.kill()
    assert VIP in one.host.addresses()  # the kernel forwards on
    executor.execute(one.will)
    other.wait_state("active")
    assert other.reports["front"].reason.startswith("heard priority 0 from 192.0.2.11; no other")
    wait_held(other, VIP)
    assert executor.finish() == ["front: 192.0.2.12 took over; removed 1 of 1 addresses"]
    assert one.host.addresses() == {"192.0.2.11/24"}
    assert one.host.arp_ignore() == 0


def test_a_will_without_a_successor_removes_the_addresses_after_its_linger(
    hosts: tuple[Host, Host], start: StartWorker
) -> None:
    worker = start(hosts[0], front(254))
    worker.wait_state("active")
    wait_held(worker, VIP)
    worker.kill()
    executor = Executor(hosts[0])
    executor.execute(worker.will)
    [sentence] = executor.finish()
    assert sentence == "front: no peer was heard within 101 ms; removed 1 of 1 addresses"
    assert hosts[0].addresses() == {"192.0.2.11/24"}


def test_without_a_will_three_intervals_pass(pair: tuple[WorkerProcess, WorkerProcess]) -> None:
    one, other = pair
    one.kill()
    other.wait_state("active")
    assert other.reports["front"].reason.startswith("no advertisement from 192.0.2.11 for 30")


def test_the_better_one_returns_and_removes_what_it_left(
    pair: tuple[WorkerProcess, WorkerProcess], start: StartWorker
) -> None:
    one, other = pair
    wait_held(one, VIP)
    one.kill()
    other.wait_state("active")
    returned = start(one.host, front(254))
    returned.wait_event("address-leftover")
    returned.wait_state("active")
    other.wait_state("backup")
    assert returned.reports["front"].reason == "priority 253 of 192.0.2.12 is lower than our 254"
    wait_held(returned, VIP)
    eventually(lambda: other.host.addresses() == {"192.0.2.12/24"}, "lb2 released")
    assert [event.kind for event in other.events].count("transition") == 3


# ------------------------------------------------------------------------------ the end


def test_stop_leaves_the_addresses_to_the_supervisor(
    pair: tuple[WorkerProcess, WorkerProcess],
) -> None:
    one, other = pair
    wait_held(one, VIP)
    one.tell(Stop(reason="the unit is stopped"))
    one.wait(lambda: one.ended, "lb1 ends")
    assert one.process.wait(timeout=5) == 0
    assert VIP in one.host.addresses()
    assert Event(kind="stopping", router=None, sentence="the unit is stopped") in one.events
    executor = Executor(one.host)
    executor.execute(one.will)
    other.wait_state("active")
    executor.finish()
    assert VIP not in one.host.addresses()


def test_left_alone_it_executes_its_own_will(pair: tuple[WorkerProcess, WorkerProcess]) -> None:
    one, other = pair
    wait_held(one, VIP)
    one.socket.close()
    other.wait_state("active")
    assert one.process.wait(timeout=5) == 0
    assert one.host.addresses() == {"192.0.2.11/24"}
    assert one.host.arp_ignore() == 0
    assert other.reports["front"].reason.startswith("heard priority 0")


def test_sigterm_is_a_stop(pair: tuple[WorkerProcess, WorkerProcess]) -> None:
    one, _ = pair
    wait_held(one, VIP)
    os.kill(one.process.pid, signal.SIGTERM)
    one.wait(lambda: one.ended, "lb1 ends")
    assert one.process.wait(timeout=5) == 0
    assert len(one.will.routers) == 1
    assert VIP in one.host.addresses()


def test_a_pause_ends_in_backup_before_anything_is_said(
    pair: tuple[WorkerProcess, WorkerProcess],
) -> None:
    one, other = pair
    wait_held(one, VIP)
    os.kill(one.process.pid, signal.SIGSTOP)
    other.wait_state("active")
    os.kill(one.process.pid, signal.SIGCONT)
    one.wait_event("late")
    late = next(e for e in one.events if "this process was" in e.sentence)
    assert late.sentence.startswith("active to backup: this process was")
    one.wait_state("active")  # and takes over again, as the better one
    other.wait_state("backup")


# ------------------------------------------------------------------------------ addresses


def test_a_deleted_address_comes_back_at_once(hosts: tuple[Host, Host], start: StartWorker) -> None:
    worker = start(hosts[0], front(254))
    worker.wait_state("active")
    wait_held(worker, VIP)
    hosts[0].run("ip", "address", "del", VIP, "dev", "eth0")
    assert worker.wait_event("address-lost").sentence == (
        f"{VIP} on eth0 was deleted by another program"
    )
    worker.wait_event("address-restored")
    assert VIP in hosts[0].addresses()
    assert worker.state() == "active"


def test_where_the_router_shall_yield_a_deleted_address_goes_to_the_peer(
    hosts: tuple[Host, Host], start: StartWorker
) -> None:
    one = start(hosts[0], replace(front(254), on_loss=OnLoss.YIELD, preempt=False))
    one.wait_state("active")
    wait_held(one, VIP)
    other = start(hosts[1], replace(front(253), on_loss=OnLoss.YIELD, preempt=False))
    other.wait(lambda: _peer(other) == "192.0.2.11", "lb2 hears lb1")
    hosts[0].run("ip", "address", "del", VIP, "dev", "eth0")
    other.wait_state("active")
    wait_held(other, VIP)
    assert other.reports["front"].reason.startswith("heard priority 0 from 192.0.2.11")
    one.wait_state("backup")
    fault = f"active to fault: {VIP} on eth0 was deleted by another program"
    assert fault in [event.sentence for event in one.events]
    assert VIP not in hosts[0].addresses()


def test_addresses_get_their_label_and_scope_and_excluded_ones_come_along(
    pair: tuple[WorkerProcess, WorkerProcess],
) -> None:
    one, other = pair
    excluded = tuple(map(ip_interface, ("198.51.100.7/32", "2001:db8::7/128")))
    # The kernel takes two scopes within one subnet only where the prefix lengths differ.
    host_only = "192.0.2.100/32"
    settings = replace(front(254, host_only), label="eth0:vip", scope=Scope.LINK, excluded=excluded)
    one.configure(front(254, "192.0.2.101/32"))
    wait_held(one, "192.0.2.101/32")
    one.configure(settings)
    wait_held(one, host_only, "198.51.100.7/32", "2001:db8::7/128")
    shown = one.host.run("ip", "-4", "address", "show", "dev", "eth0")
    for address in (host_only, "198.51.100.7/32"):
        assert f"inet {address} scope link eth0:vip" in shown
    one.kill()
    executor = Executor(one.host)
    executor.execute(one.will)
    assert "removed 3 of 3 addresses" in executor.finish()[0]
    other.wait_state("active")
    wait_held(other, VIP)


def test_routes_and_rules_move_along_and_the_hosts_own_stay(
    pair: tuple[WorkerProcess, WorkerProcess],
) -> None:
    one, other = pair
    one.host.run("ip", "route", "add", "10.0.0.0/8", "via", "192.0.2.2")  # the host's own

    def ways(host: Host) -> list[str]:
        routes = host.run("ip", "route", "show", "proto", "112", "table", "all")
        rules = host.run("ip", "rule", "show", "priority", "77")
        return [" ".join(line.split()) for line in (routes + rules).splitlines()]

    more = {
        "excluded": (ip_interface("2001:db8::100/64"),),
        "routes": (
            Route(to="10.0.0.0/8", via=IPv4Address("192.0.2.1"), metric=50),
            Route(
                to="0.0.0.0/0",
                via=IPv4Address("192.0.2.1"),
                table=1000,
                source=IPv4Address("192.0.2.100"),
            ),
            Route(to="2001:db8:7::/48", via=IPv6Address("2001:db8::1")),
        ),
        "rules": (PolicyRule(priority=77, source="192.0.2.100/32", table=1000),),
    }
    for worker, priority in ((one, 254), (other, 253)):
        worker.configure(replace(front(priority), **more))  # type: ignore[arg-type]
    expected = [
        "default via 192.0.2.1 dev eth0 table 1000 src 192.0.2.100",
        "10.0.0.0/8 via 192.0.2.1 dev eth0 metric 50",
        "2001:db8:7::/48 via 2001:db8::1 dev eth0 metric 1024 pref medium",
        "77: from 192.0.2.100 lookup 1000 proto 112",
    ]
    eventually(lambda: ways(one.host) == expected, f"{expected}, not {ways(one.host)}")
    assert ways(other.host) == []
    one.host.run("ip", "rule", "del", "priority", "77")
    assert one.wait_event("path-restored").sentence == (
        "rule 77 to table 1000 was removed by another program and is there again"
    )
    one.kill()
    executor = Executor(one.host)
    executor.execute(one.will)
    executor.finish()
    assert ways(one.host) == []
    assert "10.0.0.0/8 via 192.0.2.2 dev eth0" in one.host.run("ip", "route")
    other.wait_state("active")
    eventually(lambda: ways(other.host) == expected, "the peer has them")


def test_a_renamed_interface_is_waited_for(hosts: tuple[Host, Host], start: StartWorker) -> None:
    host, worker = hosts[0], start(hosts[0], front(254))
    worker.wait_state("active")
    wait_held(worker, VIP)
    for old, new in (("eth0", "lan0"), ("lan0", "eth0")):
        host.run("ip", "link", "set", old, "down")
        host.run("ip", "link", "set", old, "name", new)
        host.run("ip", "link", "set", new, "up")
        worker.wait_state("fault" if new == "lan0" else "active")
    wait_held(worker, VIP)
    assert worker.process.poll() is None


def test_only_the_virtual_address_is_removed_even_if_it_is_the_first(
    hosts: tuple[Host, Host], start: StartWorker
) -> None:
    host = hosts[0]
    host.run("ip", "address", "flush", "dev", "eth0")
    for address in (VIP, "192.0.2.11/24", "192.0.2.77/24"):
        host.run("ip", "address", "add", address, "dev", "eth0")
    worker = start(host, front(254))
    worker.wait_event("address-leftover")
    eventually(lambda: VIP not in host.addresses(), "the left-over address goes")
    assert host.addresses() == {"192.0.2.11/24", "192.0.2.77/24"}
    worker.wait_state("active")


def test_a_link_without_carrier_is_waited_for(hosts: tuple[Host, Host], start: StartWorker) -> None:
    one, other = hosts
    worker = start(one, front(254))
    worker.wait_state("active")
    other.run("ip", "link", "set", "eth0", "down")
    worker.wait_state("fault")
    assert worker.reports["front"].reason == "interface eth0 has no carrier"
    eventually(lambda: VIP not in one.addresses(), "the address is released")
    other.run("ip", "link", "set", "eth0", "up")
    worker.wait_state("active")
    wait_held(worker, VIP)


def test_an_interface_that_comes_later_and_goes_and_comes_back(
    world: World, start: StartWorker
) -> None:
    one, other = world.host("lb1"), world.host("lb2")
    worker = start(one, front(254))
    for _ in range(2):
        worker.wait_state("fault")
        assert worker.reports["front"].reason == "interface eth0 is missing"
        world.link({one: "192.0.2.11/24", other: "192.0.2.12/24"})
        worker.wait_state("active")
        wait_held(worker, VIP)
        one.run("ip", "link", "delete", "eth0")
    worker.wait_state("fault")
    assert worker.process.poll() is None


def test_a_source_that_is_not_there_is_waited_for(
    hosts: tuple[Host, Host], start: StartWorker
) -> None:
    worker = start(hosts[0], front(254, source=IPv4Address("192.0.2.19")))
    worker.wait_state("fault")
    assert worker.reports["front"].reason == "192.0.2.19 is not an address of eth0"
    hosts[0].run("ip", "address", "add", "192.0.2.19/24", "dev", "eth0")
    worker.wait_state("active")


# ------------------------------------------------------------------------------ configuration


def test_changed_addresses_move_without_a_change_of_state(
    pair: tuple[WorkerProcess, WorkerProcess],
) -> None:
    one, other = pair
    wait_held(one, VIP)
    one.configure(front(254, "192.0.2.101/32", VIP))
    wait_held(one, "192.0.2.101/32", VIP)
    one.configure(front(254, "192.0.2.101/32"))
    wait_held(one, "192.0.2.101/32")
    eventually(
        lambda: one.host.addresses() == {"192.0.2.11/24", "192.0.2.101/32"}, "the old one goes"
    )
    assert one.will.routers[0].addresses == (IPv4Interface("192.0.2.101/32"),)
    assert [e.kind for e in one.events].count("transition") == 2  # to backup, to active
    assert "has other virtual addresses" in other.wait_event("addresses-differ").sentence


def test_a_lower_priority_hands_over_without_a_stop(
    pair: tuple[WorkerProcess, WorkerProcess],
) -> None:
    one, other = pair
    one.configure(front(100))
    other.wait_state("active")
    one.wait_state("backup")


def test_a_removed_router_hands_over_and_the_others_stay(
    hosts: tuple[Host, Host], start: StartWorker
) -> None:
    second = RouterSettings(
        name="second",
        vrid=77,
        interface="eth0",
        advertise=0.1,
        addresses=(IPv4Interface("192.0.2.177/32"),),
        priority=254,
    )
    worker = start(hosts[0], front(254), second)
    worker.wait_state("active", "second")
    worker.wait_state("active")
    wait_held(worker, VIP)
    worker.configure(front(254))
    assert worker.wait_event("handed-over").sentence.startswith("second: no peer was heard")
    assert hosts[0].addresses() == {"192.0.2.11/24", VIP}
    worker.wait(lambda: [w.name for w in worker.will.routers] == ["front"], "one will left")
    assert worker.state() == "active"


def test_a_router_removed_from_an_active_group_leaves_the_peer_a_backup(
    hosts: tuple[Host, Host], start: StartWorker
) -> None:
    def second(priority: int) -> RouterSettings:
        addresses = (IPv4Interface("192.0.2.177/32"),)
        return replace(front(priority, group="web"), name="second", vrid=77, addresses=addresses)

    one = start(hosts[0], front(254, group="web"), second(254))
    one.wait_state("active")
    other = start(hosts[1], front(253, group="web"), second(253))
    other.wait(lambda: _peer(other) == "192.0.2.11", "lb2 hears lb1")
    one.configure(front(254, group="web"))
    assert one.wait_event("handed-over").sentence == "second: removed 1 of 1 addresses"
    assert hosts[0].addresses() == {"192.0.2.11/24", VIP}
    heard = _received(other)
    other.wait(lambda: _received(other) > heard + 3, "lb2 goes on hearing lb1")
    assert {report.state.value for report in other.reports.values()} == {"backup"}
    assert not [event for event in other.events if "backup to active" in event.sentence]


def test_nonsense_is_reported_and_survived(hosts: tuple[Host, Host], start: StartWorker) -> None:
    worker = start(hosts[0], front(254))
    worker.socket.sendall(b'{"type": "abracadabra"}\n')
    assert "abracadabra" in worker.wait_event("message-error").sentence
    worker.wait_state("active")
    heartbeats = worker.heartbeats
    worker.wait(lambda: worker.heartbeats > heartbeats + 2, "heartbeats go on")


def test_a_held_director_does_not_preempt_until_it_is_released(
    hosts: tuple[Host, Host], start: StartWorker
) -> None:
    weaker = start(hosts[1], front(100))
    weaker.wait_state("active")
    better = start(hosts[0])
    better.tell(Hold(held=True, reason="the services are not checked yet"))
    better.configure(front(254))
    better.wait(lambda: _received(better) > 5, "hears the weaker one for more than three intervals")
    assert better.state() == "backup"
    better.tell(Hold(held=False, reason="ready"))
    better.wait_state("active")


FORGE = """
import socket
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("192.0.2.12"))
for ttl, packet in ((255, "2133ff01"), (1, "3133ff01"), (255, "3133ff01"), (255, "31")):
    raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
    raw.sendto(bytes.fromhex(packet + "0064ffff c0000264"), ("224.0.0.18", 0))
"""


def test_malformed_and_forged_packets_are_counted_by_cause_and_dropped(
    hosts: tuple[Host, Host], start: StartWorker
) -> None:
    worker = start(hosts[0], front(100))
    worker.wait_state("active")
    hosts[1].run(sys.executable, "-c", FORGE)
    expected = {"rejected-version": 1, "rejected-ttl": 1, "rejected-checksum": 1}
    worker.wait(
        lambda: expected.items() <= worker.reports["front"].counters.items(), "all are counted"
    )
    assert "VRRP version 2" in worker.wait_event("rejected-version").sentence
    assert worker.state() == "active"
    assert "received" not in worker.reports["front"].counters


def test_both_sides_of_nat_move_together(world: World, start: StartWorker) -> None:
    one, other = world.host("lb1"), world.host("lb2")
    world.link({one: "192.0.2.11/24", other: "192.0.2.12/24"})
    world.link({one: "198.51.100.11/24", other: "198.51.100.12/24"}, "eth1")

    def both(priority: int) -> tuple[RouterSettings, RouterSettings]:
        back = RouterSettings(
            name="back",
            vrid=52,
            interface="eth1",
            advertise=0.1,
            addresses=(IPv4Interface(BACK_VIP),),
            group="web",
            priority=priority,
        )
        return front(priority, group="web"), back

    lb1 = start(one, *both(254))
    lb1.wait_state("active", "back")
    lb2 = start(other, *both(253))
    lb2.wait(lambda: _peer(lb2) is not None, "lb2 hears lb1")
    one.run("ip", "link", "set", "eth1", "down")  # takes the carrier from lb2's side as well
    lb1.wait_state("fault")
    assert lb1.reports["front"].reason == (
        "group web: back cannot take part: interface eth1 is switched off"
    )
    lb2.wait_state("fault", "back")
    eventually(lambda: VIP not in one.addresses(), "lb1 released")
    one.run("ip", "link", "set", "eth1", "up")
    lb1.wait_state("active", "back")
    lb1.wait_state("active", "front")
    eventually(lambda: BACK_VIP in one.addresses("eth1"), "lb1 has the inside address")
    assert lb2.state("front") == lb2.state("back") == "backup"


DEAF = """
import socket, time
from ipaddress import IPv4Address
from vrrp import packet
advertisement = packet.Advertisement(
    vrid=51, priority=253, interval_cs=10, addresses=(IPv4Address("192.0.2.100"),))
payload = packet.encode(advertisement, IPv4Address("192.0.2.12"), packet.MULTICAST_IPV4)
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("192.0.2.12"))
raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
while True:
    raw.sendto(payload, ("224.0.0.18", 0))
    time.sleep(0.1)
"""


def test_a_peer_that_does_not_hear_us_is_told_as_a_split_brain_until_it_is_silent(
    hosts: tuple[Host, Host], start: StartWorker
) -> None:
    worker = start(hosts[0], front(254))
    worker.wait_state("active")
    deaf = hosts[1].start(sys.executable, "-c", DEAF)
    assert worker.wait_event("rival-heard").sentence == (
        "192.0.2.12 (priority 253) was active as well until now"
    )
    sentence = worker.wait_event("split-brain").sentence
    assert sentence.startswith("192.0.2.12 (priority 253, ours 254) has been active as well for ")
    assert "it does not hear us" in sentence
    worker.wait(lambda: worker.reports["front"].rival == "192.0.2.12", "the report names it")
    deaf.kill()
    assert "is not active any more, after " in worker.wait_event("split-brain-over").sentence
    worker.wait(lambda: worker.reports["front"].rival == "", "the report names it no more")
    assert worker.state() == "active"


def test_it_tells_how_late_it_was_woken(hosts: tuple[Host, Host], start: StartWorker) -> None:
    worker = start(hosts[0], front(254))
    worker.wait(lambda: worker.timing is not None, "it tells")
    assert worker.timing is not None
    assert worker.timing.wakes > 30  # an advertisement every 100 ms
    assert worker.timing.within_ms["500"] <= worker.timing.wakes
    assert 0 < worker.timing.lately_ms <= worker.timing.worst_ms


def test_a_wrong_command_line_says_how() -> None:
    command = [sys.executable, "-m", "vrrp.worker"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
    assert outcome.returncode == 1
    assert "usage: python -m vrrp.worker FD" in outcome.stderr
