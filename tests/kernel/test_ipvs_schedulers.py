"""The models of the schedulers and the kernel send the same clients to the same servers.

How it works: whole networks of clients and servers are local addresses of the loopback interface.
Each client sends one UDP packet to the service, and the kernel's connections tell who got it; the
model is asked before each packet, with the table as it then is.
"""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from hadirector.ipvs.connections import parse_connections
from hadirector.ipvs.loads import loaded
from hadirector.ipvs.locality import Locality
from hadirector.ipvs.model import (
    Destination,
    DestinationKey,
    Entry,
    Protocol,
    Service,
    ServiceFlag,
    VirtualAddress,
)
from hadirector.ipvs.schedulers import RoundRobin, choose
from hadirector.ipvs.steps import AddDestination, AddService, SetDestination, Step
from hadirector.ipvs.table import KernelTable
from tests.kernel.ipvs_namespace import fresh_network

FALLBACK, PORT = ServiceFlag.SCHEDULER_1, ServiceFlag.SCHEDULER_2
CLIENTS = 60


@pytest.fixture
def kernel() -> Iterator[KernelTable]:
    with fresh_network():
        for network in ("192.0.2.1/24", "198.51.100.1/24", "203.0.113.1/24"):
            subprocess.run(["ip", "address", "add", network, "dev", "lo"], check=True)
        for network in ("2001:db8:1::/64", "2001:db8:2::/64", "2001:db8:3::/64"):
            route = ["ip", "-6", "route", "add", "local", network, "dev", "lo"]
            subprocess.run(route, check=True)
        table = KernelTable()
        yield table
        table.close()


def service_of(scheduler: str, flags: ServiceFlag, version: int) -> Service:
    vip = ip_address("192.0.2.100" if version == 4 else "2001:db8:1::100")
    return Service(VirtualAddress(Protocol.UDP, vip, 53), scheduler, None, flags)


def server(last: int, weight: int, version: int, upper: int = 0) -> Destination:
    address = ip_address(f"198.51.100.{last}" if version == 4 else f"2001:db8:2::{last}")
    return Destination(DestinationKey(address, 53), weight=weight, upper=upper)


def client_of(index: int, version: int) -> DestinationKey:
    address = f"203.0.113.{index + 1}" if version == 4 else f"2001:db8:3::{index * 977 + 1:x}"
    return DestinationKey(ip_address(address), 20000 + index * 37)


def send(client: DestinationKey, service: Service) -> DestinationKey | None:
    """One packet; the server it went to, None where the kernel found none."""
    assert isinstance(service.key, VirtualAddress)
    family = socket.AF_INET if client.address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        if family == socket.AF_INET6:  # the addresses are local by a route only
            sender.setsockopt(socket.IPPROTO_IPV6, 78, 1)  # IPV6_FREEBIND
        sender.bind((str(client.address), client.port))
        with contextlib.suppress(PermissionError):  # no server: the packet is dropped
            sender.sendto(b"?", (str(service.key.address), service.key.port))
    lines = Path("/proc/thread-self/net/ip_vs_conn").read_text().splitlines()
    found = [one for one in parse_connections(lines) if one is not None and one.client == client]
    return found[0].server if found else None


async def program(kernel: KernelTable, service: Service, *servers: Destination) -> None:
    steps: list[Step] = [AddService(service)]
    steps += [AddDestination(service.key, each) for each in servers]
    assert (await kernel.apply(steps)).ok


async def read(kernel: KernelTable, service: Service) -> Entry:
    return (await kernel.read())[service.key]


