"""The table and the connections as lines for people and as values for JSON.

The problem: a table may have 100,000 servers, so no column can wait for the widest value. The
approach: columns of fixed width, one entry after the other; a value that is too wide pushes its
line out and harms no other. Counters are exact and 64 bit wide, never rounded to "12K".

Never: I/O, or a number that the kernel did not give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from hadirector.ipvs.connections import Connection
from hadirector.ipvs.model import (
    Counters,
    Destination,
    Entry,
    Forward,
    Service,
    Traffic,
    Unknown,
    VirtualAddress,
)

Json: TypeAlias = dict[str, object]
_NAME_WIDTH = 46
_NOTHING = Counters()
_NO_TRAFFIC = Traffic()


class View(StrEnum):
    """Which numbers are shown for each server."""

    TABLE = "table"
    STATS = "stats"
    RATE = "rate"
    THRESHOLDS = "thresholds"
    PERSISTENT = "persistent"

    @property
    def needs_traffic(self) -> bool:
        """Whether totals and rates must be read for it."""
        return self in (View.STATS, View.RATE)


_Cell: TypeAlias = Callable[[Destination, Counters], object]
_TABLE: Mapping[str, _Cell] = {
    "forward": lambda server, _: server.forward,
    "weight": lambda server, _: server.weight,
    "active": lambda _, counted: counted.active,
    "inactive": lambda _, counted: counted.inactive,
}
_COLUMNS: Mapping[View, Mapping[str, _Cell]] = MappingProxyType(
    {
        View.TABLE: _TABLE,
        View.THRESHOLDS: {
            "upper": lambda server, _: server.upper or "–",
            "lower": lambda server, _: server.lower or "–",
            "active": _TABLE["active"],
            "inactive": _TABLE["inactive"],
        },
        View.PERSISTENT: {
            "weight": _TABLE["weight"],
            "persistent": lambda _, counted: counted.persistent,
            "active": _TABLE["active"],
            "inactive": _TABLE["inactive"],
        },
    }
)
_TRAFFIC: Mapping[View, Mapping[str, str]] = MappingProxyType(
    {
        View.STATS: {
            "connections": "connections",
            "packets in": "packets_in",
            "packets out": "packets_out",
            "bytes in": "bytes_in",
            "bytes out": "bytes_out",
        },
        View.RATE: {
            "connections/s": "connection_rate",
            "packets/s in": "packet_rate_in",
            "packets/s out": "packet_rate_out",
            "bytes/s in": "byte_rate_in",
            "bytes/s out": "byte_rate_out",
        },
    }
)


def heading(view: View) -> str:
    """The first line: what the columns are."""
    titles = _TRAFFIC[view] if view.needs_traffic else _COLUMNS[view]
    return _line("service, with its servers", titles, _width(view))


def entry_lines(entry: Entry, view: View) -> Iterator[str]:
    """A service and its servers, a line each."""
    width = _width(view)
    cells = _traffic_cells(entry.traffic, view) if view.needs_traffic else ()
    yield _line(str(entry.service), cells, width)
    yield from _unknown_lines(entry.service.unknown, "  ")
    for key, server in entry.destinations.items():
        counted = entry.counters.get(key, _NOTHING)
        if view.needs_traffic:
            cells = _traffic_cells(counted.traffic, view)
        else:
            cells = tuple(cell(server, counted) for cell in _COLUMNS[view].values())
        tunnel = f" ({server.tunnel})" if server.forward is Forward.TUN else ""
        yield _line(f"  {key}{tunnel}", cells, width)
        yield from _unknown_lines(server.unknown, "    ")


def entry_json(entry: Entry) -> Json:
    """Everything that is known of a service and its servers."""
    document: Json = {**_service_json(entry.service), "traffic": _traffic_json(entry.traffic)}
    document["servers"] = [
        {
            "address": str(key.address),
            "port": key.port,
            "forward": str(server.forward),
            "weight": server.weight,
            "upper": server.upper,
            "lower": server.lower,
            "tunnel": str(server.tunnel) if server.forward is Forward.TUN else None,
            "active": entry.counters.get(key, _NOTHING).active,
            "inactive": entry.counters.get(key, _NOTHING).inactive,
            "persistent": entry.counters.get(key, _NOTHING).persistent,
            "traffic": _traffic_json(entry.counters.get(key, _NOTHING).traffic),
            "unknown": _unknown_json(server.unknown),
        }
        for key, server in entry.destinations.items()
    ]
    return document


def connection_heading() -> str:
    """The first line above connections."""
    return _connection_line("protocol", "client", "service", "server", "state", "expires")


def connection_line(one: Connection) -> str:
    """One connection."""
    state = f"{one.state} (template)" if one.is_template else one.state
    engine = f" {one.engine} {one.data}".rstrip()
    return _connection_line(
        one.protocol, str(one.client), str(one.virtual), str(one.server), state, f"{one.expires_s}s"
    ) + (engine and f" {engine.lstrip()}")


def connection_json(one: Connection) -> Json:
    """One connection."""
    return {
        "protocol": one.protocol,
        "client": str(one.client),
        "service": str(one.virtual),
        "server": str(one.server),
        "state": one.state,
        "expires_s": one.expires_s,
        "template": one.is_template,
        "engine": one.engine,
        "data": one.data,
    }


def _width(view: View) -> int:
    return 16 if view.needs_traffic else 10


def _line(name: str, cells: Mapping[str, object] | tuple[object, ...], width: int) -> str:
    row = "".join(f" {cell!s:>{width}}" for cell in cells)
    return f"{name:<{_NAME_WIDTH}}{row}".rstrip()


def _connection_line(*words: str) -> str:
    widths = (8, 23, 23, 23, 12, 7)
    return " ".join(f"{word:<{width}}" for word, width in zip(words, widths, strict=True)).rstrip()


def _traffic_cells(traffic: Traffic | None, view: View) -> tuple[object, ...]:
    found = traffic or _NO_TRAFFIC
    return tuple(getattr(found, name) for name in _TRAFFIC[view].values())


def _traffic_json(traffic: Traffic | None) -> Json | None:
    if traffic is None:
        return None
    return {item.name: getattr(traffic, item.name) for item in fields(traffic)}


def _service_json(service: Service) -> Json:
    key = service.key
    where: Json = {"version": key.version}
    if isinstance(key, VirtualAddress):
        where |= {"protocol": str(key.protocol), "address": str(key.address), "port": key.port}
    else:
        where |= {"mark": key.mark}
    return {
        **where,
        "scheduler": service.scheduler,
        "persistence": None if service.persistence is None else asdict(service.persistence),
        "flags": service.flags_told,
        "unknown": _unknown_json(service.unknown),
    }


def _unknown_lines(unknown: Unknown, indent: str) -> Iterator[str]:
    """What a newer kernel says, as far as it can be shown: types and bytes."""
    for kind, value in unknown:
        yield f"{indent}unknown attribute {kind}: {value.hex()}"


def _unknown_json(unknown: Unknown) -> dict[str, str]:
    """Attributes of a newer kernel: by number, in hexadecimal."""
    return {str(kind): value.hex() for kind, value in unknown}
