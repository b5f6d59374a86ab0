"""A file read again after a small change: only the services around the change are looked at.

The problem: a reload with one server changed must not cost the reading of ten thousand. The
approach: of the last reading, the lines of each service are known (`Layout`). Where the text now
differs inside the list of services only, the unchanged ones are blanked out, and what is left goes
through the ordinary reading, with all rules; the unchanged services come from the last reading.

Why that is exact: YAML's reader is in the same state wherever a service of the list begins. So what
stands before the change reads as before, and so does what follows it, if the first service after
the change is seen to begin where it should, which is looked at. Anchors within the list, included
files and line ends other than LF are left to the ordinary reading. So is every finding: this way
either yields the same as `load`, or nothing.

Never: a finding of its own; a guess.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress, pairwise
from operator import ne
from pathlib import Path

from hadirector.config.codec import service_to_json
from hadirector.config.include import FILE_BYTES_MAX
from hadirector.config.loader import Loaded, Reading, read, read_text
from hadirector.config.model import Config, HealthCheck, Service
from hadirector.config.nodes import Mapping
from hadirector.config.nodes import Sequence as ListNode
from hadirector.garbage import without_collection
from hadirector.ipvs.model import FirewallMark, ServiceKey

_OTHER_LINE_ENDS = ("\r", "\x85", "\u2028", "\u2029")
_SERVICES = "services"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the services of a text are. Lines count from 0; the last service ends before `end`."""

    lines: tuple[str, ...]
    starts: tuple[int, ...]
    end: int
    keys: tuple[tuple[str, int], ...]  # of the file, with their lines


@dataclass(frozen=True, slots=True)
class _Window:
    """The services to read anew, and the same in the new text.

    `sentinel`: one more that follows, which has to begin where it did.
    """

    first: int
    last: int
    sentinel: bool
    shift: int
    text: str


@dataclass(frozen=True, slots=True)
class _Past:
    """The last reading that can be built upon."""

    layout: Layout
    services: tuple[Service, ...]
    texts: tuple[str, ...]  # `service_to_json` of each
    checks: tuple[tuple[HealthCheck, ...], ...]  # of each, every one once
    taken: frozenset[str | int | ServiceKey]  # what no two services may have (`_unique_of`)


