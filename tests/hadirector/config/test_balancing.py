"""The words for what the balancer takes become the kernel's values; servers may override."""

from pathlib import Path

import pytest

from hadirector.config.balancing import flags_of
from hadirector.config.model import Service
from hadirector.ipvs.model import (
    Forward,
    Persistence,
    ServiceFlag,
    Tunnel,
    TunnelType,
)
from hadirector.pool import desired_table, everything_up
from tests.hadirector.config.samples import NODES, config_of, findings_of

SERVER = "servers: ['198.51.100.21:80']"


def service_of(directory: Path, *, listen: str = "udp://192.0.2.100:80", rest: str) -> Service:
    text = f"virtual_routers: []\nservices: [{{name: a, listen: '{listen}', {rest}}}]\n"
    [service] = config_of(directory, NODES + text).services
    return service


@pytest.mark.parametrize(
    ("listen", "written", "expected"),
    [
        ("udp://192.0.2.100:80", "1m", Persistence(60)),
        ("udp://192.0.2.100:80", "{}", Persistence(300)),
        ("udp://192.0.2.100:80", "{netmask: 24}", Persistence(300, 0xFFFFFF00)),
        ("udp://192.0.2.100:80", "{netmask: 255.0.255.0}", Persistence(300, 0xFF00FF00)),
        ("udp://192.0.2.100:80", "{netmask: 32}", Persistence(300)),
        ("udp://192.0.2.100:80", "{timeout: 10s, engine: sip}", Persistence(10, None, "sip")),
        ("fwmark6:7", "{netmask: 64}", Persistence(300, 64)),
        ("fwmark6:7", "{netmask: 24}", Persistence(300, 24)),
    ],
)
def test_persistence(tmp_path: Path, listen: str, written: str, expected: Persistence) -> None:
    rest = f"forward: tun, persistence: {written}, {SERVER}"
    [entry] = desired_table(
        [everything_up(service_of(tmp_path, listen=listen, rest=rest))]
    ).values()
    assert entry.service.persistence == expected


def test_flags_have_the_names_of_their_scheduler(tmp_path: Path) -> None:
    rest = f"forward: nat, scheduler: mh, scheduler_flags: [mh-port], one_packet: true, {SERVER}"
    expected = ServiceFlag.SCHEDULER_2 | ServiceFlag.ONE_PACKET
    assert service_of(tmp_path, rest=rest).flags == expected
    both = flags_of(["sh-fallback", "sh-port"], one_packet=False)
    assert both == ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2


def test_a_server_has_what_its_service_has_unless_it_says_otherwise(tmp_path: Path) -> None:
    rest = (
        "forward: tun, tunnel: {type: gue, port: 6080}, upper: 100, lower: 50,\n"
        " fallback: '198.51.100.29:80', servers: ['198.51.100.21:80',\n"
        " {address: '198.51.100.22:80', upper: 60},\n"
        " {address: '198.51.100.23:80', lower: 0, tunnel: {type: gre, checksum: csum}},\n"
        " {address: '198.51.100.24:80', forward: nat}]"
    )
    service = service_of(tmp_path, rest=rest)
    [entry] = desired_table([everything_up(service)]).values()
    gue, gre = Tunnel(TunnelType.GUE, 6080), Tunnel(TunnelType.GRE, 0, 1)
    seen = [(d.forward, d.upper, d.lower, d.tunnel) for d in entry.destinations.values()]
    assert seen == [
        (Forward.TUN, 100, 50, gue),
        (Forward.TUN, 60, 50, gue),
        (Forward.TUN, 100, 0, gre),
        (Forward.NAT, 100, 50, Tunnel()),
    ]
    [fallback] = service.fallbacks
    assert (fallback.tunnel, fallback.upper) == (gue, 0)


@pytest.mark.parametrize(
    ("written", "finding"),
    [
        ("persistence: 300", "300 has no unit"),
        ("persistence: {timeout: 31d}", '"31d" is not a duration'),
        ("persistence: {timeout: 744h}", "744h is out of range"),
        ("persistence: {netmask: 0}", '"0" is neither a mask nor a prefix length'),
        ("persistence: {netmask: true}", '"True" is neither a mask nor a prefix length'),
        ("persistence: {engine: dns}", 'unknown persistence engine "dns"'),
        ("persistence: [1s]", "a duration is expected here"),
        ("tunnel: gre", 'expected a mapping, found the text "gre"'),
        ("tunnel: {type: vxlan}", 'unknown type of tunnel "vxlan"'),
        ("scheduler_flags: sh-port", 'expected a list, found the text "sh-port"'),
        ("scheduler_flags: [sh-hash]", 'unknown scheduler flag "sh-hash"'),
        ("scheduler_flags: []", "nothing is written here"),
        ("upper: 4294967296", "4294967296 is out of range"),
        ("one_packet: 1", "expected true or false, found the number 1"),
    ],
)
def test_what_is_no_such_value_is_explained(tmp_path: Path, written: str, finding: str) -> None:
    text = (
        "virtual_routers: []\n"
        "services: [{name: a, listen: 'udp://192.0.2.100:80', forward: tun, scheduler: sh, "
        f"{SERVER}, {written}}}]\n"
    )
    [found] = findings_of(tmp_path, NODES + text)
    assert found.partition(": ")[2] == finding


def test_a_lower_threshold_may_stand_apart_from_the_upper_one(tmp_path: Path) -> None:
    server = "{address: '198.51.100.21:80', upper: 9}"
    service = service_of(tmp_path, rest=f"forward: nat, lower: 5, servers: [{server}]")
    assert (service.servers[0].upper, service.servers[0].lower) == (9, 5)
