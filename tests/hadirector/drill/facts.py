"""A pair as a drill sees it, made up: a change at a time makes it unfit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hadirector.config.loader import load
from hadirector.drill.live import Facts, Link

ROOT = Path(__file__).parents[3]
CONFIG = load(str(ROOT / "configs" / "peer.yaml")).config
assert CONFIG is not None


def status(**changes: Any) -> dict[str, Any]:
    """What lb1 says: active for everything, and its peer is well. `changes` are fields of it."""
    assert CONFIG is not None
    routers = [
        {
            "name": each.name,
            "state": "active",
            "interface": each.interface,
            "held": [str(a) for a in each.all_addresses],
            "addresses": [str(a) for a in each.all_addresses],
        }
        for each in CONFIG.virtual_routers
    ]
    told: dict[str, Any] = {
        "file": "/etc/hadirector.yaml",
        "digest": "0123",
        "ready": True,
        "trouble": [],
        "processes": {name: {"pid": n} for n, name in enumerate(PROCESSES, 100)},
        "routers": routers,
        "services": [
            {
                "name": service.name,
                "servers": [
                    {"server": str(server), "state": "up", "weight": server.weight}
                    for server in service.servers
                ],
            }
            for service in CONFIG.services
        ],
        "table": {"failures": []},
        "sync": {"running": ["master eth1"], "sentence": "active: sends"},
        "peer": {
            "connected": True,
            "ready": True,
            "paused": False,
            "same_file": True,
            "trouble": [],
            "disagreements": [],
            "routers": {each["name"]: {"state": "backup"} for each in routers},
        },
    }
    return {**told, **changes}


PROCESSES = ("supervisor", "vrrp", "director")


def facts(*, peer: dict[str, Any] | None = None, **changes: Any) -> Facts:
    """lb1, fit for every drill; `peer` changes what is known of the other one."""
    assert CONFIG is not None
    told = status(**changes)
    if peer is not None:
        told["peer"] = {**told["peer"], **peer}
    return Facts(
        node="lb1",
        peer="lb2",
        config=CONFIG,
        status=told,
        started={name: (n, 1000 + n) for n, name in enumerate(PROCESSES, 100)},
        program=("hadirector",),
        runtime_dir="/run/hadirector",
        unit="hadirector.service",
        interface="eth0",
        link=Link(
            name="eth0", routes=((4, "default via 192.0.2.1"),), addresses=("2001:db8::1/64",)
        ),
        way_to=lambda _: "eth1",
        tools=frozenset({"ip", "ipvsadm", "mount", "umount", "nsenter"}),
    )


def other(known: Facts, **changes: Any) -> Facts:
    """The same with other fields."""
    return replace(known, **changes)
