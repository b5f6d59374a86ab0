"""The lines for people keep their columns, and the JSON has every number."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from hadirector.ipvs.connections import Connection
from hadirector.ipvs.listing import (
    View,
    connection_heading,
    connection_json,
    connection_line,
    entry_json,
    entry_lines,
    heading,
)
from hadirector.ipvs.model import (
    Counters,
    Destination,
    DestinationKey,
    Entry,
    FirewallMark,
    Forward,
    Persistence,
    Protocol,
    Service,
    Traffic,
    Tunnel,
    TunnelType,
    VirtualAddress,
)

KEY = DestinationKey(ip_address("198.51.100.21"), 80)
TUN = Destination(KEY, Forward.TUN, 3, 10, 0, Tunnel(TunnelType.GUE, 6080), ((99, b"\1\2"),))
TRAFFIC = Traffic(connections=2**40, bytes_in=7, byte_rate_out=5)
COUNTED = Counters(active=4, inactive=5, persistent=6, traffic=TRAFFIC)
WEB = Service(VirtualAddress(Protocol.TCP, ip_address("192.0.2.100"), 80))
ENTRY = Entry(WEB, {KEY: TUN}, {KEY: COUNTED}, TRAFFIC)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (View.TABLE, ["tun", "3", "4", "5"]),
        (View.THRESHOLDS, ["10", "–", "4", "5"]),
        (View.PERSISTENT, ["3", "6", "4", "5"]),
        (View.STATS, ["1099511627776", "0", "0", "7", "0"]),
        (View.RATE, ["0", "0", "0", "0", "5"]),
    ],
)
def test_columns(view: View, expected: list[str]) -> None:
    service, server, unknown = entry_lines(ENTRY, view)
    assert unknown == "    unknown attribute 99: 0102"
    assert server.startswith("  198.51.100.21:80 (gue port 6080)")
    assert server.split()[4:] == expected
    assert service.startswith("tcp 192.0.2.100:80, scheduler wlc")
    assert len(server) == len(heading(view))


def test_a_server_without_counters_has_none() -> None:
    bare = Entry(WEB, {KEY: replace(TUN, unknown=())})
    assert list(entry_lines(bare, View.STATS))[1].split()[4:] == ["0"] * 5


def test_json_has_all_of_it() -> None:
    document = entry_json(ENTRY)
    assert document["servers"] == [
        {
            "address": "198.51.100.21",
            "port": 80,
            "forward": "tun",
            "weight": 3,
            "upper": 10,
            "lower": 0,
            "tunnel": "gue port 6080",
            "active": 4,
            "inactive": 5,
            "persistent": 6,
            "traffic": document["traffic"],
            "unknown": {"99": "0102"},
        }
    ]
    marked = entry_json(Entry(Service(FirewallMark(7, 6), "rr", Persistence(60, 64)), {}))
    assert (marked["mark"], marked["version"], marked["servers"]) == (7, 6, [])
    assert marked["persistence"] == {"timeout_s": 60, "netmask": 64, "engine": ""}


def test_connections() -> None:
    one = Connection("TCP", DestinationKey(KEY.address, 0), KEY, KEY, "NONE", 60, "sip", "call")
    assert connection_line(one).split() == [
        *("TCP", "198.51.100.21:0", "198.51.100.21:80", "198.51.100.21:80"),
        *("NONE", "(template)", "60s", "sip", "call"),
    ]
    assert connection_heading().split()[:2] == ["protocol", "client"]
    assert connection_json(one)["template"] is True
