"""What becomes of the services from one configuration to the next. Pure.

The problem: of ten thousand servers a reload changes one, and everybody who keeps something of each
would look through all of them for it. The approach: the two configurations are compared once, by
identity, since a reading keeps the objects of what stayed (`config.again`). Whoever keeps something
is told which services left and which are fresh; one that changed is both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import compress
from operator import attrgetter, is_not

from hadirector.config.model import Service
from hadirector.pool import server_key


@dataclass(frozen=True, slots=True)
class Turnover:
    """From the services of one configuration to those of the next."""

    services: Mapping[str, Service] = field(default_factory=dict)
    """Those of now by name, in the order of the configuration."""
    left: tuple[Service, ...] = ()
    fresh: tuple[Service, ...] = ()
    reordered: bool = False
    """Whether the names, or their order, are not those of before."""

    @property
    def gone(self) -> list[str]:
        """The names that are not there any more."""
        return [service.name for service in self.left if service.name not in self.services]


def turnover(before: Mapping[str, Service], services: Iterable[Service]) -> Turnover:
    """Compare; `before` by name."""
    after = tuple(services)
    now = dict(zip(map(attrgetter("name"), after), after, strict=True))
    return Turnover(
        now,
        _not_in(now, before),
        _not_in(before, now),
        list(before) != list(now),
    )


def _not_in(others: Mapping[str, Service], services: Mapping[str, Service]) -> tuple[Service, ...]:
    """The services that the others do not have as the very same objects."""
    same_name = map(others.get, services)
    return tuple(compress(services.values(), map(is_not, same_name, services.values())))


def keys_of(services: Iterable[Service]) -> set[str]:
    """The `server_key` of every server of these services."""
    return {server_key(service, each) for service in services for each in service.checked}
