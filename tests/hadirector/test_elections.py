"""What the VRRP worker is told of the configuration: priority, source, how often to beat."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, ip_address
from pathlib import Path

import pytest

from hadirector import limits
from hadirector.config.codec import config_from_json, config_to_json
from hadirector.config.model import Config, Node
from hadirector.elections import carriers, heartbeat_bound_s, outranks, preferred, router_settings
from hadirector.ipvs.model import FirewallMark, Protocol, VirtualAddress
from tests.hadirector.config.samples import HEAD, config_of
from tests.hadirector.test_pool import WEB
from vrrp.config import VirtualRouter


def router(
    name: str = "front", network: str = "192.0.2.100/24", advertise: float = 1.0
) -> VirtualRouter:
    return VirtualRouter(
        name=name,
        vrid=51,
        interface="eth0",
        advertise=advertise,
        addresses=(IPv4Interface(network),),
    )


def config(*routers: VirtualRouter, address: str = "192.0.2.11") -> Config:
    nodes = {"lb1": Node(ip_address(address), 254), "lb2": Node(ip_address("192.0.2.12"), 253)}
    return Config(nodes=nodes, virtual_routers=routers, services=())


def test_each_node_has_its_own_priority_and_source() -> None:
    pair = config(router())
    (mine,), (theirs,) = router_settings(pair, "lb1"), router_settings(pair, "lb2")
    assert (mine.priority, mine.source) == (254, IPv4Address("192.0.2.11"))
    assert (theirs.priority, theirs.source) == (253, IPv4Address("192.0.2.12"))
    assert (mine.name, mine.vrid, mine.addresses) == ("front", 51, theirs.addresses)


@pytest.mark.parametrize("address", ["203.0.113.11", "2001:db8::11"])
def test_a_node_outside_the_network_leaves_the_source_to_the_interface(address: str) -> None:
    (settings,) = router_settings(config(router(), address=address), "lb1")
    assert settings.source is None


def test_the_back_side_has_another_source() -> None:
    pair = config(router(), router("back", "198.51.100.1/24"))
    assert [s.source for s in router_settings(pair, "lb1")] == [IPv4Address("192.0.2.11"), None]


@pytest.mark.parametrize(
    ("intervals", "bound_s"),
    [
        ((), limits.DIRECTOR_HEARTBEAT_S),
        ((1.0,), 2.0),
        ((1.0, 0.3), 0.6),
        ((0.01,), limits.VRRP_HEARTBEAT_MIN_S),
        ((40.0,), 80.0),
    ],
)
def test_a_frozen_worker_is_noticed_before_its_peer_gives_up(
    intervals: tuple[float, ...], bound_s: float
) -> None:
    pair = config(*(router(str(number), advertise=each) for number, each in enumerate(intervals)))
    assert heartbeat_bound_s(pair) == pytest.approx(bound_s)


def own(tmp_path: Path, nodes: str) -> Config:
    """A pair with two virtual routers, of which the second one has this below `nodes:`."""
    second = f"""\
  - name: shop
    vrid: 52
    interface: eth0
    addresses: [192.0.2.101/24]
    nodes: {nodes}
services:
  - {{name: web, listen: "tcp://192.0.2.100:80", forward: dr, servers: ["192.0.2.21:80"]}}
  - {{name: shop, listen: "tcp://192.0.2.101:80", forward: dr, servers: ["192.0.2.21:80"]}}
"""
    return config_of(tmp_path, HEAD + second)


def test_what_differs_on_a_director_is_laid_over_what_holds_for_all(tmp_path: Path) -> None:
    nodes = "{lb1: {priority: 100}, lb2: {interface: ens3, preempt: false, source: 192.0.2.99}}"
    pair = own(tmp_path, nodes)
    (front, mine), (theirs_front, theirs) = (router_settings(pair, n) for n in ("lb1", "lb2"))
    assert (front.priority, theirs_front.priority) == (254, 253)
    assert (mine.priority, mine.interface, mine.preempt) == (100, "eth0", True)
    assert (theirs.priority, theirs.interface, theirs.preempt) == (253, "ens3", False)
    # Without a source, the director's own address is it, as without `nodes:`.
    assert (str(mine.source), str(theirs.source)) == ("192.0.2.11", "192.0.2.99")
    assert mine.vrid == theirs.vrid == 52
    assert config_from_json(config_to_json(pair)) == pair


def test_each_director_is_preferred_for_what_it_has_the_higher_priority(tmp_path: Path) -> None:
    pair = own(tmp_path, "{lb1: {priority: 100}, lb2: {preempt: false}}")
    www, shop = pair.virtual_routers
    assert (preferred(pair, www), preferred(pair, shop)) == ("lb1", "lb2")
    assert outranks(pair, www, "lb1", "lb2")
    assert not outranks(pair, www, "lb2", "lb1")
    assert not outranks(pair, shop, "lb2", "lb1")  # it may not preempt
    assert carriers(pair, pair.services[1]) == (shop,)


def test_of_equals_the_higher_address_is_preferred(tmp_path: Path) -> None:
    pair = own(tmp_path, "{lb1: {priority: 253}}")
    assert preferred(pair, pair.virtual_routers[1]) == "lb2"


def test_a_service_of_several_addresses_is_carried_by_the_first_that_a_router_has() -> None:
    first, second = router("a", "192.0.2.100/24"), router("b", "192.0.2.101/24")
    pair = config(first, second)
    elsewhere, here, there = (
        VirtualAddress(Protocol.TCP, ip_address(address), 80)
        for address in ("203.0.113.9", "192.0.2.101", "192.0.2.100")
    )
    assert carriers(pair, replace(WEB, listen=elsewhere, also=(here, there))) == (second,)
    assert carriers(pair, replace(WEB, listen=FirewallMark(7), also=(here,))) == (second,)
    assert carriers(pair, replace(WEB, listen=FirewallMark(7))) == (first,)
