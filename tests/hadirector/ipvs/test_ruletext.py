"""Rules are parsed as ipvsadm writes them; whatever is wrong with them is told with its line.

That ipvsadm itself agrees is shown in tests/kernel/test_ipvs_rules.py.
"""

import contextlib
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from hadirector.ipvs.ruletext import RuleTextError, format_rules, parse_rules
from tests.hadirector.ipvs.strategies import tables

WEB = VirtualAddress(Protocol.TCP, ip_address("192.0.2.100"), 80)
SERVER = Destination(DestinationKey(ip_address("198.51.100.21"), 80), Forward.DR)
TUN = replace(SERVER, forward=Forward.TUN)


@given(tables())
def test_what_is_written_reads_back_and_what_is_not_is_said(table: Table) -> None:
    rules = format_rules(table)
    if not rules.unsaid:
        assert parse_rules("\n".join(rules.lines)) == table


@given(tables(), st.integers(0, 10**6), st.text(max_size=4))
def test_damaged_rules_are_a_table_or_explained(table: Table, place: int, text: str) -> None:
    whole = "\n".join(format_rules(table).lines)
    cut = place % (len(whole) + 1)
    with contextlib.suppress(RuleTextError):
        parse_rules(whole[:cut] + text + whole[cut + 2 :])


@pytest.mark.parametrize(
    ("line", "service"),
    [
        ("-A -t 192.0.2.100:80", Service(WEB)),
        ("ipvsadm -A --tcp-service 192.0.2.100:80 --scheduler=rr", Service(WEB, "rr")),
        ("--add-service -t192.0.2.100:80 -srr -p", Service(WEB, "rr", Persistence(360))),
        (
            "-A -f 7 -6 -p 60 -M 64",
            Service(FirewallMark(7, 6), "wlc", Persistence(60, 64)),
        ),
        ("-A -f -1 -p -6", Service(FirewallMark(2**32 - 1, 6), "wlc", Persistence(360))),
        (
            "-A -t 192.0.2.100 -p 60 -M 255.255.255.0",
            Service(replace(WEB, port=0), "wlc", Persistence(60, 0xFFFFFF00)),
        ),
        (
            "-A -u [2001:db8::100]:53 -o -s mh -b mh-port,flag-1",
            Service(
                VirtualAddress(Protocol.UDP, ip_address("2001:db8::100"), 53),
                "mh",
                None,
                ServiceFlag.ONE_PACKET | ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2,
            ),
        ),
        (
            "-A -t 192.0.2.100:80 -b flag-3,flag-1",
            Service(WEB, "wlc", None, ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_3),
        ),
    ],
)
def test_services(line: str, service: Service) -> None:
    assert parse_rules(line) == Table.of((service, []))


