from hadirector.lab.commands import Batch, Sysctls, build_steps, restart_addresses
from hadirector.lab.namespaces import explain_batch_failure
from hadirector.lab.world import World, build_world
from tests.lab.configurations import EVERYTHING, NAT, TUN6, config_of, router


def batches(world: World, namespace: str | None) -> list[str]:
    return [
        line
        for step in build_steps(world)
        if isinstance(step, Batch) and step.namespace == namespace
        for line in step.lines
    ]


def test_the_commands_of_a_small_world() -> None:
    world = build_world(config_of(NAT), prefix="t-")
    assert batches(world, None) == [
        "netns add t-fabric",
        "netns add t-lb1",
        "netns add t-lb2",
        "netns add t-client",
        "netns add t-198.51.100.21",
        "netns add t-198.51.100.22",
    ]
    assert batches(world, "t-fabric")[:6] == [
        "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        "link set dev br0 up",
        "link add br1 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        "link set dev br1 up",
        "link add p0 type veth peer name eth0 netns t-lb1",
        "link set dev p0 master br0 up",
    ]
    assert batches(world, "t-198.51.100.21") == [
        "link set dev lo up",
        "link set dev eth1 up",
        "address add 198.51.100.21/24 dev eth1",
        "route add default via 198.51.100.1 dev eth1 onlink",
    ]


def test_the_commands_of_a_tunnel_over_ipv6() -> None:
    world = build_world(config_of(TUN6), prefix="t-")
    lines = batches(world, "t-2001-db8-5--21")
    assert lines[-3:] == [
        "link add unwrap6 type ip6tnl mode any local 2001:db8:5::21 remote ::",
        "link set dev unwrap6 up",
        "address add 192.0.2.100/32 dev unwrap6",
    ]
    assert "address add 2001:db8:5::21/64 dev eth1 nodad" in lines


def test_defaults_are_set_before_the_interfaces_that_inherit_them() -> None:
    steps = list(build_steps(build_world(EVERYTHING, prefix="t-")))
    kinds = [step.namespace if isinstance(step, Sysctls) else "batch" for step in steps]
    fabric = next(
        number
        for number, step in enumerate(steps)
        if isinstance(step, Batch) and step.namespace == "t-fabric"
    )
    assert kinds[0] == "batch"
    assert "batch" not in kinds[1:fabric]


def test_every_bridge_port_is_used_once() -> None:
    world = build_world(EVERYTHING, prefix="t-")
    ports = [leg.port for machine in world.machines for leg in machine.legs]
    assert len(ports) == len(set(ports))


def test_a_restarted_machine_has_the_addresses_it_boots_with() -> None:
    world = build_world(config_of(NAT), prefix="t-")
    assert restart_addresses(world.directors["lb1"], world).lines == (
        "address flush dev eth0 scope global",
        "address flush dev eth1 scope global",
        "neighbour flush dev eth0",
        "neighbour flush dev eth1",
        "address add 192.0.2.11/24 dev eth0",
        "address add 198.51.100.254/24 dev eth1",
    )


def test_a_restarted_machine_keeps_the_kernels_link_local_address_and_no_virtual_one() -> None:
    front = router("front", 51, "eth0", "fe80::100/64", "2001:db8::100/64")
    world = build_world(config_of(NAT, routers=(front,)), prefix="t-")
    assert not any("fe80::/64" in str(network.subnets) for network in world.networks)
    lines = restart_addresses(world.directors["lb1"], world).lines
    assert "address flush dev eth0 to fe80::100/128" in lines


def test_a_failed_batch_names_the_command_and_the_reason() -> None:
    batch = Batch("t-lb1", ("link set dev lo up", "link set dev eth9 up"))
    said = 'Cannot find device "eth9"\nCommand failed -:2\n'
    assert explain_batch_failure(batch, said) == (
        '`ip -n t-lb1 link set dev eth9 up` failed: Cannot find device "eth9"'
    )


def test_a_failed_batch_without_a_line_number_is_told_as_it_is() -> None:
    assert explain_batch_failure(Batch(None, ("netns add x",)), "") == (
        "`ip (line ?)` failed: no reason given"
    )
