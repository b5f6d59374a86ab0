"""Where the lab's clients ask for a firewall mark, and by which rule packets get it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from hadirector.config.model import Service
from hadirector.ipvs.model import FirewallMark, Forward, Protocol, VirtualAddress
from hadirector.lab.commands import Batch, build_steps
from hadirector.lab.marks import Marking, marked
from hadirector.lab.world import build_world
from tests.lab.configurations import BACK, FRONT, VIP, config_of, router, server, service

SEVEN, SIX = FirewallMark(7), FirewallMark(7, 6)


def marks(mark: FirewallMark, port: int, name: str = "m") -> Service:
    one = service(name, 80, Forward.DR, server("192.0.2.31", port))
    return replace(one, listen=mark)


def at(port: int, address: str = VIP) -> VirtualAddress:
    return VirtualAddress(Protocol.TCP, ip_address(address), port)


def test_clients_ask_at_a_virtual_address_that_is_free() -> None:
    web = service("web", 80, Forward.NAT, server("198.51.100.21", 80))
    other = marks(FirewallMark(9), 80, name="other")
    found = marked(config_of(web, marks(SEVEN, 8080), other))
    assert found == {SEVEN: at(8080), FirewallMark(9): at(80, "198.51.100.1")}
    front6 = router("front6", 51, "eth0", "fe80::51/64", "2001:db8::100/64")
    found = marked(config_of(marks(SIX, 80), routers=(FRONT, BACK, front6)))
    assert found == {SIX: at(80, "2001:db8::100")}


def test_without_a_virtual_address_of_its_version_nobody_can_ask() -> None:
    assert marked(config_of(marks(SIX, 80))) == {}
    assert marked(config_of(marks(SEVEN, 80), routers=())) == {}


def test_every_director_marks_and_every_server_holds_the_address() -> None:
    world = build_world(config_of(marks(SEVEN, 0)), prefix="t-")
    for director in world.directors.values():
        assert director.marks == (Marking("eth0", 7, at(80)),)
    machine = world.servers["192.0.2.31"].machine
    assert [(device, str(address.ip)) for device, address in machine.silent] == [("lo", VIP)]
    assert [each.port for each in world.servers["192.0.2.31"].listeners] == [80]
    [batch] = [
        step
        for step in build_steps(world)
        if isinstance(step, Batch) and step.program == "tc" and step.namespace == "t-lb2"
    ]
    assert batch.lines == (
        "qdisc replace dev eth0 clsact",
        (
            "filter add dev eth0 ingress protocol ip prio 4 flower ip_proto tcp "
            f"dst_ip {VIP} dst_port 80 action skbedit mark 7"
        ),
    )