@pytest.mark.asyncio
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("scheduler", "flags"),
    [
        ("sh", ServiceFlag.NONE),
        ("sh", FALLBACK | PORT),
        ("mh", ServiceFlag.NONE),
        ("mh", FALLBACK | PORT),
        ("dh", ServiceFlag.NONE),
        *((name, ServiceFlag.NONE) for name in ("lc", "wlc", "sed", "nq", "fo", "ovf")),
    ],
    ids=str,
)
async def test_the_kernel_chooses_as_the_model(
    kernel: KernelTable, scheduler: str, flags: ServiceFlag, version: int
) -> None:
    service = service_of(scheduler, flags, version)
    assert isinstance(service.key, VirtualAddress)
    servers = [server(21, 1, version), server(22, 3, version), server(23, 2, version, upper=5)]
    await program(kernel, service, *servers)
    chosen = set()
    for index in range(CLIENTS):
        client = client_of(index, version)
        expected = choose(await read(kernel, service), client, service.key.address)
        assert (send(client, service), index) == (expected.server, index), expected.why
        chosen.add(expected.server)
    if scheduler in ("sh", "mh", "lc", "wlc"):
        assert len(chosen) >= 3


@pytest.mark.asyncio
async def test_what_mh_drains_is_refused_without_a_fallback(kernel: KernelTable) -> None:
    service = service_of("mh", ServiceFlag.NONE, 4)
    servers = [server(21, 1, 4), server(22, 1, 4)]
    await program(kernel, service, *servers)
    drained = SetDestination(service.key, replace(servers[0], weight=0), servers[0])
    assert (await kernel.apply([drained])).ok
    assert {send(client_of(index, 4), service) for index in range(20)} == {None, servers[1].key}


@pytest.mark.asyncio
@pytest.mark.parametrize("flags", [ServiceFlag.NONE, FALLBACK], ids=str)
async def test_a_drained_server_of_sh(kernel: KernelTable, flags: ServiceFlag) -> None:
    service = service_of("sh", flags, 4)
    assert isinstance(service.key, VirtualAddress)
    servers = [server(21, 1, 4), server(22, 3, 4), server(23, 2, 4)]
    await program(kernel, service, *servers)
    drained = SetDestination(service.key, replace(servers[0], weight=0), servers[0])
    assert (await kernel.apply([drained])).ok
    for index in range(CLIENTS):
        client = client_of(index, 4)
        expected = choose(await read(kernel, service), client, service.key.address)
        assert send(client, service) == expected.server, expected.why


@pytest.mark.asyncio
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("scheduler", ["lblc", "lblcr"])
async def test_an_address_keeps_its_server_until_it_is_drained(
    kernel: KernelTable, scheduler: str, version: int
) -> None:
    service = service_of(scheduler, ServiceFlag.NONE, version)
    assert isinstance(service.key, VirtualAddress)
    servers = [server(21, 1, version, upper=8), server(22, 3, version), server(23, 2, version)]
    await program(kernel, service, *servers)
    model = Locality(replicated=scheduler == "lblcr")
    chosen = set()
    for index in range(CLIENTS):
        entry = await read(kernel, service)
        expected, why = model.next(loaded(entry), service.key.address)
        assert expected is not None
        key = expected.destination.key
        assert (send(client_of(index, version), service), index) == (key, index), why
        chosen.add(key)
        if index % 12 == 11:
            was = entry.destinations[key]
            steps = [SetDestination(service.key, replace(was, weight=0), was)]
            steps += [
                SetDestination(service.key, replace(other, weight=2), other)
                for other in entry.destinations.values()
                if other.weight == 0
            ]
            assert (await kernel.apply(steps)).ok
    assert len(chosen) >= 2


@pytest.mark.asyncio
@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 3, 2), (4, 2, 6), (0, 5, 1), (0, 0, 0)])
@pytest.mark.parametrize("scheduler", ["rr", "wrr"])
async def test_turns(kernel: KernelTable, scheduler: str, weights: tuple[int, ...]) -> None:
    service = service_of(scheduler, ServiceFlag.NONE, 4)
    servers = [server(21 + index, weight, 4) for index, weight in enumerate(weights)]
    await program(kernel, service, *servers)
    entry = await read(kernel, service)
    keys = list(entry.destinations)
    model = RoundRobin(
        [each.weight for each in entry.destinations.values()], weighted=scheduler == "wrr"
    )
    for index in range(20):
        turn = model.next()
        assert send(client_of(index, 4), service) == (None if turn is None else keys[turn])
