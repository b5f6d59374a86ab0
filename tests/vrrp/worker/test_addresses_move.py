"""Addresses, routes and rules follow the election on real interfaces, whatever others do there."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, ip_interface

from tests.vrrp.worker.stage import VIP, front, peer, wait_held
from tests.vrrp.world import Executor, Host, StartWorker, WorkerProcess, eventually
from vrrp.choices import OnLoss, Scope
from vrrp.paths import PolicyRule, Route


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
    other.wait(lambda: peer(other) == "192.0.2.11", "lb2 hears lb1")
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


def test_what_the_kernel_refuses_keeps_no_other_address_from_moving(
    hosts: tuple[Host, Host], start: StartWorker
) -> None:
    def without_ipv6(value: int) -> None:
        hosts[0].run("sh", "-c", f"echo {value} > /proc/sys/net/ipv6/conf/eth0/disable_ipv6")

    refused, after = "2001:db8::7/128", "198.51.100.7/32"
    without_ipv6(1)
    settings = replace(front(254), excluded=tuple(map(ip_interface, (refused, after))))
    one = start(hosts[0], settings)
    one.wait_state("active")
    wait_held(one, VIP, after)
    one.wait(lambda: any(event.kind == "address-failed" for event in one.events), "it is told")
    [told] = [event.sentence for event in one.events if event.kind == "address-failed"]
    assert told.startswith(f"cannot add {refused} to eth0: ")
    without_ipv6(0)
    wait_held(one, VIP, refused, after)


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
