"""The exact commands that build a world, as values.

The problem: dozens of `ip` processes cost seconds in the embedded kernel. The approach: one
`ip -batch` per namespace, with everything that namespace needs. Nothing runs here, so that
tests and people can read what would.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from hadirector.lab.world import Leg, Machine, World, is_link_local


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines for `ip -batch`, run in a namespace; None: in the one the lab itself runs in.

    `program`: or for `tc -batch`.
    """

    namespace: str | None
    lines: tuple[str, ...]
    program: str = "ip"


@dataclass(frozen=True, slots=True)
class Sysctls:
    """Values to write below /proc/sys in a namespace."""

    namespace: str
    values: Mapping[str, str]


Step: TypeAlias = Batch | Sysctls


def build_steps(world: World) -> Iterator[Step]:
    """Everything that builds the world, in order: namespaces, defaults, cables, addresses."""
    names = (world.fabric, *(machine.namespace for machine in world.machines))
    yield Batch(None, tuple(f"netns add {name}" for name in names))
    yield Sysctls(world.fabric, {"net/ipv6/conf/default/disable_ipv6": "1"})
    for machine in world.machines:
        yield Sysctls(machine.namespace, machine.sysctls)
    yield Batch(world.fabric, tuple(_cables(world)))
    for machine in world.machines:
        yield Batch(machine.namespace, tuple(_setup(machine)))
        if devices := _tunnel_devices(machine):
            yield Sysctls(
                machine.namespace,
                {f"net/ipv4/conf/{device}/rp_filter": "0" for device in devices},
            )
        if machine.marks:
            lines = dict.fromkeys(line for mark in machine.marks for line in mark.lines)
            yield Batch(machine.namespace, tuple(lines), "tc")


def restart_addresses(machine: Machine, world: World) -> Batch:
    """What a reboot leaves of a machine's addresses and routes: those it is configured with.

    The link-local address of each interface is the kernel's and stays; a virtual one goes.
    """
    virtual = [
        (network.interface_of(machine.name), address.ip)
        for network in world.networks
        for address in network.virtual
        if is_link_local(address)
    ]
    return Batch(
        machine.namespace,
        (
            *(f"address flush dev {leg.interface} scope global" for leg in machine.legs),
            *(
                f"address flush dev {interface} to {address}/128"
                for interface, address in virtual
                if any(leg.interface == interface for leg in machine.legs)
            ),
            *(f"neighbour flush dev {leg.interface}" for leg in machine.legs),
            *(line for leg in machine.legs for line in _addresses(leg)),
            *_routes(machine),
        ),
    )


def _cables(world: World) -> Iterator[str]:
    for network in world.networks:
        yield f"link add {network.bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        yield f"link set dev {network.bridge} up"
    for machine in world.machines:
        for leg in machine.legs:
            yield (
                f"link add {leg.port} type veth peer name {leg.interface} netns {machine.namespace}"
            )
            yield f"link set dev {leg.port} master {leg.bridge} up"


def _setup(machine: Machine) -> Iterator[str]:
    yield "link set dev lo up"
    for leg in machine.legs:
        yield f"link set dev {leg.interface} up"
        yield from _addresses(leg)
    yield from dict.fromkeys(line for end in machine.tunnels for line in end.lines)
    for device in _tunnel_devices(machine):
        yield f"link set dev {device} up"
    for device, address in machine.silent:
        yield f"address add {address} dev {device}{' nodad' if address.version == 6 else ''}"
    yield from _routes(machine)


def _addresses(leg: Leg) -> Iterator[str]:
    for address in leg.addresses:
        yield f"address add {address} dev {leg.interface}{' nodad' if address.version == 6 else ''}"


def _routes(machine: Machine) -> Iterator[str]:
    for route in machine.routes:
        yield f"route add {route.destination} via {route.via} dev {route.interface} onlink"


def _tunnel_devices(machine: Machine) -> tuple[str, ...]:
    return tuple(dict.fromkeys(end.device for end in machine.tunnels))
