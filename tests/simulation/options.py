"""What a world is like: its hosts, groups, network and clocks, drawn from a seed.

Every world is drawn anew as a whole (a swarm): one has two hosts and a perfect network, the next
five hosts, drifting clocks and a network that loses half of what it carries. Averages of everything
would find less than such extremes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from random import Random

from tests.simulation.weights import TRACKERS
from vrrp.config import IPInterface, RouterSettings
from vrrp.keys import HmacKey
from vrrp.packet import IPAddress
from vrrp.tracked import Tracker


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """How one host runs one group."""

    priority: int
    preempt: bool
    interval_s: float
    preempt_delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOptions:
    """Virtual routers that move together, one per link."""

    name: str
    links: tuple[int, ...]
    grouped: bool
    """Whether the configuration calls it a group; else it is one virtual router."""

    family: int = 4
    """The version of IP."""
    trackers: tuple[Tracker, ...] = ()

    def router(self, link: int) -> str:
        return f"{self.name}.{link}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """One director."""

    name: str
    octets: tuple[int, ...]
    """The last part of its address on each link; the order differs from link to link."""
    clock_rate: float
    """Its seconds per true second."""
    memberships: tuple[Membership, ...]
    """In the order of the groups."""

    wall_offset_s: float = 0.0
    """How far its wall clock is ahead; that counts for keyed hashes alone."""

    def source(self, link: int, family: int) -> IPAddress:
        if family == 6:
            return IPv6Address(f"fe80::{link}:{self.octets[link]}")
        return IPv4Address(f"192.0.{link}.{self.octets[link]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything about a world except what befalls it."""

    seed: int
    version: int
    """Of VRRP; in version 2 all have one interval, of whole seconds."""
    hosts: tuple[HostOptions, ...]
    groups: tuple[GroupOptions, ...]
    interval_s: float
    """What durations are drawn in proportion to."""
    chaos_s: float
    """How long things go wrong, before all is healed."""
    delay_min_s: float
    delay_max_s: float
    loss: float
    lost_in_a_row_max: int
    """A path that is not cut lets one through after so many losses: what bounds are made of."""
    duplicate: float
    wake_late_max_s: float
    """How late a timer of a healthy process may be."""
    settle_max_s: float
    """How long addresses follow behind the election."""
    start_max_s: float
    """How long a worker takes to start."""

    keyed: bool = False
    """Whether advertisements are signed."""

    def settings(
        self,
        host: HostOptions,
        group: int,
        membership: Membership,
        keys: tuple[HmacKey, ...] = (),
    ) -> list[RouterSettings]:
        """The settings of a group's virtual routers on a host."""
        options = self.groups[group]
        return [
            RouterSettings(
                name=options.router(link),
                version=self.version,
                vrid=group + 1,
                interface=f"eth{link}",
                advertise=membership.interval_s,
                addresses=(_virtual(link, group, options.family),),
                hmac_keys=keys if self.keyed else (),
                group=options.name if options.grouped else None,
                preempt=membership.preempt,
                preempt_delay=membership.preempt_delay_s,
                priority=membership.priority,
                source=host.source(link, options.family),
            )
            for link in options.links
        ]

    def __str__(self) -> str:
        shortest_ms, longest_ms = self.delay_min_s * 1000, self.delay_max_s * 1000
        late_ms, settle_ms = self.wake_late_max_s * 1000, self.settle_max_s * 1000
        world = f"""\
seed {self.seed}: {len(self.hosts)} hosts, {len(self.groups)} groups, VRRP version {self.version}
  chaos for {self.chaos_s:g} s
  network: delay {shortest_ms:.3g} to {longest_ms:.3g} ms, loss {self.loss:.0%} (at most \
{self.lost_in_a_row_max} in a row), duplicated {self.duplicate:.0%}
  hosts: timers late by up to {late_ms:.3g} ms, addresses by {settle_ms:.3g} ms, start in up to \
{self.start_max_s * 1000:.3g} ms"""
        lines = [world]
        lines += [
            f"  {one.name}: IPv{one.family} on links {', '.join(map(str, one.links))}"
            + _tracked(one)
            for one in self.groups
        ]
        if self.keyed:
            offsets = (f"{host.name} {host.wall_offset_s:+.1f} s" for host in self.hosts)
            lines.append(f"  signed; wall clocks: {', '.join(offsets)}")
        for host in self.hosts:
            told = "; ".join(
                f"{group.name} priority {one.priority} every {one.interval_s:g} s{_preemption(one)}"
                for group, one in zip(self.groups, host.memberships, strict=True)
            )
            lines.append(f"  {host.name}: clock x {host.clock_rate:.5f}; {told}")
        return "\n".join(lines)


def _listed(links: tuple[int, ...]) -> str:
    return ", ".join(map(str, links))


