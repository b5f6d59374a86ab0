"""Interfaces and source addresses that are renamed, lose their carrier, come and go."""

from ipaddress import IPv4Address

from tests.vrrp.worker.stage import VIP, front, wait_held
from tests.vrrp.world import Host, StartWorker, World, eventually


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
