"""Two directors of one pair, for the tests."""

from __future__ import annotations

from ipaddress import ip_address

from hadirector.peer.link import Link, pair_of
from hadirector.peer.messages import (
    PROTOCOL,
    HealthState,
    Hello,
    RouterState,
    State,
    SyncState,
)

ADDRESSES = {"lb1": ip_address("192.0.2.11"), "lb2": ip_address("192.0.2.12")}
PEER_OF = {"lb1": "lb2", "lb2": "lb1"}


def hello(node: str, *, protocol: int = PROTOCOL, pair: str = "", nonce: str = "") -> Hello:
    """What a director says first."""
    return Hello(
        protocol=protocol,
        software="0.1.0",
        pair=pair or pair_of(ADDRESSES),
        node=node,
        nonce=nonce or f"nonce of {node}",
    )


def link(node: str, now: float = 0.0) -> Link:
    """A connection as a director sees it."""
    return Link(hello(node), PEER_OF[node], now)


def router(state: str = "backup", priority: int = 253, **more: object) -> RouterState:
    """A virtual router as it is told of."""
    known: dict[str, object] = {
        "configured": priority,
        "weighed": priority,
        "hears": "192.0.2.11" if state == "backup" else "",
        "holds": state == "active",
        **more,
    }
    return RouterState(state=state, priority=priority, **known)  # type: ignore[arg-type]


def state(
    *,
    digest: str = "d1",
    routers: dict[str, RouterState] | None = None,
    not_up: dict[str, str] | None = None,
    up: int = 2,
    connections: int = -1,
    daemons: tuple[str, ...] = (),
    ready: bool = True,
    paused: bool = False,
) -> State:
    """How a director is."""
    away = not_up or {}
    down = sum(one == "down" for one in away.values())
    return State(
        digest=digest,
        ready=ready,
        paused=paused,
        software="0.1.0",
        routers=routers or {},
        health=HealthState(up=up, down=down, unknown=len(away) - down, not_up=away),
        sync=SyncState(connections=connections, daemons=daemons),
    )
