from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from hadirector.config.loader import load
from hadirector.config.model import Config, Node
from hadirector.ipvs.model import FirewallMark, Forward
from hadirector.lab.commands import restart_addresses
from hadirector.lab.errors import LabError
from hadirector.lab.tunnels import TunnelEnd
from hadirector.lab.world import Machine, World, build_world
from tests.lab.configurations import (
    BACK,
    DR,
    DR_BEHIND,
    EVERYTHING,
    FRONT,
    NAT,
    ONE_ARMED,
    TUN,
    TUN6,
    TUN_UDP,
    config_of,
    router,
    server,
    service,
)

CONFIGURATIONS = sorted(Path(__file__).parents[2].glob("configs/*.yaml"))


def world_of(config: Config) -> World:
    return build_world(config, prefix="t-")


def legs(machine: Machine) -> dict[str, list[str]]:
    return {leg.interface: [str(address) for address in leg.addresses] for leg in machine.legs}


def silent(machine: Machine) -> list[str]:
    return [f"{device} {address}" for device, address in machine.silent]


def routes(machine: Machine) -> list[str]:
    return [f"{r.destination} via {r.via} dev {r.interface}" for r in machine.routes]


def test_a_director_has_its_own_address_and_a_spare_one_on_each_other_network() -> None:
    world = world_of(config_of(NAT))
    assert legs(world.directors["lb1"]) == {
        "eth0": ["192.0.2.11/24"],
        "eth1": ["198.51.100.254/24"],
    }
    assert legs(world.directors["lb2"]) == {
        "eth0": ["192.0.2.12/24"],
        "eth1": ["198.51.100.253/24"],
    }


def test_the_client_is_in_the_subnet_of_the_services() -> None:
    assert legs(world_of(config_of(NAT)).client) == {"eth0": ["192.0.2.254/24"]}


def test_a_nat_server_replies_through_the_inside_virtual_address() -> None:
    machine = world_of(config_of(NAT)).servers["198.51.100.21"].machine
    assert legs(machine) == {"eth1": ["198.51.100.21/24"]}
    assert routes(machine) == ["default via 198.51.100.1 dev eth1"]
    assert silent(machine) == []


def test_a_nat_server_beside_the_client_replies_through_the_virtual_address_as_well() -> None:
    machine = world_of(config_of(ONE_ARMED)).servers["192.0.2.40"].machine
    assert routes(machine) == [
        "default via 192.0.2.100 dev eth0",
        "192.0.2.254 via 192.0.2.100 dev eth0",
    ]


def test_a_nat_server_outside_every_virtual_subnet_replies_through_its_networks_address() -> None:
    world = world_of(config_of(service("x", 80, Forward.NAT, server("10.9.9.9", 80))))
    assert legs(world.directors["lb1"])["eth1"] == ["198.51.100.254/24", "10.9.9.254/24"]
    assert routes(world.servers["10.9.9.9"].machine) == ["default via 198.51.100.1 dev eth1"]
    assert any("10.9.9.9" in remark for remark in world.remarks)


def test_a_dr_server_holds_the_virtual_address_and_keeps_quiet_about_it() -> None:
    machine = world_of(config_of(DR)).servers["192.0.2.31"].machine
    assert silent(machine) == ["lo 192.0.2.100/32"]
    assert legs(machine) == {"eth0": ["192.0.2.31/24"]}
    assert machine.sysctls["net/ipv4/conf/all/arp_ignore"] == "1"
    assert machine.sysctls["net/ipv4/conf/all/arp_announce"] == "2"


def test_a_dr_server_on_another_network_gets_a_leg_on_the_clients() -> None:
    machine = world_of(config_of(DR_BEHIND)).servers["198.51.100.31"].machine
    assert legs(machine) == {"eth0": ["192.0.2.253/24"], "eth1": ["198.51.100.31/24"]}


def test_tunnels_end_on_the_device_of_the_servers_ip_version() -> None:
    world = world_of(config_of(TUN, TUN6))
    assert silent(world.servers["203.0.113.5"].machine) == ["tunl0 192.0.2.100/32"]
    inside_ipv6 = world.servers["2001:db8:5::21"].machine
    assert silent(inside_ipv6) == ["unwrap6 192.0.2.100/32"]
    assert inside_ipv6.tunnels == (
        TunnelEnd(
            "unwrap6", ("link add unwrap6 type ip6tnl mode any local 2001:db8:5::21 remote ::",)
        ),
    )


def test_a_server_is_reached_as_it_says_itself_whatever_its_service_says() -> None:
    own = replace(server("192.0.2.33", 82), forward=Forward.DR)
    world = world_of(config_of(service("x", 82, Forward.NAT, server("192.0.2.32", 82), own)))
    assert silent(world.servers["192.0.2.32"].machine) == []
    assert silent(world.servers["192.0.2.33"].machine) == ["lo 192.0.2.100/32"]


def test_a_udp_reply_can_come_from_the_address_that_was_asked() -> None:
    found = world_of(config_of(TUN_UDP)).servers["203.0.113.5"]
    assert found.udp_addresses == (ip_address("203.0.113.5"), ip_address("192.0.2.100"))


def test_no_address_is_handed_out_twice_and_none_that_the_file_names() -> None:
    world = world_of(EVERYTHING)
    every = [address.ip for machine in world.machines for address in machine.addresses]
    assert len(every) == len(set(every))
    vips = {address.ip for address in world.virtual_addresses}
    assert not vips & set(every)


def test_the_same_file_gives_the_same_world() -> None:
    assert world_of(EVERYTHING) == world_of(EVERYTHING)


