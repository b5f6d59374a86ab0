"""The connection table is told in numbers that were read, and advice comes where lists are long."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from hadirector.ipvs.connection_table import ConnectionTable, connections_in
from hadirector.ipvs.model import (
    Counters,
    Destination,
    DestinationKey,
    Entry,
    FirewallMark,
    Service,
    Table,
)

FULL = ConnectionTable(buckets=4096, connections=120_000, object_bytes=256)


def test_all_numbers() -> None:
    assert str(FULL) == (
        "connection table: 4096 buckets (32 KiB); "
        "of this network namespace 120000 connections (30000 KiB)"
    )
    assert FULL.document == {
        "buckets": 4096,
        "buckets_bytes": 32768,
        "connections": 120_000,
        "connections_bytes": 30_720_000,
    }


def test_what_is_not_known_is_not_told() -> None:
    nameless = replace(FULL, connections=1, object_bytes=None)
    assert str(nameless).endswith("1 connection, whose size this kernel does not tell")
    uncounted = replace(FULL, connections=None)
    assert str(uncounted) == "connection table: 4096 buckets (32 KiB)"
    assert set(uncounted.document) == {"buckets", "buckets_bytes"}
    assert uncounted.advice == ""


@pytest.mark.parametrize(
    ("buckets", "connections", "bits"),
    [
        (4096, 16_384, None),
        (4096, 16_385, 15),
        (4096, 120_000, 17),
        (1 << 20, 50_000_000, None),  # no kernel takes more for certain
        (1 << 19, 50_000_000, 20),
    ],
)
def test_advice_where_lists_are_long(buckets: int, connections: int, bits: int | None) -> None:
    advice = replace(FULL, buckets=buckets, connections=connections).advice
    if bits is None:
        assert advice == ""
    else:
        assert f"looks through {connections / buckets:.0f} connections" in advice
        assert f"`options ip_vs conn_tab_bits={bits}`" in advice


def test_connections_are_counted_over_all_servers() -> None:
    key = DestinationKey(ip_address("198.51.100.21"), 80)
    counters = {key: Counters(active=3, inactive=20, persistent=100)}
    service = Service(FirewallMark(7))
    table = Table({service.key: Entry(service, {key: Destination(key)}, counters)})
    assert connections_in(table) == 123
