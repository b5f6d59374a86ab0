"""What befalls a world: a list of values, drawn from the seed.

Each has its beginning and, where it ends, its duration, so that any of them can be left out and the
rest still makes sense: that is what `shrink` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.simulation.options import PRIORITIES, Options

FAULTS_MAX = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLoss:
    """A host is off for a while; nothing of it remains."""

    at_s: float
    host: str
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerKilled:
    """The worker process ends; the supervisor executes its will and starts another one."""

    at_s: float
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFrozen:
    """The worker process is stopped; the supervisor kills it if that takes too long."""

    at_s: float
    host: str
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPaused:
    """The whole host stands still, its supervisor too: a virtual machine that is moved."""

    at_s: float
    host: str
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLost:
    """A host's interface has no carrier."""

    at_s: float
    host: str
    link: int
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """On a link, some hosts are not heard by others; nobody's interface notices."""

    at_s: float
    link: int
    for_s: float
    unheard: frozenset[tuple[str, str]]
    """(sender, receiver)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconfigured:
    """A host gets another configuration for a group."""

    at_s: float
    host: str
    group: int
    priority: int | None = None
    preempt: bool | None = None
    interval_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A host's services are not ready for a while: it may not preempt."""

    at_s: float
    host: str
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerFails:
    """Something that a host's priority for a group depends on fails for a while."""

    at_s: float
    host: str
    group: int
    tracker: int
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """A host's configuration has a group no more, until it has it again."""

    at_s: float
    host: str
    group: int
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRemoved:
    """A group loses a virtual router, on each host within a while, and gets it back later."""

    at_s: float
    group: int
    link: int
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysRotated:
    """A new key is added on all hosts, then put first on all, then the old one is removed."""

    at_s: float
    step_s: float
    """From one of the three to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """Somebody sends again what he has recorded on a link, to all hosts."""

    at_s: float
    link: int
    back: float
    """How far back in what he has recorded: 0 the newest, 1 the oldest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forged:
    """Somebody who knows no key sends something made from what he has recorded."""

    at_s: float
    link: int
    back: float


Everywhere = Partition | MemberRemoved | KeysRotated | Replayed | Forged
"""What does not befall one host."""

Fault = (
    PowerLoss
    | WorkerKilled
    | WorkerFrozen
    | HostPaused
    | LinkLost
    | Partition
    | Reconfigured
    | Held
    | TrackerFails
    | Removed
    | MemberRemoved
    | KeysRotated
    | Replayed
    | Forged
)


def draw(options: Options) -> tuple[Fault, ...]:
    """The story of a world, in the order of time."""
    rng = Random(f"story of {options.seed}")
    possible = _DRAWN if options.keyed else _DRAWN[:-_OF_KEYS]
    kinds = rng.sample(possible, rng.randint(1, len(possible)))
    number = rng.randint(0, FAULTS_MAX)
    faults = [rng.choice(kinds)(rng, options) for _ in range(number)]
    return tuple(sorted(faults, key=lambda fault: fault.at_s))


def _when(rng: Random, options: Options) -> float:
    return rng.uniform(0, options.chaos_s)


def _host(rng: Random, options: Options) -> str:
    return rng.choice(options.hosts).name


def _duration(rng: Random, options: Options) -> float:
    return options.interval_s * rng.choice((0.1, 0.9, 2.0, 2.9, 3.1, 4.5, 8.0))


def _power_loss(rng: Random, options: Options) -> Fault:
    return PowerLoss(
        at_s=_when(rng, options), host=_host(rng, options), for_s=_duration(rng, options)
    )


def _worker_killed(rng: Random, options: Options) -> Fault:
    return WorkerKilled(at_s=_when(rng, options), host=_host(rng, options))


def _worker_frozen(rng: Random, options: Options) -> Fault:
    return WorkerFrozen(
        at_s=_when(rng, options), host=_host(rng, options), for_s=_duration(rng, options)
    )


