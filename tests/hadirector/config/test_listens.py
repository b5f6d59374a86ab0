"""One service of the file on many addresses and ports: what it becomes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadirector.config.addresses import format_listen, format_listens
from hadirector.config.codec import config_from_json, config_to_json
from hadirector.ipvs.model import DestinationKey
from hadirector.pool import desired_table, everything_up
from tests.hadirector.config.samples import NODES, config_of, findings_of

HEAD = f"""{NODES}virtual_routers: []
services:
"""
NAT = "forward: nat, servers: ['198.51.100.21:8080']"
EVERY = "forward: dr, check: {port: 8000}, servers: ['192.0.2.31:0']"


def service(listen: str, more: str = NAT) -> str:
    return f"  - {{name: web, listen: {listen}, {more}}}\n"


def test_every_address_with_every_port(tmp_path: Path) -> None:
    listen = "['tcp://192.0.2.100-101:8000-8001', 'udp://192.0.2.100:53', 'fwmark:7']"
    [web] = config_of(tmp_path, HEAD + service(listen)).services
    assert [format_listen(key) for key in web.listens] == [
        "tcp://192.0.2.100:8000",
        "tcp://192.0.2.100:8001",
        "tcp://192.0.2.101:8000",
        "tcp://192.0.2.101:8001",
        "udp://192.0.2.100:53",
        "fwmark:7",
    ]
    assert format_listens(web.listens) == "tcp://192.0.2.100:8000 and 5 more"
    table = desired_table([everything_up(web)])
    assert list(table) == list(web.listens)
    servers = {str(key) for entry in table.values() for key in entry.destinations}
    assert servers == {"198.51.100.21:8080"}


def test_ranges_across_the_last_number_and_of_ipv6(tmp_path: Path) -> None:
    text = service("'tcp://192.0.2.254-192.0.3.1:80'")
    [web] = config_of(tmp_path, HEAD + text).services
    assert [key.address.packed[2:] for key in web.listens] == [  # type: ignore[union-attr]
        b"\x02\xfe",
        b"\x02\xff",
        b"\x03\x00",
        b"\x03\x01",
    ]
    six = "forward: nat, servers: ['[2001:db8::21]:80']"
    text = service("'tcp://[2001:db8::9]-[2001:db8::b]:80'", six)
    [web] = config_of(tmp_path, HEAD + text).services
    assert [str(key.address)[-1] for key in web.listens] == ["9", "a", "b"]  # type: ignore[union-attr]


def test_a_server_without_a_port_has_that_of_the_client(tmp_path: Path) -> None:
    config = config_of(tmp_path, HEAD + service("'tcp://192.0.2.100:8000-8002'", EVERY))
    table = desired_table(everything_up(web) for web in config.services)
    servers = [key for entry in table.values() for key in entry.destinations]
    assert [key.port for key in servers] == [8000, 8001, 8002]
    assert all(isinstance(key, DestinationKey) for key in servers)
    assert config_from_json(config_to_json(config)) == config


@pytest.mark.parametrize(
    ("services", "finding"),
    [
        (
            service("'tcp://192.0.2.100-192.0.2.90:80'"),
            "6:25 services[0].listen: the range 192.0.2.100 to 192.0.2.90 is empty",
        ),
        (
            service("['udp://192.0.2.100:53', 'tcp://192.0.2.100:90-80']"),
            "6:50 services[0].listen[1]: the range 90 to 80 is empty",
        ),
        (
            service("'tcp://[2001:db8::]-[2001:db8::ffff]:80'"),
            (
                "6:25 services[0].listen: these are 65536 services to the kernel, and at most 4096 "
                "are made of one"
            ),
        ),
        (
            service("['tcp://192.0.2.100:1-4000', 'udp://192.0.2.100:1-4000']"),
            (
                "6:25 services[0].listen: these are 8000 services to the kernel, and at most 4096 "
                "are made of one"
            ),
        ),
        (
            service("'tcp://192.0.2.100-[2001:db8::1]:80'"),
            "6:25 services[0].listen: 192.0.2.100 to [2001:db8::1] is no range",
        ),
        (
            service("'tcp://192.0.2.100-300:80'"),
            '6:25 services[0].listen: "192.0.2.300" is not an IP address',
        ),
        (
            service("'tcp://192.0.2.100:0-80'"),
            "6:25 services[0].listen: port 0 is every port, and begins no range",
        ),
        (
            service("'tcp://192.0.2.100:80-99999'"),
            "6:25 services[0].listen: port 99999 is out of range",
        ),
        (service("[]"), "6:25 services[0].listen: nothing is listed to listen on"),
        (
            service("['tcp://192.0.2.100:80', 'tcp://192.0.2.90-110:80']"),
            "6:50 services[0].listen[1]: this service listens twice on tcp://192.0.2.100:80",
        ),
        (
            service("'tcp://192.0.2.100-110:80'")
            + service("['udp://192.0.2.90:80', 'tcp://192.0.2.105-120:80']").replace("web", "w"),
            "7:47 services[1].listen[1]: a second service listens on tcp://192.0.2.105:80",
        ),
        (
            service("['tcp://192.0.2.100:80', 'tcp://[2001:db8::1]:80']"),
            "6:50 services[0].listen[1]: IPv6 clients in a service of IPv4",
        ),
        (
            service("'tcp://192.0.2.100:8000-8001'", EVERY.replace(":0'", ":8000'")),
            "6:100 services[0].servers[0]: forward dr cannot change port 8001 to 8000",
        ),
        (
            service("'tcp://192.0.2.100:8000-8001'", EVERY.replace("check: {port: 8000}, ", "")),
            "6:79 services[0].servers[0]: a check needs a port, and this server has none",
        ),
        (
            service("'tcp://192.0.2.100:80-81'", EVERY.replace("['", "['192.0.2.31:80', '")),
            (
                "6:96 services[0].servers[0]: 192.0.2.31:80 is in this service twice, once with "
                "every port of clients (0)"
            ),
        ),
        (
            service("'tcp://192.0.2.100:80-81'", f"fallback: '192.0.2.31:0', {EVERY}"),
            "6:62 services[0].fallback: the fallback 192.0.2.31:0 is a server of this service, too",
        ),
        (
            service("['udp://192.0.2.100:53', 'tcp://192.0.2.100:53']", f"one_packet: true, {NAT}"),
            "6:87 services[0].one_packet: one_packet does nothing for tcp",
        ),
    ],
)
def test_refused(tmp_path: Path, services: str, finding: str) -> None:
    assert finding in findings_of(tmp_path, HEAD + services)


def test_unowned_addresses_are_told_once(tmp_path: Path) -> None:
    head = HEAD.replace(
        "virtual_routers: []",
        "virtual_routers: [{name: f, vrid: 5, interface: eth0, addresses: [192.0.2.100/24]}]",
    )
    assert findings_of(tmp_path, head + service("'tcp://192.0.2.100-104:80-81'")) == [
        "6:25 services[0].listen: no virtual router owns 192.0.2.101 and 3 more"
    ]
