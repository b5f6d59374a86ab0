"""What was decided of a service over time, kept across a restart: its quorum and its brake's hold.

The problem: most of a service is decided anew from what its checks find. A quorum with hysteresis
is not, and neither is a hold of the brake: a restart would take a lost quorum for met, and drop the
servers that are held because our own link is gone. The approach: both as values with the unix time
since when, and their JSON; `health_store` keeps them beside what the checks found, with its age.

Reading is strict: what is no such value raises ValueError and costs only its service. Must never
decide whether it still holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

NAME_CHARACTERS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Standing:
    """A quorum that has been met, or not, since a unix time."""

    met: bool
    since: float


@dataclass(frozen=True, slots=True)
class Hold:
    """What a brake has held since a unix time: server keys, in the order in which they failed."""

    since: float
    held: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServiceMemory:
    """One service; None: nothing to remember."""

    quorum: Standing | None = None
    hold: Hold | None = None


def remembered(
    quorums: Mapping[str, Standing], holds: Mapping[str, Hold]
) -> dict[str, ServiceMemory]:
    """Both by the name of the service."""
    names = dict.fromkeys((*quorums, *holds))
    return {name: ServiceMemory(quorums.get(name), holds.get(name)) for name in names}


def to_json(memory: ServiceMemory) -> dict[str, object]:
    """What `from_json` reads again."""
    data: dict[str, object] = {}
    if memory.quorum is not None:
        data["quorum"] = {"met": memory.quorum.met, "since": memory.quorum.since}
    if memory.hold is not None:
        data["hold"] = {"since": memory.hold.since, "servers": list(memory.hold.held)}
    return data


def from_json(data: object) -> ServiceMemory:
    """The memory again; raises ValueError for anything else."""
    whole = _mapping(data)
    quorum, hold = whole.get("quorum"), whole.get("hold")
    return ServiceMemory(
        None if quorum is None else _standing(_mapping(quorum)),
        None if hold is None else _hold(_mapping(hold)),
    )


def _standing(data: Mapping[str, object]) -> Standing:
    met = data.get("met")
    if not isinstance(met, bool):
        raise ValueError(f"{met!r} does not say whether a quorum is met")
    return Standing(met, _time(data.get("since")))


def _hold(data: Mapping[str, object]) -> Hold:
    servers = data.get("servers")
    if not isinstance(servers, list) or not all(map(_is_name, servers)):
        raise ValueError(f"{servers!r} is no list of servers")
    return Hold(_time(data.get("since")), tuple(servers))


def _mapping(data: object) -> Mapping[str, object]:
    if not isinstance(data, dict):
        raise ValueError(f"{data!r} is no memory of a service")
    return data


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= NAME_CHARACTERS_MAX


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no time")
    return float(value)
