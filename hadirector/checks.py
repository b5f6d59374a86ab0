"""Between the configuration and the checks: what is checked, what counts as up at first, and what
the verdict on a server means for a pool. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from checkers.base import Advice, Target, Way
from checkers.check import Check
from checkers.health import State
from checkers.view import CheckView
from hadirector import pool
from hadirector.config.model import HealthCheck, Server, Service, labels
from hadirector.ipvs.model import Destination, Table, VirtualAddress
from hadirector.slow_start import Back
from hadirector.turnover import Turnover, keys_of

_SEPARATOR = " "  # between a server's key and a check's label; in no server key


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One check of a server."""

    label: str
    advisory: bool
    view: CheckView

    @property
    def counts(self) -> bool:
        """Whether it can take the server out."""
        return not self.advisory


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerView:
    """What the checks of one server say together, and each by itself."""

    state: State
    since: float
    """Unix time since when the state holds."""
    sentence: str
    outlook: str
    parts: tuple[Part, ...]

    @property
    def counting(self) -> int:
        """How many of its checks can take it out: at least one."""
        return sum(part.counts for part in self.parts)

    @classmethod
    def of_one(cls, view: CheckView) -> ServerView:
        """Of a server with one check: what that one says."""
        return cls(
            state=view.state,
            since=view.since,
            sentence=view.sentence,
            outlook=view.outlook,
            parts=(Part(label="", advisory=False, view=view),),
        )


@dataclass(frozen=True, slots=True)
class ServerChecks:
    """The checks of one server, those that count first. Equal keys: `server_key`, or with label."""

    checks: tuple[Check, ...]
    advisory: int = 0
    """How many of them, the last ones, only warn."""
    require: int = 0
    """How many of those that count must pass; 0: all."""

    def named(self, key: str) -> tuple[str, bool]:
        """The label of a check of these, and whether it only warns."""
        place = [check.key for check in self.checks].index(key)
        return label_of(key), place >= len(self.checks) - self.advisory

    def parts(self, views: Mapping[str, CheckView]) -> tuple[Part, ...]:
        """Each with what is known of it."""
        found = ((check.key, *self.named(check.key)) for check in self.checks)
        return tuple(
            Part(label=label, advisory=advisory, view=views[key]) for key, label, advisory in found
        )


def server_of(key: str) -> str:
    """The server that a check is of, by the check's key."""
    return key.partition(_SEPARATOR)[0]


def label_of(key: str) -> str:
    """The label of a check among several, by the check's key; nothing if it is the only one."""
    return key.partition(_SEPARATOR)[2]


def checks_of(services: Iterable[Service]) -> dict[str, ServerChecks]:
    """The checks that these services ask for, by server_key."""
    found: dict[str, ServerChecks] = {}
    for service in services:
        for server in service.checked:
            asked = service.checks_of(server)
            key = pool.server_key(service, server)
            target = Target(server.address, server.port, service=service.name)
            names = labels(asked) if len(asked) > 1 else ("",)
            found[key] = ServerChecks(
                tuple(
                    Check(
                        f"{key}{name and _SEPARATOR + name}",
                        target,
                        each.options,
                        each.timing,
                        _through(service, server, each) if each.options.through_vip else None,
                    )
                    for each, name in zip(asked, names, strict=True)
                ),
                sum(each.advisory for each in asked),
                service.required_of(server),
            )
    return found


def _through(service: Service, server: Server, check: HealthCheck) -> Target | None:
    """The service's address, with the mark that leads to this server."""
    listen, options = service.listen, check.options
    if not isinstance(listen, VirtualAddress):
        return None
    way = Way(options.source, None, server.probe_mark, server.address)
    return Target(listen.address, options.port or listen.port, way)


def checks_after(before: Mapping[str, ServerChecks], turn: Turnover) -> dict[str, ServerChecks]:
    """All checks by server_key; those of services that stayed are the same objects as before."""
    checks = dict(before)
    for key in keys_of(turn.left):
        del checks[key]
    checks.update(checks_of(turn.fresh))
    return checks


def serving(services: Iterable[Service], actual: Table, drained: Collection[str] = ()) -> set[str]:
    """The servers of these services that the kernel sends clients to already.

    Those of `drained` (server keys) have weight 0 by order, and were up when they were drained: to
    hold them for unknown after a restart would cut the connections that a drain is to spare.
    """
    return {
        key
        for key, places in _in_table(services, actual)
        if any(each.usable or key in drained for each in places)
    }


def quiet(services: Iterable[Service], actual: Table) -> set[str]:
    """The servers of these services that the kernel has with weight 0.

    Drained by their own wish, by `on_stop: drain`, by the file: nobody knows whether they are up,
    but they may have connections, which they keep until their checks have spoken.
    """
    return {
        key
        for key, places in _in_table(services, actual)
        if places and not any(each.usable for each in places)
    }


def _in_table(
    services: Iterable[Service], actual: Table
) -> Iterator[tuple[str, list[Destination]]]:
    """Each server by its key, with the kernel's entries for it."""
    for service in services:
        entries = [(key, actual[key]) for key in service.listens if key in actual]
        for server in service.checked:
            places = (entry.destinations.get(server.behind(at)) for at, entry in entries)
            there = [each for each in places if each is not None]
            yield pool.server_key(service, server), there


def health_of(
    view: ServerView, advice: Advice | None = None, back: Back | None = None
) -> pool.Health:
    """What its checks say, in the words of the pool; `advice` is that of its last pass.

    `back`: since it came back after it had been away; of several checks, a pass of each is one.
    """
    up = None if view.state is State.UNKNOWN else view.state is State.UP
    if back is not None:
        back = replace(back, passes=back.passes // view.counting)
    return pool.Health(up, view.sentence, advice, back)
