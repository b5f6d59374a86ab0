"""A status with everything in it: services up and down, a fallback that serves, trouble."""

from typing import Any

NOW = 1_700_000_000.0
Json = dict[str, Any]


def server(
    address: str,
    state: str | None = "up",
    *,
    since: float | None = NOW - 3600,
    why: str = "2 passes in a row, the last: status 200 in 1.3 ms",
    weight: int | None = 1,
) -> Json:
    """A server as `status` tells of it; a weight of None: it is not in the table."""
    return {
        "server": address,
        "in_table": weight is not None,
        "weight": weight or 0,
        "configured_weight": 1,
        "reason": why,
        "state": state,
        "since": since,
        "outlook": None,
        "warnings": [],
        "overrides": [],
        "connections": None if weight is None else {"active": 12, "inactive": 340},
    }


def service(name: str, sentence: str, servers: list[Json], fallback: Json, *, met: bool) -> Json:
    return {
        "name": name,
        "listen": "tcp://192.0.2.100:80",
        "scheduler": "wlc",
        "forward": "nat",
        "sentence": sentence,
        "up": sum(server["in_table"] for server in servers),
        "quorum": {"needed": 1, "met": met},
        "servers": servers,
        "fallbacks": [fallback] if fallback else [],
    }


def router(name: str, vrid: int, address: str, reason: str) -> Json:
    return {
        "name": name,
        "vrid": vrid,
        "interface": "eth0",
        "group": "web",
        "state": "active",
        "priority": 254,
        "since": NOW - 200_000,
        "reason": reason,
        "active_peer": None,
        "addresses": [address],
        "held": [address],
        "counters": {},
        "arithmetic": "base 254",
        "trackers": [],
        "rival": None,
        "outlook": "",
        "virtual_mac": None,
        "device": "eth0",
        "remark": "",
    }


STATUS: Json = {
    "version": "0.1.0",
    "node": "lb1",
    "file": "/etc/hadirector.yaml",
    "digest": "3f2a9c81d2aa11bb",
    "ready": True,
    "started_at": NOW - 200_000,
    "loaded_at": NOW - 90,
    "timing": None,
    "workers": [
        {
            "number": 1,
            "pid": 9121,
            "restarts": 0,
            "since": NOW - 700,
            "probes": 5012,
            "in_flight": 3,
            "late_ms": 1.5,
        },
        {
            "number": 2,
            "pid": None,
            "restarts": 4,
            "since": NOW - 80,
            "probes": 4988,
            "in_flight": 0,
            "late_ms": 0.0,
        },
    ],
    "processes": {
        "supervisor": {"pid": 811, "restarts": 0, "since": None},
        "vrrp": {"pid": None, "restarts": 0, "since": NOW - 200_000},
        "director": {"pid": 9120, "restarts": 1, "since": NOW - 700},
    },
    "routers": [
        router("front", 51, "192.0.2.100/24", "no other active router was heard for 3.01 s"),
        router("back", 52, "198.51.100.1/24", "moves together with front"),
    ],
    "services": [
        service(
            "web",
            "1 of 2 servers up, quorum 1 met",
            [
                server("198.51.100.21:8080"),
                server(
                    "198.51.100.22:8080",
                    "down",
                    since=NOW - 92,
                    why="3 failures in a row, the last: refused (L4) after 0.3 ms",
                    weight=None,
                ),
            ],
            server(
                "198.51.100.29:8080",
                None,
                since=None,
                why="not needed: 1 of 2 servers up",
                weight=None,
            ),
            met=True,
        ),
        service(
            "mail",
            "0 of 1 servers up, quorum 1 not met, fallback server [2001:db8::29]:25 serves",
            [
                server(
                    "[2001:db8::21]:25",
                    "down",
                    since=NOW - 12,
                    why='3 failures in a row, the last: status 503 instead of 200 (L7): "upstream '
                    'connect error or disconnect/reset before headers" after 12 ms',
                    weight=None,
                )
            ],
            server(
                "[2001:db8::29]:25", None, since=None, why="serves: every server is down", weight=1
            ),
            met=False,
        ),
    ],
    "leaving": [
        {
            "name": "web/198.51.100.27:8080",
            "service": "web",
            "listen": "tcp 192.0.2.100:80",
            "server": "198.51.100.27:8080",
            "weight": 0,
            "reason": "left the file",
            "since": NOW - 9,
            "until": NOW + 21,
            "connections": {"active": 3, "inactive": 40, "persistent": 0},
        }
    ],
    "brake_control": None,
    "sync": None,
    "peer": {
        "sentence": "lb2: front backup, the same file, 2 servers up",
        "since": NOW - 60,
        "planned": {"at": NOW + 90, "to": "lb2", "force": False, "by": "root"},
    },
    "table": {
        "sentence": "audit: the table matches",
        "at": NOW - 3,
        "kept": ["tcp 203.0.113.9:80"],
        "oddities": [],
        "failures": [],
    },
    "trouble": [
        (
            "a restart would fail: reload refused, everything goes on as before: "
            "/etc/hadirector.yaml:24:16: error: services[0].scheduler: unknown scheduler"
        )
    ],
}
