"""What the configuration asks for is in the kernel, by the word of ipvsadm and of /proc/net/ip_vs.

How it works: one file has a service for each option. It is loaded, planned and written as `apply`
does it; then three readers are asked: ipvsadm, /proc and ourselves.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hadirector.ipvs.table import KernelTable
from hadirector.plan import plan
from hadirector.pool import desired_table, everything_up
from tests.hadirector.config.samples import NODES, config_of
from tests.kernel.ipvs_namespace import fresh_network

HEAD = NODES + "virtual_routers: []\n"


@dataclass(frozen=True)
class Case:
    name: str
    service: str
    rules: tuple[str, ...]
    proc: tuple[str, ...]


def case(service: str, rules: tuple[str, ...], *proc: str) -> Case:
    return Case(service.partition(",")[0], service, rules, proc)


TCP = "listen: 'tcp://192.0.2.100:80', forward: nat"
NAT = "-a -t 192.0.2.100:80 -r 198.51.100.21:80 -m -w 1"
TUN = "-a -t 192.0.2.100:80 -r 198.51.100.21:80 -i -w"
PLAIN = "-A -t 192.0.2.100:80 -s wlc"
SERVERS = "servers: ['198.51.100.21:80']"
CASES = [
    case(
        f"sh-flags, {TCP}, scheduler: sh, scheduler_flags: [sh-fallback, sh-port], {SERVERS}",
        ("-A -t 192.0.2.100:80 -s sh -b sh-fallback,sh-port", NAT),
        "TCP C0000264:0050 sh",
        "-> C6336415:0050 Masq 1 0 0",
    ),
    case(
        f"mh-flag, {TCP}, scheduler: mh, scheduler_flags: [mh-port], {SERVERS}",
        ("-A -t 192.0.2.100:80 -s mh -b mh-port", NAT),
        "TCP C0000264:0050 mh",
        "-> C6336415:0050 Masq 1 0 0",
    ),
    case(
        f"ops, listen: 'udp://192.0.2.100:53', one_packet: true, forward: nat, {SERVERS}",
        (
            "-A -u 192.0.2.100:53 -s wlc -o",
            "-a -u 192.0.2.100:53 -r 198.51.100.21:80 -m -w 1",
        ),
        "UDP C0000264:0035 wlc ops",
        "-> C6336415:0050 Masq 1 0 0",
    ),
    case(
        f"persistence, {TCP}, persistence: {{timeout: 10m, netmask: 24}}, {SERVERS}",
        ("-A -t 192.0.2.100:80 -s wlc -p 600 -M 255.255.255.0", NAT),
        "TCP C0000264:0050 wlc persistent 60000 FFFFFF00",
        "-> C6336415:0050 Masq 1 0 0",
    ),
    case(
        "sip, listen: 'udp://192.0.2.100:5060', forward: nat, persistence: {engine: sip}, "
        f"{SERVERS}",
        (
            "-A -u 192.0.2.100:5060 -s wlc -p 300 --pe sip",
            "-a -u 192.0.2.100:5060 -r 198.51.100.21:80 -m -w 1",
        ),
        "UDP C0000264:13C4 wlc persistent 30000 FFFFFFFF",
        "-> C6336415:0050 Masq 1 0 0",
    ),
    case(
        f"weight, {TCP}, servers: [{{address: '198.51.100.21:80', weight: 2147483647}}]",
        (PLAIN, NAT.replace("-w 1", "-w 2147483647")),
        "TCP C0000264:0050 wlc",
        "-> C6336415:0050 Masq 2147483647 0 0",
    ),
    case(
        "tunnels, listen: 'tcp://192.0.2.100:80', forward: tun, tunnel: {type: gre}, servers: [\n"
        " '198.51.100.21:80',\n"
        " {address: '198.51.100.22:80', tunnel: {type: gue, port: 6080, checksum: remcsum}},\n"
        " {address: '[2001:db8::21]:80', tunnel: {}}]",
        (
            PLAIN,
            f"{TUN} 1 --tun-type gre --tun-nocsum",
            f"{TUN} 1 --tun-type gue --tun-port 6080 --tun-remcsum".replace(".21", ".22"),
            f"{TUN} 1 --tun-type ipip".replace("198.51.100.21", "[2001:db8::21]"),
        ),
        "TCP C0000264:0050 wlc",
        "-> C6336415:0050 Tunnel 1 0 0",
        "-> C6336416:0050 Tunnel 1 0 0",
        "-> [2001:0db8:0000:0000:0000:0000:0000:0021]:0050 Tunnel 1 0 0",
    ),
    case(
        "per-server, listen: 'tcp://192.0.2.100:80', forward: dr, "
        "servers: ['198.51.100.21:80', {address: '198.51.100.22:8080', forward: nat}]",
        (
            PLAIN,
            NAT.replace("-m", "-g"),
            NAT.replace(".21:80", ".22:8080"),
        ),
        "TCP C0000264:0050 wlc",
        "-> C6336415:0050 Route 1 0 0",
        "-> C6336416:1F90 Masq 1 0 0",
    ),
    case(
        "any-port, listen: 'tcp://192.0.2.100:0', forward: dr, persistence: 5m, "
        "check: {port: 80}, servers: ['198.51.100.21:0']",
        (
            "-A -t 192.0.2.100:0 -s wlc -p 300",
            "-a -t 192.0.2.100:0 -r 198.51.100.21:0 -g -w 1",
        ),
        "TCP C0000264:0000 wlc persistent 30000 FFFFFFFF",
        "-> C6336415:0000 Route 1 0 0",
    ),
    case(
        "lists, listen: ['sctp://192.0.2.100:80', 'tcp://192.0.2.100-101:80'], forward: nat, "
        f"{SERVERS}",
        (
            "-A --sctp-service 192.0.2.100:80 -s wlc",
            "-a --sctp-service 192.0.2.100:80 -r 198.51.100.21:80 -m -w 1",
            PLAIN,
            NAT,
            PLAIN.replace(".100", ".101"),
            NAT.replace("2.100", "2.101"),
        ),
        "SCTP C0000264:0050 wlc",
        "TCP C0000264:0050 wlc",
        "TCP C0000265:0050 wlc",
        *["-> C6336415:0050 Masq 1 0 0"] * 3,
    ),
    case(
        "ipv6, listen: 'tcp://[2001:db8::100]:80', forward: nat, scheduler: mh, "
        "scheduler_flags: [mh-fallback, mh-port], persistence: {timeout: 1m, netmask: 64}, "
        "servers: ['[2001:db8::21]:80']",
        (
            "-A -t [2001:db8::100]:80 -s mh -p 60 -M 64 -b mh-fallback,mh-port",
            "-a -t [2001:db8::100]:80 -r [2001:db8::21]:80 -m -w 1",
        ),
        "TCP [2001:0db8:0000:0000:0000:0000:0000:0100]:0050 mh persistent 6000 40000000",
        "-> [2001:0db8:0000:0000:0000:0000:0000:0021]:0050 Masq 1 0 0",
    ),
    case(
        f"fwmark, listen: 'fwmark:7', forward: nat, {SERVERS}",
        ("-A -f 7 -s wlc", "-a -f 7 -r 198.51.100.21:80 -m -w 1"),
        "FWM 00000007 wlc",
        "-> C6336415:0050 Masq 1 0 0",
    ),
    case(
        f"fwmark6, listen: 'fwmark6:7', forward: tun, {SERVERS}",
        ("-A -f 7 -6 -s wlc", "-a -f 7 -6 -r 198.51.100.21:80 -i -w 1 --tun-type ipip"),
        "FWM 00000007 wlc",
        "-> C6336415:0050 Tunnel 1 0 0",
    ),
]


@pytest.fixture
def kernel() -> Iterator[KernelTable]:
    with fresh_network():
        table = KernelTable()
        yield table
        table.close()


async def write(kernel: KernelTable, directory: Path, service: str) -> None:
    """Load, plan and write; and a second plan has nothing left to do."""
    config = config_of(directory, f"{HEAD}services: [{{name: {service}}}]\n")
    desired = desired_table(everything_up(service) for service in config.services)
    assert (await kernel.apply(plan(desired, await kernel.read()).steps)).failures == ()
    actual = await kernel.read()
    assert actual == desired
    assert not plan(desired, actual)


def ipvsadm(*arguments: str) -> list[str]:
    done = subprocess.run(["ipvsadm", *arguments], check=True, capture_output=True, text=True)
    return sorted(" ".join(line.split()) for line in done.stdout.splitlines())


def proc_lines() -> list[str]:
    """The table as /proc shows it (it knows no flags), without its three lines of heading."""
    lines = Path("/proc/thread-self/net/ip_vs").read_text().splitlines()[3:]
    return sorted(" ".join(line.split()) for line in lines)


@pytest.mark.asyncio
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_all_readers_see_what_the_file_asks_for(
    kernel: KernelTable, tmp_path: Path, case: Case
) -> None:
    await write(kernel, tmp_path, case.service)
    assert ipvsadm("-S", "-n") == sorted(case.rules)
    assert proc_lines() == sorted(case.proc)


@pytest.mark.asyncio
async def test_thresholds_are_ipvsadms(kernel: KernelTable, tmp_path: Path) -> None:
    """ipvsadm -S leaves them out, so they are compared with its listing."""
    server = "{address: '198.51.100.22:80', upper: 4294967295, lower: 0}"
    await write(
        kernel,
        tmp_path,
        f"a, {TCP}, upper: 10, lower: 5, servers: ['198.51.100.21:80', {server}]",
    )
    assert ipvsadm("-L", "-n", "--thresholds")[:2] == [
        "-> 198.51.100.21:80 10 5 0 0",
        "-> 198.51.100.22:80 4294967295 0 0 0",
    ]
