"""ipvsadm and /proc/net/ip_vs say of our table what we say of it, and we read what ipvsadm wrote.

How it works: each case is one table and the rules ipvsadm has for it. We write the table, and
ipvsadm saves it, shows its thresholds (which it leaves out when it saves), and /proc shows it;
ipvsadm restores the rules and we read the table. A test walks the model and fails where one of its
options, or one value of a kind, is in no case.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from hadirector.ipvs.memory import SCHEDULERS
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
    whole_netmask,
)
from hadirector.ipvs.ruletext import format_rules, parse_rules
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
HZ = 100
"""Of the embedded kernel: /proc has time-outs in its ticks."""


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
    case(
        "any port, udp",
        Service(VirtualAddress(Protocol.UDP, VIP, 0), "nq", Persistence(60)),
        Destination(DestinationKey(SERVER.key.address, 0), Forward.DR),
        "-A -u 192.0.2.100:0 -s nq -p 60",
        "-a -u 192.0.2.100:0 -r 198.51.100.21:0 -g -w 1",
    ),
    case(
        "any port, tcp and IPv6",
        Service(VirtualAddress(Protocol.TCP, VIP6, 0), "wlc", Persistence(60)),
        "-A -t [2001:db8::100]:0 -s wlc -p 60",
    ),
    case(
        "udp and sctp of IPv6",
        Service(VirtualAddress(Protocol.UDP, VIP6, 53), "rr", None, ServiceFlag.ONE_PACKET),
        replace(SERVER6, forward=Forward.NAT),
        "-A -u [2001:db8::100]:53 -s rr -o",
        "-a -u [2001:db8::100]:53 -r [2001:db8:51::21]:80 -m -w 1",
    ),
    case(
        "sctp of IPv6",
        Service(VirtualAddress(Protocol.SCTP, VIP6, 36412), "rr"),
        Destination(DestinationKey(SERVER6.key.address, 36412), Forward.DR),
        "-A --sctp-service [2001:db8::100]:36412 -s rr",
        "-a --sctp-service [2001:db8::100]:36412 -r [2001:db8:51::21]:36412 -g -w 1",
    ),
    case(
        "firewall mark above 2^31, one packet",
        Service(FirewallMark(2**32 - 1), "rr", None, ServiceFlag.ONE_PACKET),
        "-A -f -1 -s rr -o",
    ),
    case(
        "thresholds",
        WEB,
        replace(SERVER, upper=10, lower=5),
        replace(SERVER, key=DestinationKey(SERVER.key.address, 81), upper=2**31 - 1),
        "-A -t 192.0.2.100:80 -s wlc",
        "-a -t 192.0.2.100:80 -r 198.51.100.21:80 -m -w 1 -x 10 -y 5",
        "-a -t 192.0.2.100:80 -r 198.51.100.21:81 -m -w 1 -x 2147483647",
    ),
    case(
        "large weights",
        WEB,
        replace(SERVER, weight=65536),
        replace(SERVER, key=DestinationKey(SERVER.key.address, 81), weight=2**31 - 1),
        "-A -t 192.0.2.100:80 -s wlc",
        "-a -t 192.0.2.100:80 -r 198.51.100.21:80 -m -w 65536",
        "-a -t 192.0.2.100:80 -r 198.51.100.21:81 -m -w 2147483647",
    ),
    case(
        "a server without tunnel of an IPv6 mark's service, gue of the other IP version",
        Service(FirewallMark(8, 6), "rr"),
        replace(TUN, tunnel=Tunnel(TunnelType.GUE, 6080, 2)),
        "-A -f 8 -6 -s rr",
        "-a -f 8 -6 -r 198.51.100.21:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
    ),
    case(
        "tunnels without checksums",
        WEB,
        replace(TUN, tunnel=Tunnel(TunnelType.GUE, 6080)),
        replace(TUN, key=SERVER6.key, tunnel=Tunnel(TunnelType.GRE)),
        "-A -t 192.0.2.100:80 -s wlc",
        "-a -t 192.0.2.100:80 -r 198.51.100.21:80 -i -w 1"
        " --tun-type gue --tun-port 6080 --tun-nocsum",
        "-a -t 192.0.2.100:80 -r [2001:db8:51::21]:80 -i -w 1 --tun-type gre --tun-nocsum",
    ),
    *(
        case(
            f"flags of {scheduler}",
            Service(WEB.key, scheduler, None, flags),
            f"-A -t 192.0.2.100:80 -s {scheduler} -b {words}",
        )
        for scheduler, flags, words in (
            ("mh", ServiceFlag.SCHEDULER_1, "mh-fallback"),
            ("mh", ServiceFlag.SCHEDULER_2, "mh-port"),
            ("sh", ServiceFlag.SCHEDULER_1, "sh-fallback"),
            ("wlc", ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_3, "flag-1,flag-3"),
        )
    ),
    *(
        case(f"scheduler {name}", Service(WEB.key, name), f"-A -t 192.0.2.100:80 -s {name}")
        for name in sorted(SCHEDULERS)
    ),
]
UNSAYABLE = [
    case("local", WEB, replace(SERVER, forward=Forward.LOCAL)),
    case("bypass", WEB, replace(SERVER, forward=Forward.BYPASS)),
]
"""What ipvsadm has no word for: /proc alone is asked."""
PROC_FORWARDS = {
    Forward.NAT: "Masq",
    Forward.LOCAL: "Local",
    Forward.TUN: "Tunnel",
    Forward.DR: "Route",
    Forward.BYPASS: "Masq",  # the kernel has no word for it either (ip_vs_fwd_name)
}


@pytest.fixture
def kernel() -> Iterator[KernelTable]:
    with fresh_network():
        table = KernelTable()
        yield table
        table.close()


def run(*command: str, rules: str = "") -> str:
    return subprocess.run(command, input=rules, check=True, capture_output=True, text=True).stdout


def proc_address(key: DestinationKey | VirtualAddress) -> str:
    """As /proc writes it (ip_vs_info_seq_show in ip_vs_ctl.c)."""
    if key.address.version == 4:
        return f"{int(key.address):08X}:{key.port:04X}"
    return f"[{key.address.exploded}]:{key.port:04X}"


def proc_of(table: Table) -> list[str]:
    """The lines that /proc should have; time-outs in seconds."""
    lines = []
    for entry in table.values():
        service, key = entry.service, entry.service.key
        where = (
            f"FWM {key.mark:08X}"
            if isinstance(key, FirewallMark)
            else f"{str(key.protocol).upper()} {proc_address(key)}"
        )
        line = f"{where} {service.scheduler}"
        is_six = isinstance(key, VirtualAddress) and key.version == 6
        if ServiceFlag.ONE_PACKET in service.flags and not is_six:
            line += " ops"
        if (kept := service.persistence) is not None:
            mask = whole_netmask(key.version) if kept.netmask is None else kept.netmask
            if key.version == 6:  # a prefix length, which /proc takes for an address
                mask = int.from_bytes(mask.to_bytes(4, "little"), "big")
            line += f" persistent {kept.timeout_s} {mask:08X}"
        lines.append(line)
        lines += [
            f"-> {proc_address(each.key)} {PROC_FORWARDS[each.forward]} {each.weight} 0 0"
            for each in entry.destinations.values()
        ]
    return sorted(lines)


def proc_lines() -> list[str]:
    """The table as /proc shows it, without its three lines of heading; time-outs in seconds."""

    def seconds(found: re.Match[str]) -> str:
        return f"persistent {int(found[1]) // HZ}"

    lines = Path("/proc/thread-self/net/ip_vs").read_text().splitlines()[3:]
    return sorted(re.sub(r"persistent (\d+)", seconds, " ".join(line.split())) for line in lines)


async def write(kernel: KernelTable, table: Table) -> None:
    assert (await kernel.apply(plan(table, await kernel.read()).steps)).failures == ()


def without_thresholds(rule: str) -> str:
    return re.sub(r" -[xy] \d+", "", rule)


@pytest.mark.asyncio
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_ipvsadm_and_proc_say_what_we_wrote(kernel: KernelTable, case: Case) -> None:
    await write(kernel, case.table)
    saved = run("ipvsadm-save", "-n").splitlines()
    assert sorted(saved) == sorted(map(without_thresholds, case.rules))
    shown = run("ipvsadm", "-Ln", "--thresholds").splitlines()
    found = [line.split()[2:4] for line in shown if "->" in line and "Address" not in line]
    servers = [each for entry in case.table.values() for each in entry.destinations.values()]
    assert sorted(found) == sorted([str(each.upper), str(each.lower)] for each in servers)
    assert proc_lines() == proc_of(case.table)
    assert await kernel.read() == case.table


@pytest.mark.asyncio
@pytest.mark.parametrize("case", UNSAYABLE, ids=lambda case: case.name)
async def test_proc_says_what_ipvsadm_has_no_word_for(kernel: KernelTable, case: Case) -> None:
    await write(kernel, case.table)
    assert proc_lines() == proc_of(case.table)
    assert await kernel.read() == case.table
    assert format_rules(case.table).unsaid != ()


@pytest.mark.asyncio
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_ipvsadm_restores_what_we_save(kernel: KernelTable, case: Case) -> None:
    run("ipvsadm-restore", rules="".join(f"{rule}\n" for rule in format_rules(case.table).lines))
    assert await kernel.read() == case.table


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_our_rules_are_those_of_ipvsadm(case: Case) -> None:
    rules = format_rules(case.table)
    assert rules.unsaid == ()
    # ipvsadm-save writes a large mark as a negative number, which ipvsadm itself refuses.
    wanted = [rule.replace("-f -1", f"-f {2**32 - 1}") for rule in case.rules]
    assert sorted(rules.lines) == sorted(wanted)
    assert parse_rules("\n".join(case.rules)) == case.table


def options_of(value: object, path: str = "") -> Iterator[str]:
    """Each option that a value of the model uses: fields that are not as by default, and kinds."""
    if isinstance(value, Forward | Protocol | TunnelType):
        yield f"{type(value).__name__}.{value.name}"
    elif isinstance(value, ServiceFlag):
        yield from (f"ServiceFlag.{flag.name}" for flag in value)
    elif isinstance(value, MODELS):
        yield from options_of_model(value)
    elif path == "Service.scheduler":
        yield f"scheduler {value}"


def options_of_model(value: object) -> Iterator[str]:
    kind = type(value)
    for item in fields(kind):  # type: ignore[arg-type]  # MODELS are dataclasses, all of them
        path = f"{kind.__name__}.{item.name}"
        found = getattr(value, item.name)
        if found != item.default:
            yield path
        yield from options_of(found, path)


MODELS = (Service, Destination, Persistence, Tunnel, VirtualAddress, FirewallMark, DestinationKey)
READ_ONLY = {"Service.unknown", "Destination.unknown"}  # of newer kernels: never written


def test_every_option_of_the_model_is_in_a_case() -> None:
    """For a new field, protocol, tunnel, flag, or scheduler of the twin there must be a case."""
    wanted = {f"{kind.__name__}.{item.name}" for kind in MODELS for item in fields(kind)}
    wanted |= {
        f"{kind.__name__}.{member.name}"
        for kind in (Forward, Protocol, TunnelType, ServiceFlag)
        for member in kind
    }
    wanted |= {f"scheduler {name}" for name in SCHEDULERS}
    tables = [each.table for each in (*CASES, *UNSAYABLE)]
    entries = [entry for table in tables for entry in table.values()]
    used = {option for entry in entries for option in options_of(entry.service)}
    used |= {
        option
        for entry in entries
        for each in entry.destinations.values()
        for option in options_of(each)
    }
    assert wanted - READ_ONLY - used == set()
    # What goes together: each kind of service of both IP versions, each checksum of each tunnel.
    keys = {(getattr(e.service.key, "protocol", "mark"), e.service.key.version) for e in entries}
    assert keys == {(kind, version) for kind in (*Protocol, "mark") for version in (4, 6)}
    servers = [each for entry in entries for each in entry.destinations.values()]
    assert {(each.tunnel.type, each.tunnel.flags) for each in servers} == {
        (TunnelType.IPIP, 0),
        *((TunnelType.GUE, flags) for flags in (0, 1, 2)),
        *((TunnelType.GRE, flags) for flags in (0, 1)),
    }
    assert {0, 1, 2**31 - 1} <= {each.weight for each in servers}
    listens = [e.service.key for e in entries if isinstance(e.service.key, VirtualAddress)]
    assert {key.protocol for key in listens if key.port == 0} >= {Protocol.TCP, Protocol.UDP}