@pytest.mark.parametrize(
    ("rest", "server"),
    [
        ("-r 198.51.100.21:80", SERVER),
        ("-r 198.51.100.21", SERVER),
        ("-r 198.51.100.21:80 -m -w0", replace(SERVER, forward=Forward.NAT, weight=0)),
        ("-r 198.51.100.21:80 -g -x 9 --l-threshold 5", replace(SERVER, upper=9, lower=5)),
        ("-r 198.51.100.21:80 -i", TUN),
        (
            "-r 198.51.100.21:80 -i --tun-type gue --tun-port 6080 --tun-remcsum",
            replace(TUN, tunnel=Tunnel(TunnelType.GUE, 6080, 2)),
        ),
        (
            "-r [2001:db8::21]:80 --ipip --tun-type=gre --tun-csum",
            replace(
                TUN,
                key=DestinationKey(ip_address("2001:db8::21"), 80),
                tunnel=Tunnel(TunnelType.GRE, 0, 1),
            ),
        ),
    ],
)
def test_servers(rest: str, server: Destination) -> None:
    text = f"# as saved\n\n-A -t 192.0.2.100:80\n-a -t 192.0.2.100:80 {rest}\n"
    assert parse_rules(text) == Table.of((Service(WEB), [server]))


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("-D -t 192.0.2.100:80", '"-D" is no option of a rule'),
        ("-t 192.0.2.100:80", "a rule begins with -A (a service) or -a (a server)"),
        ("-A -s wlc", "the service is missing: -t, -u, --sctp-service or -f"),
        ("-A -t", "-t has no value"),
        ("-A -t 192.0.2.100:http", '"http" is no port number; save with `ipvsadm-save -n`'),
        ("-A -t web:80", '"web:80" is no address; names are not resolved: `ipvsadm-save -n`'),
        ("-A -t [192.0.2.1]x:80", '"[192.0.2.1]x:80" is no address'),
        ("-A -t 192.0.2.100:65536", "port 65536 is outside 0..65535"),
        ("-A -t 192.0.2.100:0", "port 0 means every port, and that needs persistence (-p)"),
        ("-A -t 192.0.2.100:80 -t 192.0.2.101:80", "-t comes twice"),
        ("-A -t 192.0.2.100:80 --tcp-service 192.0.2.101:80", "-t and --tcp-service are the same"),
        ("-A -t 192.0.2.100:80 -p 0", "time-out 0 is outside 1..2678400"),
        ("-A -t 192.0.2.100:80 -p x", '"x" is no time-out'),
        ("-A -t 192.0.2.100:80 -M 255.255.255.0", "-M means nothing without -p"),
        ("-A -t 192.0.2.100:80 -p 9 -M 24", '"24" is no netmask; write 255.255.255.0'),
        ("-A -t [2001:db8::1]:80 -p 9 -M 129", "prefix length 129 is outside 1..128"),
        ("-A -t 192.0.2.100:80 -p 9 --pe dns", "persistence engine 'dns'"),
        ("-A -t 192.0.2.100:80 -s averyveryverylongname", "is longer than 15 bytes"),
        ("-A -t 192.0.2.100:80 -b sh-port", 'scheduler wlc has no flag "sh-port"'),
        ("-A -f 0", "firewall mark 0 means no mark"),
        ("-A -f 7 -w 3", "-w has no place here"),
        ("-A -t 192.0.2.100:80 -m", "-m has no place here"),
        ("-A -t 192.0.2.100:80 -o3", '"-o3": -o has no value'),
        ("-A -t 192.0.2.100:80 -o", "-o is for UDP and firewall marks"),
        ("-A -t 192.0.2.100:80 word", '"word" is no option of a rule'),
        ("-a -t 192.0.2.100:81 -r 198.51.100.21:80", "ESRCH, there is no such service"),
        ("-a -t 192.0.2.100:80", "the server is missing: -r ADDRESS:PORT"),
        ("-a -t 192.0.2.100:80 -r 0.0.0.0:80 -m", "EINVAL, its address is not a unicast one"),
        ("-a -t 192.0.2.100:80 -r 198.51.100.21:80 -w -1", '"-1" is no weight'),
        ("-a -t 192.0.2.100:80 -r 198.51.100.21:80 -w 2147483648", "weight 2147483648 is outside"),
        ("-a -t 192.0.2.100:80 -r 198.51.100.21:80 -y 5", "ERANGE"),
        ("-a -t 192.0.2.100:80 -r 198.51.100.21:80 -m -i", "two forwarding methods"),
        ("-a -t 192.0.2.100:80 -r [2001:db8::1]:80 -m", "reached by tun only"),
        ("-a -t 192.0.2.100:80 -r 198.51.100.21:80 -m --tun-type gre", "nothing without -i"),
        ("-a -t 192.0.2.100:80 -r 198.51.100.21:80 -i --tun-type x", 'unknown tunnel type "x"'),
        ("-a -t 192.0.2.100:80 -r 198.51.100.21:80 -i --tun-port 5", "type ipip has no port"),
        ("-a -t 192.0.2.100:80 -r 198.51.100.21:80 -i --tun-csum", "ipip has no --tun-csum"),
        (
            "-a -t 192.0.2.100:80 -r 198.51.100.21:80 -i --tun-type gue --tun-csum --tun-nocsum",
            "two kinds of tunnel checksum",
        ),
        (
            "-a -t 192.0.2.100:80 -r 198.51.100.21:80 -i --tun-type gue",
            "a gue tunnel needs a port",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(line: str, error: str) -> None:
    start = "" if line.startswith("-A") else "-A -t 192.0.2.100:80\n"
    with pytest.raises(RuleTextError) as caught:
        parse_rules(start + line)
    [told] = caught.value.errors
    assert told.startswith(f"line {1 + start.count(chr(10))}: ")
    assert error in told


def test_every_wrong_line_is_told_in_order() -> None:
    text = "-A -t 192.0.2.100:80\n-A -t 192.0.2.100:80\n-x\n-a -f 7 -r 198.51.100.21\n"
    with pytest.raises(RuleTextError) as caught:
        parse_rules(text)
    assert [each.partition(":")[0] for each in caught.value.errors] == [
        "line 2",
        "line 3",
        "line 4",
    ]


def test_what_the_format_has_no_words_for_is_said() -> None:
    flags = ServiceFlag(0x100) | ServiceFlag.ONE_PACKET
    service = Service(WEB, "wlc", Persistence(2**31), flags)
    servers = [
        replace(SERVER, forward=Forward.LOCAL, upper=2**31),
        replace(TUN, key=DestinationKey(SERVER.key.address, 81), tunnel=Tunnel(flags=1, port=5)),
    ]
    assert format_rules(Table.of((service, servers))).unsaid == (
        "tcp 192.0.2.100:80: ipvsadm takes no persistence time-out of 2147483648 s",
        "tcp 192.0.2.100:80: one-packet scheduling, which does nothing here",
        "tcp 192.0.2.100:80: flags 0x100",
        "tcp 192.0.2.100:80: forward local of 198.51.100.21:80",
        "tcp 192.0.2.100:80: ipvsadm takes no threshold above 2147483647, as 198.51.100.21:80 has",
        "tcp 192.0.2.100:80: tunnel port 5 of 198.51.100.21:81, which does nothing",
        "tcp 192.0.2.100:80: tunnel flags 0x1 of 198.51.100.21:81",
    )
