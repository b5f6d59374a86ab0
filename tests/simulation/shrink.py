"""A smaller world that breaks the same promise: fewer events, fewer hosts, a tamer network.

Each attempt changes one thing and lives the world again; what still breaks the same promise is
kept. The number of attempts is bounded, so that nobody waits long for an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from tests.simulation.options import Options
from tests.simulation.story import (
    Everywhere,
    Fault,
    MemberRemoved,
    Partition,
    Reconfigured,
    Removed,
    TrackerFails,
)
from tests.simulation.world import Outcome, World

ATTEMPTS_MAX: Final = 600

Case = tuple[Options, tuple[Fault, ...]]


def shrink(options: Options, story: tuple[Fault, ...], outcome: Outcome) -> Case:
    """Return the smallest case found that ends with the same invariant broken."""
    assert outcome.violation is not None
    invariant = outcome.violation.invariant
    best: Case = options, story
    attempts = 0
    found = True
    while found:
        found = False
        for case in _smaller(*best):
            attempts += 1
            if attempts > ATTEMPTS_MAX:
                return best
            violation = World(*case).run().violation
            if violation is not None and violation.invariant == invariant:
                best, found = case, True
                break
    return best


def _smaller(options: Options, story: tuple[Fault, ...]) -> Iterator[Case]:
    """All that is a little less, the boldest attempts first."""
    half = len(story) // 2
    if half > 1:
        yield options, story[:half]
        yield options, story[half:]
    for index in range(len(story)):
        yield options, story[:index] + story[index + 1 :]
    if len(options.hosts) > 2:
        for host in options.hosts:
            hosts = tuple(one for one in options.hosts if one is not host)
            yield replace(options, hosts=hosts), _without_host(story, host.name)
    if len(options.groups) > 1:
        for group in range(len(options.groups)):
            yield _without_group(options, story, group)
    for group, of_group in enumerate(options.groups):
        for link in of_group.links:
            if len(of_group.links) > 1:
                links = tuple(one for one in of_group.links if one != link)
                fewer = replace(of_group, links=links)
                groups = (*options.groups[:group], fewer, *options.groups[group + 1 :])
                yield replace(options, groups=groups), story
    for tamer in _tamer(options):
        if tamer != options:
            yield tamer, story


def _tamer(options: Options) -> Iterator[Options]:
    yield replace(options, loss=0.0)
    yield replace(options, duplicate=0.0)
    yield replace(options, wake_late_max_s=0.0)
    yield replace(options, settle_max_s=0.0)
    yield replace(options, start_max_s=0.0)
    yield replace(options, delay_min_s=options.delay_max_s)
    yield replace(options, delay_min_s=0.0005, delay_max_s=0.0005)
    yield replace(options, hosts=tuple(replace(host, clock_rate=1.0) for host in options.hosts))
    for number, host in enumerate(options.hosts):
        prompt = tuple(replace(one, preempt_delay_s=0.0) for one in host.memberships)
        usual = tuple(replace(one, interval_s=options.interval_s) for one in host.memberships)
        for memberships in (prompt, usual):
            hosts = list(options.hosts)
            hosts[number] = replace(host, memberships=memberships)
            yield replace(options, hosts=tuple(hosts))


def _without_host(story: tuple[Fault, ...], name: str) -> tuple[Fault, ...]:
    kept: list[Fault] = []
    for fault in story:
        if isinstance(fault, Partition):
            unheard = frozenset(pair for pair in fault.unheard if name not in pair)
            if unheard:
                kept.append(replace(fault, unheard=unheard))
        elif isinstance(fault, Everywhere) or fault.host != name:
            kept.append(fault)
    return tuple(kept)


def _without_group(options: Options, story: tuple[Fault, ...], group: int) -> Case:
    groups = options.groups[:group] + options.groups[group + 1 :]
    hosts = tuple(
        replace(host, memberships=host.memberships[:group] + host.memberships[group + 1 :])
        for host in options.hosts
    )
    kept: list[Fault] = []
    for fault in story:
        if not isinstance(fault, Reconfigured | TrackerFails | Removed | MemberRemoved):
            kept.append(fault)
        elif fault.group != group:
            kept.append(replace(fault, group=fault.group - (fault.group > group)))
    return replace(options, groups=groups, hosts=hosts), tuple(kept)