class Reader:
    """Reads one file again and again. Not for two threads at once."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._past: _Past | None = None

    def load(self, known: Config | None = None) -> Loaded:
        """The same as `loader.load`; services equal to those of `known` are the same objects."""
        with without_collection():
            past = self._past
            if past is not None and (lines := _lines(self._file)) is not None:
                loaded = self._changed(past, lines)
                if loaded is not None:
                    return loaded
            return self._whole(known)

    def _whole(self, known: Config | None) -> Loaded:
        reading = read(Path(self._file))
        if reading.config is None:
            self._past = None
            return reading.loaded()
        config = _sharing(reading.config, known)
        texts = tuple(map(service_to_json, config.services))
        layout = _layout_of_file(reading)
        checks = tuple(map(_checks_of, config.services))
        taken = frozenset(key for service in config.services for key in _unique_of(service))
        self._past = (
            None if layout is None else _Past(layout, config.services, texts, checks, taken)
        )
        return _loaded(reading, config, texts)

    def _changed(self, past: _Past, lines: tuple[str, ...]) -> Loaded | None:
        """What came of the file, by way of what changed; None where that is not certain."""
        window = _window(past.layout, lines)
        if window is None:
            return None
        kept = past.services[: window.first] + past.services[window.last + 1 :]
        checks = past.checks[: window.first] + past.checks[window.last + 1 :]
        reading = read_text(window.text, self._file, kept)
        config = reading.config
        part = _layout_of(reading, window.text.split("\n"))
        if config is None or part is None or not _fits(past.layout, part, window):
            return None
        fresh, after = list(config.services), past.services[window.last + 1 :]
        if window.sentinel and fresh.pop() != after[0]:
            return None
        before = {one.name: one for one in past.services[window.first : window.last + 1]}
        fresh = [before[one.name] if one == before.get(one.name) else one for one in fresh]
        taken = _together(past.taken, before.values(), fresh)
        if taken is None or not _all_possible(checks):
            return None
        count = len(fresh)
        services = (*past.services[: window.first], *fresh, *after)
        texts = (
            *past.texts[: window.first],
            *map(service_to_json, fresh),
            *past.texts[window.last + 1 :],
        )
        checks = (
            *past.checks[: window.first],
            *map(_checks_of, fresh),
            *past.checks[window.last + 1 :],
        )
        starts = (
            *past.layout.starts[: window.first],
            *part.starts[:count],
            *(start + window.shift for start in past.layout.starts[window.last + 1 :]),
        )
        layout = Layout(lines, starts, past.layout.end + window.shift, part.keys)
        self._past = _Past(layout, services, texts, checks, taken)
        reading.texts[self._file] = "\n".join(lines)
        return _loaded(reading, replace(config, services=services), texts)


def _loaded(reading: Reading, config: Config, texts: tuple[str, ...]) -> Loaded:
    return replace(reading.loaded(), config=config, services_json=texts)


def _sharing(config: Config, known: Config | None) -> Config:
    """The same configuration with the services of another one where they are equal."""
    if known is None:
        return config
    others = {service.name: service for service in known.services}
    shared = (others[one.name] if others.get(one.name) == one else one for one in config.services)
    return replace(config, services=tuple(shared))


def _lines(file: str) -> tuple[str, ...] | None:
    """The lines of a file that can be read; why one cannot is told by the ordinary reading."""
    try:
        with Path(file).open("rb") as stream:
            # Never more than is there: room for the largest file is new memory each time.
            size = min(os.fstat(stream.fileno()).st_size, FILE_BYTES_MAX)
            data = stream.read(size + 1)
        text = data.decode("utf-8-sig")
    except (OSError, ValueError):
        return None
    if len(data) > size or any(end in text for end in _OTHER_LINE_ENDS):
        return None
    return tuple(text.split("\n"))


def _layout_of_file(reading: Reading) -> Layout | None:
    """The layout of a whole file, if it is one that can be read in parts."""
    if len(reading.texts) != 1:
        return None
    [text] = reading.texts.values()
    if any(end in text for end in _OTHER_LINE_ENDS):
        return None
    layout = _layout_of(reading, text.split("\n"))
    if layout is None or any("&" in line for line in layout.lines[layout.starts[0] : layout.end]):
        return None
    return layout


def _layout_of(reading: Reading, lines: Sequence[str]) -> Layout | None:
    """Where the services are; None unless each begins with a dash on a line of its own."""
    top = reading.top
    if top is None or not isinstance(top.draft.node, Mapping):
        return None
    if any(found.path.startswith(_SERVICES) for found in reading.findings):
        return None  # its place would have to move with the lines
    root = top.draft.node
    if not isinstance(root.entries.get(_SERVICES), ListNode) or not top.services:
        return None
    places = [service.draft.node.place for service in top.services]
    dash = lines[places[0].line - 1].find("-")
    for place in places:
        line = lines[place.line - 1]
        if line[: dash + 1].strip(" ") != "-" or line[dash + 1 : place.column - 1].strip(" "):
            return None
        if place.column < dash + 3:
            return None
    starts = tuple(place.line - 1 for place in places)
    keys = tuple((name, key.place.line - 1) for name, key in root.keys.items())
    ascending = all(one < other for one, other in pairwise(starts))
    if not ascending or root.keys[_SERVICES].place.line - 1 >= starts[0]:
        return None
    end = min((line for _, line in keys if line > starts[-1]), default=len(lines))
    return Layout(tuple(lines), starts, end, keys)


def _window(layout: Layout, lines: tuple[str, ...]) -> _Window | None:
    """What to read anew; None if more changed than the services."""
    before, count = layout.lines, min(len(layout.lines), len(lines))
    same = _alike(before, lines, count)
    tail = _alike(reversed(before), reversed(lines), count - same)
    changed_end, shift = len(before) - tail, len(lines) - len(before)
    starts, end = layout.starts, layout.end
    first = bisect_right(starts, same - 1) - 1
    if same == len(before) == len(lines):
        first, changed_end = 0, starts[0]  # nothing changed: one service stands for all
    if first < 0 or changed_end > end:
        return None
    last = min(bisect_right(starts, changed_end) - 1, len(starts) - 1)
    sentinel = last + 1 < len(starts)
    stop = (starts[last + 2] if last + 2 < len(starts) else end) + shift
    fresh = lines[starts[first] : stop]
    if any("&" in line for line in fresh):
        return None
    text = "\n".join(
        (
            *lines[: starts[0]],
            *[""] * (starts[first] - starts[0]),
            *fresh,
            *[""] * (end + shift - stop),
            *lines[end + shift :],
        )
    )
    return _Window(first, last, sentinel, shift, text)


def _alike(one: Iterable[str], other: Iterable[str], most: int) -> int:
    """How many lines are the same from the start on; at most so many are looked at."""
    return next(compress(range(most), map(ne, one, other)), most)


def _fits(whole: Layout, part: Layout, window: _Window) -> bool:
    """Whether the part begins and goes on where the whole does."""
    keys = tuple(
        (name, line + window.shift if line >= whole.end else line) for name, line in whole.keys
    )
    follows = not window.sentinel or (
        part.starts[-1] == whole.starts[window.last + 1] + window.shift
    )
    return part.starts[0] == whole.starts[window.first] and follows and part.keys == keys


def _checks_of(service: Service) -> tuple[HealthCheck, ...]:
    """All checks that a service asks for, each once."""
    checks = {id(check): check for check in (service.check, *service.more_checks)}
    for server in service.checked:
        if server.check is not None:
            checks[id(server.check)] = server.check
        for check in server.more_checks:
            checks[id(check)] = check
    return tuple(checks.values())


def _all_possible(checks: Iterable[tuple[HealthCheck, ...]]) -> bool:
    """Whether the host has what these checks need; most services share theirs."""
    distinct = {id(check): check for of_service in checks for check in of_service}
    return not any(True for each in distinct.values() for _ in each.options.problems_here())


def _unique_of(service: Service) -> Iterator[str | int | ServiceKey]:
    """What no other service may have: the name, what it listens on, the marks of packets."""
    yield service.name
    for key in service.listens:
        yield key
        if isinstance(key, FirewallMark):
            yield key.mark
    for server in service.checked:
        if server.probe_mark:
            yield server.probe_mark


def _together(
    taken: frozenset[str | int | ServiceKey], before: Iterable[Service], fresh: Iterable[Service]
) -> frozenset[str | int | ServiceKey] | None:
    """What is taken once some services have others in their place; None where two would clash."""
    left = taken.difference(key for service in before for key in _unique_of(service))
    wanted = {key for service in fresh for key in _unique_of(service)}
    return left | wanted if left.isdisjoint(wanted) else None
