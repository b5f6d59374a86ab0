"""What a check worker and the process it works for say to each other: one JSON array a line.

The problem: probes are made in other processes, and neither side may believe what the other says
without looking: code that comes as data must not run, and after an upgrade of the files on disk a
new worker may be of another version than who started it. The approach: a handful of values, each a
line on a socketpair, first of all `Begin` with the version; a check travels as the name of its kind
and its options, which are values of JSON, addresses, tuples and mappings. Many checks share their
options: these go once for each message.

A probe goes by a number that is never used twice between two processes, so that what is still under
way for one that was dropped is told from what comes of its successor.

Reading is strict: what is no message raises `WireError`. Must never do I/O.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from checkers.base import ANY_WAY, Advice, CheckersError, ProbeError, Reason, Result, Target, Way
from checkers.check import Check
from checkers.options import CheckOptions
from checkers.registry import KINDS
from checkers.strict import as_number, as_text, as_whole
from checkers.timing import Timing

VERSION = 1
"""Of the messages and of what the options mean: a worker that has another one refuses to begin."""

_ADDRESS = "address"
_MAPPING = "mapping"


class WireError(CheckersError, ValueError):
    """That is none of our messages, or a value that none of them can carry."""


@dataclass(frozen=True, slots=True)
class Begin:
    """To a worker, first of all."""

    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Assigned:
    """One probe for a worker. `check` goes by the digest, and its target is where it goes."""

    number: int
    digest: str
    check: Check
    interval_s: float


@dataclass(frozen=True, slots=True)
class Take:
    """To a worker: make these; one that is made already comes soon, and at this pace."""

    probes: Sequence[Assigned]


@dataclass(frozen=True, slots=True)
class Pace:
    """To a worker: seconds from one probe to the next, by the numbers of those that change."""

    intervals_s: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Drop:
    """To a worker: make these no more."""

    numbers: Sequence[int]


@dataclass(frozen=True, slots=True)
class Stop:
    """To a worker: end."""


@dataclass(frozen=True, slots=True)
class Refused:
    """From a worker: it has another version than it was told, and ends."""

    version: int


@dataclass(frozen=True, slots=True)
class Found:
    """From a worker: what came of probes, by their numbers, in the order of their ends."""

    outcomes: Sequence[tuple[int, Result | ProbeError]]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """From a worker: still alive."""

    late_s: float
    """The most that a probe began late since the last one, in seconds."""
    in_flight: int
    """Probes under way."""


Message = Begin | Take | Pace | Drop | Stop | Refused | Found | Heartbeat


def travels(options: CheckOptions) -> bool:
    """Whether options can be told to a worker; those of another package may hold anything."""
    try:
        _told(options)
    except (WireError, KeyError):
        return False
    return True


def encode(message: Message) -> bytes:
    """The message as one line. Raises WireError for a check whose options do not travel."""
    body: list[object]
    match message:
        case Begin(version) | Refused(version):
            body = [version]
        case Take(probes):
            body = _taking(probes)
        case Pace(intervals_s):
            body = [[number, interval_s] for number, interval_s in intervals_s.items()]
        case Drop(numbers):
            body = list(numbers)
        case Stop():
            body = []
        case Found(outcomes):
            body = [_outcome_told(number, outcome) for number, outcome in outcomes]
        case Heartbeat(late_s, in_flight):
            body = [late_s, in_flight]
    text = json.dumps([type(message).__name__, *body], separators=(",", ":"))
    return text.encode() + b"\n"


def decode(line: bytes) -> Message:
    """The message of a line. Raises WireError."""
    try:
        name, *body = json.loads(line)
        return _READERS[name](body)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise WireError(f"not a message: {line[:80]!r}: {error!r}") from error


# Checks

_Json = Any  # what `json` makes of a line: looked at before it is used


def _taking(probes: Sequence[Assigned]) -> list[object]:
    """First each combination of options and timing once, then the probes by its place."""
    places: dict[tuple[int, int], int] = {}
    asked: list[object] = []
    rows: list[object] = []
    for one in probes:
        check = one.check
        same = (id(check.options), id(check.timing))
        if same not in places:
            places[same] = len(asked)
            asked.append([*_told(check.options), _written(check.timing)])
        where = _target_told(check.endpoint)
        rows.append([one.number, one.digest, places[same], one.interval_s, *where])
    return [asked, rows]


def _taken(body: list[_Json]) -> Take:
    asked, rows = body
    known = [
        (KINDS[kind](**_values(options)), Timing(**_values(timing)))
        for kind, options, timing in asked
    ]
    probes = []
    for number, digest, place, interval_s, *where in rows:
        options, timing = known[place]
        target = _target(where)
        check = Check(as_text(digest), target, options, timing, via=target)
        probes.append(Assigned(as_whole(number), digest, check, as_number(interval_s)))
    return Take(probes)


def _told(options: CheckOptions) -> tuple[str, dict[str, object]]:
    kind = options.kind
    if not kind or KINDS[kind] is not type(options):
        raise WireError(f"{type(options).__name__} is no kind of check")
    return kind, _written(options)


def _written(values: CheckOptions | Timing) -> dict[str, object]:
    """What is not as by default."""
    found = ((item, getattr(values, item.name)) for item in fields(values))
    return {
        item.name: _plain(value)
        for item, value in found
        if value != item.default or type(value) is not type(item.default)
    }


def _values(written: Mapping[str, object]) -> dict[str, Any]:
    return {name: _value(item) for name, item in written.items()}


def _plain(value: object) -> object:
    """As JSON; what JSON has not is an object with one entry that says what it is."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, IPv4Address | IPv6Address):
        return {_ADDRESS: str(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {_MAPPING: {key: _plain(item) for key, item in value.items()}}
    raise WireError(f"a {type(value).__name__} does not travel")


def _value(data: object) -> object:
    if isinstance(data, list):
        return tuple(map(_value, data))
    if not isinstance(data, dict):
        return data
    ((what, inner),) = data.items()
    if what == _ADDRESS:
        return ip_address(inner)
    if what == _MAPPING:
        return {key: _value(item) for key, item in inner.items()}
    raise WireError(f"no value is {what!r}")


def _target_told(target: Target) -> list[object]:
    told: list[object] = [str(target.address), target.port, target.service]
    if target.way != ANY_WAY:
        way = target.way
        told.append([_plain(item) for item in (way.source, way.interface, way.mark, way.server)])
    return told


def _target(data: list[_Json]) -> Target:
    address, port, service, *ways = data
    way = ANY_WAY
    if ways:
        ((source, interface, mark, server),) = ways
        way = Way(_value(source), interface, mark, _value(server))  # type: ignore[arg-type]
    return Target(ip_address(as_text(address)), as_whole(port), way, as_text(service))


# What came of probes


def _outcome_told(number: int, outcome: Result | ProbeError) -> list[object]:
    if isinstance(outcome, ProbeError):
        return [number, str(outcome)]
    told: list[object] = [
        number,
        outcome.healthy,
        str(outcome.reason),
        outcome.sentence,
        outcome.latency_ms,
        outcome.at,
    ]
    if outcome.decisive or outcome.advice is not None or outcome.transcript:
        advice = outcome.advice
        asked = None if advice is None else [advice.weight, advice.percent, advice.drain]
        told += [outcome.decisive, asked, outcome.transcript]
    return told


def _outcome(row: list[_Json]) -> tuple[int, Result | ProbeError]:
    number, *rest = row
    if len(rest) == 1:
        return as_whole(number), ProbeError(as_text(rest[0]))
    healthy, reason, sentence, latency_ms, at, *more = rest
    decisive, asked, transcript = more or (False, None, ())
    if not isinstance(healthy, bool) or not isinstance(decisive, bool):
        raise WireError("neither yes nor no")
    advice = None
    if asked is not None:
        weight, percent, drain = asked
        advice = Advice(weight=weight, percent=percent, drain=drain)
    return as_whole(number), Result(
        healthy=healthy,
        reason=_REASONS[reason],
        sentence=as_text(sentence),
        latency_ms=as_number(latency_ms),
        at=as_number(at),
        decisive=decisive,
        advice=advice,
        transcript=tuple(map(as_text, transcript)),
    )


_REASONS: Mapping[str, Reason] = {str(one): one for one in Reason}


def _heartbeat(body: list[_Json]) -> Heartbeat:
    late_s, in_flight = body
    return Heartbeat(as_number(late_s), as_whole(in_flight))


def _one_whole(body: list[_Json]) -> int:
    (version,) = body
    return as_whole(version)


_READERS: Mapping[str, Callable[[list[_Json]], Message]] = {
    "Begin": lambda body: Begin(_one_whole(body)),
    "Take": _taken,
    "Pace": lambda body: Pace({as_whole(one): as_number(pace) for one, pace in body}),
    "Drop": lambda body: Drop([as_whole(one) for one in body]),
    "Stop": lambda _: Stop(),
    "Refused": lambda body: Refused(_one_whole(body)),
    "Found": lambda body: Found([_outcome(row) for row in body]),
    "Heartbeat": _heartbeat,
}
