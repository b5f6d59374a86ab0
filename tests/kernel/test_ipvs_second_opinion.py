"""ipvsadm and /proc/net/ip_vs say of our table what we say of it, and we read what ipvsadm wrote.

How it works: each case is one table and the rules ipvsadm has for it. We write the table and
ipvsadm saves it; ipvsadm restores the rules and we read the table.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from hadirector.ipvs.model import (
    Destination,
    DestinationKey,
    FirewallMark,
    Forward,
    Persistence,
    Protocol,
    Service,
    ServiceFlag,
    Table,
    Tunnel,
    TunnelType,
    VirtualAddress,
)
from hadirector.ipvs.table import KernelTable
from hadirector.plan import plan
from tests.hadirector.ipvs.dataplane_contract import one
from tests.kernel.ipvs_namespace import fresh_network

VIP = ip_address("192.0.2.100")
VIP6 = ip_address("2001:db8::100")
WEB = Service(VirtualAddress(Protocol.TCP, VIP, 80))
SERVER = Destination(DestinationKey(ip_address("198.51.100.21"), 80))
SERVER6 = Destination(DestinationKey(ip_address("2001:db8:51::21"), 80), Forward.TUN)
TUN = replace(SERVER, forward=Forward.TUN)


@dataclass(frozen=True)
class Case:
    name: str
    table: Table
    rules: tuple[str, ...]


def case(name: str, service: Service, *parts: Destination | str) -> Case:
    servers = [part for part in parts if isinstance(part, Destination)]
    return Case(name, one(service, *servers), tuple(p for p in parts if isinstance(p, str)))


CASES = [
    case(
        "nat",
        WEB,
        replace(SERVER, weight=3),
        replace(SERVER, key=DestinationKey(SERVER.key.address, 8080), weight=0),
        "-A -t 192.0.2.100:80 -s wlc",
        "-a -t 192.0.2.100:80 -r 198.51.100.21:80 -m -w 3",
        "-a -t 192.0.2.100:80 -r 198.51.100.21:8080 -m -w 0",
    ),
    case(
        "dr, udp",
        Service(VirtualAddress(Protocol.UDP, VIP, 53), "rr"),
        Destination(DestinationKey(SERVER.key.address, 53), Forward.DR),
        "-A -u 192.0.2.100:53 -s rr",
        "-a -u 192.0.2.100:53 -r 198.51.100.21:53 -g -w 1",
    ),
    case(
        "IPv6",
        Service(VirtualAddress(Protocol.TCP, VIP6, 80), "wrr", Persistence(300, 64)),
        SERVER6,
        "-A -t [2001:db8::100]:80 -s wrr -p 300 -M 64",
        "-a -t [2001:db8::100]:80 -r [2001:db8:51::21]:80 -i -w 1 --tun-type ipip",
    ),
    case(
        "IPv6 server of an IPv4 service",
        WEB,
        SERVER6,
        "-A -t 192.0.2.100:80 -s wlc",
        "-a -t 192.0.2.100:80 -r [2001:db8:51::21]:80 -i -w 1 --tun-type ipip",
    ),
    case(
        "gue",
        WEB,
        replace(TUN, tunnel=Tunnel(TunnelType.GUE, 6080, 1)),
        "-A -t 192.0.2.100:80 -s wlc",
        "-a -t 192.0.2.100:80 -r 198.51.100.21:80 -i -w 1"
        " --tun-type gue --tun-port 6080 --tun-csum",
    ),
    case(
        "gre",
        WEB,
        replace(TUN, tunnel=Tunnel(TunnelType.GRE, 0, 1)),
        "-A -t 192.0.2.100:80 -s wlc",
        "-a -t 192.0.2.100:80 -r 198.51.100.21:80 -i -w 1 --tun-type gre --tun-csum",
    ),
    case(
        "persistence with engine, one packet",
        Service(
            VirtualAddress(Protocol.UDP, VIP, 5060),
            "wlc",
            Persistence(300, 0xFFFFFF00, "sip"),
            ServiceFlag.ONE_PACKET,
        ),
        "-A -u 192.0.2.100:5060 -s wlc -p 300 -M 255.255.255.0 --pe sip -o",
    ),
    case(
        "scheduler flags",
        Service(WEB.key, "sh", None, ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2),
        "-A -t 192.0.2.100:80 -s sh -b sh-fallback,sh-port",
    ),
    case(
        "sctp",
        Service(VirtualAddress(Protocol.SCTP, VIP, 36412), "lc"),
        "-A --sctp-service 192.0.2.100:36412 -s lc",
    ),
    case(
        "firewall mark",
        Service(FirewallMark(7), "wrr", Persistence(300)),
        SERVER,
        "-A -f 7 -s wrr -p 300",
        "-a -f 7 -r 198.51.100.21:80 -m -w 1",
    ),
    case(
        "firewall mark, IPv6",
        Service(FirewallMark(7, 6), "mh"),
        SERVER6,
        "-A -f 7 -6 -s mh",
        "-a -f 7 -6 -r [2001:db8:51::21]:80 -i -w 1 --tun-type ipip",
    ),
]


@pytest.fixture
def kernel() -> Iterator[KernelTable]:
    with fresh_network():
        table = KernelTable()
        yield table
        table.close()


def run(*command: str, rules: str = "") -> str:
    return subprocess.run(command, input=rules, check=True, capture_output=True, text=True).stdout


def proc_lines() -> list[str]:
    """The table as /proc shows it, without its three lines of heading."""
    return Path("/proc/thread-self/net/ip_vs").read_text().splitlines()[3:]


async def write(kernel: KernelTable, table: Table) -> None:
    assert (await kernel.apply(plan(table, await kernel.read()).steps)).failures == ()


@pytest.mark.asyncio
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_ipvsadm_saves_what_we_wrote(kernel: KernelTable, case: Case) -> None:
    await write(kernel, case.table)
    assert sorted(run("ipvsadm-save", "-n").splitlines()) == sorted(case.rules)


@pytest.mark.asyncio
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_we_read_what_ipvsadm_restored(kernel: KernelTable, case: Case) -> None:
    run("ipvsadm-restore", rules="".join(f"{rule}\n" for rule in case.rules))
    assert await kernel.read() == case.table


@pytest.mark.asyncio
async def test_thresholds_are_those_ipvsadm_shows(kernel: KernelTable) -> None:
    await write(kernel, one(WEB, replace(SERVER, upper=10, lower=5)))
    last = run("ipvsadm", "-Ln", "--thresholds").splitlines()[-1]
    assert last.split() == ["->", "198.51.100.21:80", "10", "5", "0", "0"]


@pytest.mark.asyncio
async def test_proc_shows_what_we_wrote(kernel: KernelTable) -> None:
    service = Service(WEB.key, "sh", Persistence(300, 0xFFFFFF00))
    await write(kernel, one(service, replace(SERVER, weight=3), SERVER6))
    assert sorted(" ".join(line.split()) for line in proc_lines()) == [
        "-> C6336415:0050 Masq 3 0 0",
        "-> [2001:0db8:0051:0000:0000:0000:0000:0021]:0050 Tunnel 1 0 0",
        "TCP C0000264:0050 sh persistent 30000 FFFFFF00",
    ]
