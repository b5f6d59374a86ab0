"""The peer in `status` and `explain`: from values to JSON and sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from hadirector.peer import compare
from hadirector.peer.messages import State
from hadirector.peer.settings import PeerSettings
from hadirector.peer.standing import Standing
from hadirector.router_answers import Json


def told(
    settings: PeerSettings,
    node: str,
    standing: Standing,
    disagreements: Iterable[str],
    ours: State,
    *,
    connections: Json,
) -> Json:
    """Everything about the peer in one object.

    `connections`: what it was `told` of ours (`Teller.last`), and what we `learned` of its own.
    """
    theirs = standing.state
    known: Json = {
        "same_file": None,
        "digest": None,
        "ready": None,
        "paused": None,
        "routers": {},
        "health": None,
        "sync": None,
        "trouble": [],
    }
    if theirs is not None:
        known = {
            "same_file": compare.same_file(ours, theirs),
            "digest": theirs.digest,
            "ready": theirs.ready,
            "paused": theirs.paused,
            "routers": {
                name: {"state": router.state, "priority": router.priority}
                for name, router in theirs.routers.items()
            },
            "health": {"up": theirs.health.up, "down": theirs.health.down},
            "sync": {
                "duty": theirs.sync.duty or None,
                "connections": _known(theirs.sync.connections),
                "connections_here": _known(ours.sync.connections),
            },
            "trouble": list(theirs.trouble),
        }
    facts: Json = {
        "node": standing.peer,
        "address": str(settings.addresses[standing.peer]),
        "port": settings.port,
        "dials": settings.dials(node),
        "connected": standing.connected,
        "since": standing.since,
        "version": standing.software or None,
        **known,
        "told_connections": connections["told"],
        "learned_connections": connections["learned"],
        "disagreements": list(disagreements),
        "refused": {str(cause): count for cause, count in standing.refused.items()},
    }
    facts["sentence"] = sentence(standing, ours)
    return {**facts, "because": explained(facts)}


def sentence(standing: Standing, ours: State) -> str:
    """The peer in one sentence."""
    theirs = standing.state
    if not standing.connected:
        return f"{standing.peer} is not heard"
    if theirs is None:
        return f"{standing.peer} has said nothing yet"
    roles = ", ".join(f"{name} {router.state}" for name, router in theirs.routers.items())
    file = "the same file" if compare.same_file(ours, theirs) else "another file"
    health = f"{theirs.health.up} servers up" + (
        f", {theirs.health.down} down" if theirs.health.down else ""
    )
    words = [roles or "no virtual router reported", file, health]
    if theirs.sync.connections > 0 or ours.sync.connections > 0:
        words.append(f"{theirs.sync.connections} connections there, {ours.sync.connections} here")
    if theirs.paused:
        words.append("PAUSED")
    if not theirs.ready:
        words.append("not ready yet")
    return f"{standing.peer}: {', '.join(words)}"


def explained(peer: Json) -> list[str]:
    """What `explain peer` says."""
    way = "this one dials" if peer["dials"] else "it dials this one"
    because = [
        str(peer["sentence"]),
        f"at {peer['address']} port {peer['port']}; {way}",
        *cast("list[str]", peer["disagreements"]),
        *(f"{peer['node']} says: {each}" for each in cast("list[str]", peer["trouble"])),
    ]
    if peer["told_connections"]:
        because.append(str(cast("Json", peer["told_connections"])["sentence"]))
    if peer["learned_connections"]:
        because.append(str(peer["learned_connections"]))
    refused = cast("dict[str, int]", peer["refused"])
    if refused:
        counted = ", ".join(f"{count} {cause}" for cause, count in sorted(refused.items()))
        because.append(f"connections that ended or were refused, by cause: {counted}")
    return because


def _known(count: int) -> int | None:
    return None if count < 0 else count