def test_two_worlds_differ_in_all_their_namespaces() -> None:
    one = {machine.namespace for machine in build_world(EVERYTHING, prefix="a-").machines}
    two = {machine.namespace for machine in build_world(EVERYTHING, prefix="b-").machines}
    assert not one & two


def test_virtual_addresses_without_a_subnet_still_share_one_with_the_directors() -> None:
    world = world_of(config_of(DR, routers=(router("front", 51, "eth0", "192.0.2.100/32"),)))
    assert legs(world.directors["lb1"]) == {"eth0": ["192.0.2.11/24"]}
    assert legs(world.client) == {"eth0": ["192.0.2.254/24"]}
    assert world.remarks == ()


def test_a_director_outside_every_virtual_subnet_brings_its_own() -> None:
    nodes = {"lb1": Node(ip_address("10.0.0.1"), 254), "lb2": Node(ip_address("10.0.0.2"), 253)}
    world = world_of(replace(config_of(NAT), nodes=nodes))
    # Its own address is the first on the interface: VRRP sends from there.
    assert legs(world.directors["lb2"])["eth0"] == ["10.0.0.2/24", "192.0.2.253/24"]
    assert any("director lb1" in remark for remark in world.remarks)


def test_a_server_of_two_services_is_one_machine_with_both_roles() -> None:
    nat = service("one", 90, Forward.NAT, server("198.51.100.31", 90))
    machine = world_of(config_of(nat, DR_BEHIND)).servers["198.51.100.31"].machine
    assert silent(machine) == ["lo 192.0.2.100/32"]
    assert routes(machine) == ["default via 198.51.100.1 dev eth1"]


def test_the_fallback_server_is_a_server() -> None:
    fallback = replace(NAT, fallbacks=(server("198.51.100.29", 8080),))
    assert "198.51.100.29" in world_of(config_of(fallback)).servers


def test_a_firewall_mark_names_no_client_network() -> None:
    marked = replace(NAT, listen=FirewallMark(7))
    assert legs(world_of(config_of(marked)).client) == {"eth0": ["192.0.2.254/24"]}


def test_nat_without_any_virtual_address_of_its_version_is_remarked() -> None:
    world = world_of(config_of(service("x", 80, Forward.NAT, server("2001:db8::9", 80))))
    assert routes(world.servers["2001:db8::9"].machine) == []
    assert any("2001:db8::9 find no virtual address" in remark for remark in world.remarks)


def test_a_world_without_virtual_routers_has_one_network() -> None:
    world = world_of(config_of(NAT, routers=()))
    assert [network.interface for network in world.networks] == ["eth0"]


def test_too_many_servers_are_refused() -> None:
    servers = [server(f"10.0.{n // 250}.{n % 250 + 1}", 80) for n in range(201)]
    with pytest.raises(LabError, match="names 201 real servers; the lab holds at most 200"):
        world_of(config_of(service("x", 80, Forward.NAT, *servers)))


def test_networks_follow_the_virtual_routers() -> None:
    world = world_of(config_of(NAT, routers=(FRONT, BACK)))
    assert [(network.interface, network.bridge) for network in world.networks] == [
        ("eth0", "br0"),
        ("eth1", "br1"),
    ]


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_every_example_configuration_has_a_world(path: Path) -> None:
    config = load(path).config
    assert config is not None
    world = world_of(config)
    assert len(world.directors) == 2
    for found in world.servers.values():
        assert found.listeners


def test_directors_may_call_one_network_differently() -> None:
    config = load(Path(__file__).parents[2] / "configs/active-active.yaml").config
    assert config is not None
    world = world_of(config)
    assert [network.interface for network in world.networks] == ["eth0"]
    assert legs(world.directors["lb1"]) == {"eth0": ["192.0.2.11/24"]}
    assert legs(world.directors["lb2"]) == {"ens3": ["192.0.2.12/24"]}
    batch = restart_addresses(world.directors["lb2"], world)
    assert "address flush dev ens3 scope global" in batch.lines


def test_a_director_with_two_interfaces_on_one_network_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pair.yaml"
    text = (Path(__file__).parents[2] / "configs/active-active.yaml").read_text()
    file.write_text(text.replace("lb2: {interface: ens3}", "lb2: {interface: ens4}"))
    config = load(file).config
    assert config is not None
    with pytest.raises(LabError, match="lb2 has two interfaces on one network, ens4 and ens3"):
        world_of(config)


def test_a_director_has_the_address_that_it_is_to_speak_from(tmp_path: Path) -> None:
    file = tmp_path / "pair.yaml"
    text = (Path(__file__).parents[2] / "configs/active-active.yaml").read_text()
    file.write_text(text.replace("{interface: ens3}", "{interface: ens3, source: 203.0.113.7}"))
    config = load(file).config
    assert config is not None
    world = world_of(config)
    assert legs(world.directors["lb2"])["ens3"] == ["192.0.2.12/24", "203.0.113.7/24"]
    assert legs(world.directors["lb1"])["eth0"] == ["192.0.2.11/24", "203.0.113.254/24"]


def test_what_a_director_makes_for_virtual_macs_does_not_survive_a_reboot() -> None:
    machine = build_world(load_example("vmac"), prefix="h-").directors["lb1"]
    assert machine.made_devices == {"vrrp4-51", "vrrp4-52"}


def load_example(name: str) -> Config:
    loaded = load(Path(__file__).parents[2] / "configs" / f"{name}.yaml").config
    assert loaded is not None
    return loaded