def _host_paused(rng: Random, options: Options) -> Fault:
    return HostPaused(
        at_s=_when(rng, options), host=_host(rng, options), for_s=_duration(rng, options)
    )


def _link_lost(rng: Random, options: Options) -> Fault:
    return LinkLost(
        at_s=_when(rng, options),
        host=_host(rng, options),
        link=rng.choice(_links(options)),
        for_s=_duration(rng, options),
    )


def _partition(rng: Random, options: Options) -> Fault:
    names = [host.name for host in options.hosts]
    pairs = [(one, other) for one in names for other in names if one != other]
    if rng.random() < 0.5:  # two sides
        side = set(rng.sample(names, rng.randint(1, len(names) - 1)))
        unheard = {(one, other) for one, other in pairs if (one in side) != (other in side)}
        if rng.random() < 0.3:  # and only one of them is deaf
            unheard = {(one, other) for one, other in unheard if one in side}
    else:
        unheard = set(rng.sample(pairs, rng.randint(1, len(pairs))))
    return Partition(
        at_s=_when(rng, options),
        link=rng.choice(_links(options)),
        for_s=_duration(rng, options),
        unheard=frozenset(unheard),
    )


def _reconfigured(rng: Random, options: Options) -> Fault:
    at_s, host = _when(rng, options), _host(rng, options)
    group = rng.randrange(len(options.groups))
    what = rng.randrange(4)
    if what == 0:
        return Reconfigured(at_s=at_s, host=host, group=group, preempt=rng.choice((True, False)))
    if what == 1 and options.version == 3:
        interval_s = min(40.0, options.interval_s * rng.choice((1, 2, 3)))
        return Reconfigured(at_s=at_s, host=host, group=group, interval_s=round(interval_s, 2))
    priority = rng.choice((*PRIORITIES, 255))
    return Reconfigured(at_s=at_s, host=host, group=group, priority=priority)


def _held(rng: Random, options: Options) -> Fault:
    return Held(at_s=_when(rng, options), host=_host(rng, options), for_s=_duration(rng, options))


def _tracker_fails(rng: Random, options: Options) -> Fault:
    group = rng.randrange(len(options.groups))
    if not options.groups[group].trackers:
        return _held(rng, options)
    return TrackerFails(
        at_s=_when(rng, options),
        host=_host(rng, options),
        group=group,
        tracker=rng.randrange(len(options.groups[group].trackers)),
        for_s=_duration(rng, options),
    )


def _removed(rng: Random, options: Options) -> Fault:
    group = rng.randrange(len(options.groups))
    links = options.groups[group].links
    at_s, for_s = _when(rng, options), _duration(rng, options)
    if len(links) > 1 and rng.random() < 0.5:
        # Never the first one: it decides ties, and for a while only some of the hosts have it.
        return MemberRemoved(at_s=at_s, group=group, link=rng.choice(links[1:]), for_s=for_s)
    return Removed(at_s=at_s, host=_host(rng, options), group=group, for_s=for_s)


def _keys_rotated(rng: Random, options: Options) -> Fault:
    return KeysRotated(at_s=_when(rng, options), step_s=3 * options.interval_s)


def _replayed(rng: Random, options: Options) -> Fault:
    link = rng.choice(_links(options))
    return Replayed(at_s=_when(rng, options), link=link, back=rng.random())


def _forged(rng: Random, options: Options) -> Fault:
    link = rng.choice(_links(options))
    return Forged(at_s=_when(rng, options), link=link, back=rng.random())


def _links(options: Options) -> list[int]:
    return sorted({link for group in options.groups for link in group.links})


_DRAWN = (
    _power_loss,
    _worker_killed,
    _worker_frozen,
    _host_paused,
    _link_lost,
    _partition,
    _partition,
    _reconfigured,
    _held,
    _tracker_fails,
    _removed,
    _keys_rotated,
    _replayed,
    _forged,
)
_OF_KEYS = 3
"""The last ones need keys."""
