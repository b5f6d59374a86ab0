"""What the two directors of a stage do together: they hear each other, and switch over."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from hadirector.drill.actor import DirectorActor

SWITCHOVER_BOUND_S = 120.0


def hear_each_other(directors: Iterable[DirectorActor]) -> bool:
    """Whether each hears the other, on the peer channel and in VRRP, and is well."""
    return all(_hears_its_peer(director) for director in directors)


def _hears_its_peer(director: DirectorActor) -> bool:
    status = director.status()
    peer, routers = status.get("peer") or {}, status.get("routers", [])
    heard = all(r["state"] == "active" or r["active_peer"] for r in routers)
    return bool(peer.get("routers")) and heard and not status["trouble"]


def switchover(director: DirectorActor, *options: str, to: str) -> tuple[bool, str]:
    """`hadirector switchover` on a director: whether it was done, and what was said."""
    with switchover_under_way(director, *options, to=to) as command:
        said, _ = command.communicate(timeout=SWITCHOVER_BOUND_S)
    return command.returncode == 0, " ".join(said.split())


@contextmanager
def switchover_under_way(
    director: DirectorActor, *options: str, to: str
) -> Iterator[subprocess.Popen[str]]:
    """The same, while it goes on; it has ended afterwards."""
    with director.switchover(to, *options) as command:
        yield command
        if command.poll() is None:
            command.communicate(timeout=SWITCHOVER_BOUND_S)


def end_yielding(preferred: DirectorActor) -> None:
    """A switchover that went one way only is made good: its cap would last."""
    routers = preferred.status().get("routers", [])
    if any("at most" in router["arithmetic"] for router in routers):
        switchover(preferred, "--force", to=preferred.name)