def _tracked(group: GroupOptions) -> str:
    told = [f"{one.name} {one.weight or 'fault'}" for one in group.trackers]
    return f", tracking {', '.join(told)}" if told else ""


def _virtual(link: int, group: int, family: int) -> IPInterface:
    if family == 6:
        return IPv6Interface(f"fe80::{link}:{200 + group}/64")
    return IPv4Interface(f"192.0.{link}.{200 + group}/24")


def _preemption(one: Membership) -> str:
    if not one.preempt:
        return " without preemption"
    return f" preempting after {one.preempt_delay_s:g} s" if one.preempt_delay_s else ""


PRIORITIES = (1, 50, 99, 100, 100, 101, 150, 200, 253, 254)


def draw(seed: int) -> Options:
    """The options of the world with this seed."""
    rng = Random(f"options of {seed}")
    interval_s = rng.choice((0.01, 0.03, 0.1, 0.1, 1.0, 1.0, 10.0))
    links = rng.choice((1, 1, 2, 3))
    groups = tuple(_draw_group(rng, name, links) for name in "ab"[: rng.choice((1, 1, 2))])
    more = Random(f"more options of {seed}")
    keyed = more.random() < 0.25
    hosts = rng.choice((2, 2, 2, 3, 3, 4, 5))
    drift = rng.choice((0.0, 0.0, 0.0001, 0.01))
    octets = [rng.sample(range(1, 100), hosts) for _ in range(links)]
    version = rng.choice((2, 3, 3)) if interval_s >= 1 else 3
    if version == 3:
        groups = tuple(replace(one, family=more.choice((4, 4, 6))) for one in groups)
    groups = tuple(replace(one, trackers=more.choice(TRACKERS)) for one in groups)
    manners = [_Manners.draw(rng, interval_s, version) for _ in groups]
    delay_max_s = rng.choice((0.0005, 0.0005, 0.1 * interval_s, 0.5 * interval_s, interval_s))
    delay_max_s = min(delay_max_s, interval_s)
    return Options(
        seed=seed,
        version=version,
        hosts=tuple(
            HostOptions(
                name=f"lb{number + 1}",
                octets=tuple(of_link[number] for of_link in octets),
                clock_rate=1 + rng.uniform(-drift, drift),
                memberships=tuple(one.membership(rng) for one in manners),
                wall_offset_s=more.uniform(-5.0, 5.0) if keyed else 0.0,
            )
            for number in range(hosts)
        ),
        groups=groups,
        interval_s=interval_s,
        chaos_s=interval_s * rng.choice((10, 20, 30, 40)),
        delay_min_s=rng.choice((0.0, 0.5, 1.0)) * delay_max_s,
        delay_max_s=delay_max_s,
        loss=rng.choice((0.0, 0.0, 0.02, 0.2, 0.5)),
        lost_in_a_row_max=rng.choice((1, 2, 3, 5)),
        duplicate=rng.choice((0.0, 0.0, 0.1, 0.5)),
        wake_late_max_s=rng.choice((0.0, 0.02, 0.2)) * interval_s,
        settle_max_s=rng.choice((0.0, 0.003)),
        start_max_s=rng.choice((0.0, 0.3)),
        keyed=keyed,
    )


@dataclass(frozen=True)
class _Manners:
    """How alike the hosts of one group are configured."""

    priorities: tuple[int, ...]
    preempt: tuple[bool, ...]
    intervals_s: tuple[float, ...]
    preempt_delays_s: tuple[float, ...]

    @classmethod
    def draw(cls, rng: Random, interval_s: float, version: int) -> _Manners:
        one = rng.choice(PRIORITIES)
        slower_s = min(2 * interval_s, 40.0) if version == 3 else interval_s
        return cls(
            rng.choice((PRIORITIES, PRIORITIES, (*PRIORITIES, 255), (one,), (254, 253))),
            rng.choice(((True,), (True,), (False,), (True, False))),
            rng.choice(((interval_s,), (interval_s,), (interval_s,), (interval_s, slower_s))),
            rng.choice(((0.0,), (0.0,), (0.0, 3 * interval_s))),
        )

    def membership(self, rng: Random) -> Membership:
        preempt = rng.choice(self.preempt)
        return Membership(
            priority=rng.choice(self.priorities),
            preempt=preempt,
            interval_s=rng.choice(self.intervals_s),
            preempt_delay_s=rng.choice(self.preempt_delays_s) if preempt else 0.0,
        )


def _draw_group(rng: Random, name: str, links: int) -> GroupOptions:
    chosen = tuple(sorted(rng.sample(range(links), rng.randint(1, links))))
    return GroupOptions(
        name=name, links=chosen, grouped=len(chosen) > 1 or rng.choice((True, False))
    )
