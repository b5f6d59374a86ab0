"""From the health of the real servers to the table the kernel should have, with a reason each.

For every service this answers: which servers belong into the table, with which weight, and *why*.
It is a pure function of the configuration and of what the checks say, so a start, a reload, a
repair and a change of health all go through it and cannot disagree.

A server that no check has passed yet gets no clients (it is *unknown*, not up), nor does one that
is down: both are out of the table, or in it with weight 0 where the file says so (`on_fail`). One
that is up has its configured weight, or the one it asks for itself through a check that can carry
it (agent, script, file); with weight 0 it is drained: the connections it has go on. What an
administrator orders by hand (`Override`) is a layer of its own, above both: it takes a server out,
drains it or gives it another weight, and never brings one in that its check does not hold for up.

A fallback server serves when no server takes new connections, the first in the file that is up;
while servers are still unknown it waits, so that a start does not flash the fallback page at the
clients. With `when_lost: fallback` it serves as soon as the quorum is lost, too, and those that are
still up are drained; never without a fallback server that can.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from checkers.base import Advice
from hadirector.config import model as config
from hadirector.ipvs import model as ipvs
from hadirector.on_fail import OnFail
from hadirector.quorum import WhenLost
from hadirector.slow_start import Back, Grown, grown
from hadirector.steering import Course


@dataclass(frozen=True, slots=True)
class Health:
    """What the checks of one server say: up, down, or None while they have said nothing yet."""

    up: bool | None
    reason: str
    advice: Advice | None = None  # of a server that is up: the weight it asks for
    back: Back | None = None  # None: it was never away
    quiet: bool = False  # while nothing is known: it was found in the table with weight 0
    held: str = ""  # why it keeps its weight although it is down, by the brake; "": it does not
    course: Course | None = None  # of a server whose weight is steered
    mean_ms: float | None = None  # how quickly it answers, where its weight depends on that


class Order(StrEnum):
    """What an administrator may order for one server, whatever its check says."""

    DRAIN = "drain"  # weight 0 while it is up: no new connections, the present ones go on
    DISABLE = "disable"  # not in the table
    WEIGHT = "weight"  # this weight while it is up


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """An order that holds until it is taken back."""

    order: Order
    weight: int | None = None  # of Order.WEIGHT alone
    by: str  # who gave it
    since: float  # unix time, seconds
    until_connections: int | None = None  # of Order.DRAIN: disabled with so many connections left
    deadline: float | None = None  # of Order.DRAIN: disabled then, unix time

    def __str__(self) -> str:
        """`drained by hand (root)`."""
        words = {Order.DRAIN: "drained", Order.DISABLE: "disabled"}
        told = f"{words.get(self.order, f'weight {self.weight}')} by hand ({self.by})"
        if self.until_connections is not None:
            told += f", until {self.until_connections} connections are left"
        if self.deadline is not None:
            told += f", for {self.deadline - self.since:.0f} s at most"
        return told

    @property
    def takes_no_new_connections(self) -> bool:
        """Whether a server under this order gets no new client."""
        return self.order is not Order.WEIGHT or self.weight == 0


Overrides = tuple[Override, ...]
"""Of one server: at most one that drains or disables it, then at most one weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One server of a service: whether it is in the table, with which weight, and why."""

    server: config.Server
    up: bool  # by its checks, and not disabled
    in_table: bool
    weight: int  # 0 while it is not in the table
    due: int = 0  # the weight it has once its slow start is over
    reason: str
    overrides: Overrides = ()
    advice: Advice | None = None  # what it asks for itself
    grows_in_s: float | None = None  # when to decide again, by its slow start
    held: bool = False  # it is down, and the brake does not believe that yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One service as it should be now."""

    service: config.Service
    members: tuple[Member, ...]
    fallbacks: tuple[Member, ...]
    up: int  # servers that are up and not disabled, the fallback servers not counted
    quorum_there: int  # what was counted for it, in its unit
    quorum_met: bool
    sentence: str
    quorum_since: float | None = None  # unix time; None before its checks have spoken
    given_up: bool = False  # without its quorum, a fallback server serves instead


_UNKNOWN = Health(None, "no check has run yet")
_SAID_UP = Health(True, "no check was asked")
PROBE_SCHEDULER = "rr"  # of one server
NO_OVERRIDES: Mapping[str, Overrides] = MappingProxyType({})


def server_key(service: config.Service, server: config.Server) -> str:
    """The name of a server in health states, messages and `explain`: `web/198.51.100.21:8080`."""
    return f"{service.name}/{server}"


def build(
    service: config.Service,
    health: Mapping[str, Health],
    overrides: Mapping[str, Overrides] = NO_OVERRIDES,
    *,
    quorum_before: bool | None = None,
    given_up_before: bool = False,
) -> Pool:
    """Decide one service. Both mappings are keyed by `server_key`.

    A server without health counts as unknown, one without overrides as it is configured.
    `quorum_before`: whether the quorum was met until now; None: nobody knows. `given_up_before`:
    whether a fallback server served for want of it, which a hold of the brake leaves as it is.
    """
    known = []
    for server in service.servers:
        key = server_key(service, server)
        known.append((server, health.get(key, _UNKNOWN), overrides.get(key, ())))
    return _decided(service, known, health, quorum_before, given_up_before)


def _decided(
    service: config.Service,
    known: Sequence[tuple[config.Server, Health, Overrides]],
    health: Mapping[str, Health],
    quorum_before: bool | None,
    given_up_before: bool,
) -> Pool:
    """What to do, by what is known of each server; `health` has that of the fallback servers."""
    members = tuple(_member(service, *one) for one in known)
    # The brake holds weights alone: a director whose link is gone is to lose its quorum.
    due = [member.due for member in members if member.up]
    held = sum(member.held for member in members)
    unknown = [orders for _, state, orders in known if state.up is None]
    quorum = service.quorum
    there = quorum.counted(due, len(members))
    quorum_met = quorum.is_met(there, quorum_before)
    # What will take no clients when it is up is not worth waiting for.
    awaited = sum(not any(order.takes_no_new_connections for order in o) for o in unknown)
    believed = not held or given_up_before
    given_up = not quorum_met and not awaited and believed and quorum.when_lost is WhenLost.FALLBACK
    usable = sum(member.weight > 0 for member in members)
    fallbacks = _fallbacks(service, health, usable=0 if given_up else usable, unknown=awaited)
    serving = next((one for one in fallbacks if one.in_table), None)
    if given_up and serving is not None:
        members = tuple(_given_up(member, serving) for member in members)
    elif given_up and usable:
        fallbacks = _fallbacks(service, health, usable=usable, unknown=0)
    sentence = f"{len(due)} of {len(members)} servers up, {quorum.told(there, met=quorum_met)}"
    if unknown:
        sentence += f", {len(unknown)} not checked yet"
    if held:
        sentence += f", the weights of {held} held by the brake"
    if overridden := sum(bool(member.overrides) for member in members):
        sentence += f", {overridden} overridden by hand"
    if serving is not None:
        sentence += f", fallback server {serving.server} serves"
    return Pool(
        service=service,
        members=members,
        fallbacks=fallbacks,
        up=len(due),
        quorum_there=there,
        quorum_met=quorum_met,
        sentence=sentence,
        given_up=given_up and serving is not None,
    )


def desired_table(pools: Iterable[Pool]) -> ipvs.Table:
    """The kernel table that these pools ask for."""
    return ipvs.Table.of(*(entry for pool in pools for entry in _entries(pool)))


def growth_in_s(pools: Iterable[Pool]) -> float | None:
    """In how many seconds a server in its slow start has earned more weight; None: none is."""
    soon = (member.grows_in_s for pool in pools for member in pool.members)
    return min((at for at in soon if at is not None), default=None)


def everything_up(service: config.Service) -> Pool:
    """The service as it is when all its servers are up: what `plan` and `apply` go by."""
    known = [(server, _SAID_UP, ()) for server in service.servers]
    return _decided(service, known, {}, quorum_before=None, given_up_before=False)


def _member(
    service: config.Service, server: config.Server, state: Health, orders: Overrides
) -> Member:
    disabled = any(order.order is Order.DISABLE for order in orders)
    up = bool(state.up) and not disabled
    held = not state.up and bool(state.held) and not disabled
    stays = not state.up and not held and not disabled and _stays(server, state)
    due = ordered_weight(server.weight, state.advice, orders) if up or held else 0
    if (up or held) and state.course is not None and not orders:
        due = state.course.weight
    start = _slow_start(service, due, state, orders)
    reason = state.reason + start.told
    if held:
        reason = f"{state.held}; its check: {reason}"
    if (state.up or held) and state.advice is not None:
        reason += f"; {describe(state.advice)}: weight {start.weight}, configured {server.weight}"
    if (up or held) and state.course is not None:
        reason += _steered(service, state, state.course)
    if stays:
        by = "on_fail" if server.on_fail is OnFail.WEIGHT_0 else "as it was found"
        reason += f"; stays with weight 0 ({by})"
    if orders:
        reason = f"{', '.join(map(str, orders))}; its check: {reason}"
    return Member(
        server=server,
        up=up,
        in_table=up or held or stays,
        weight=start.weight,
        due=due,
        reason=reason,
        overrides=orders,
        advice=state.advice,
        grows_in_s=start.next_in_s,
        held=held,
    )


def _stays(server: config.Server, state: Health) -> bool:
    """Whether a server that is not up is kept in the table for the connections that it has."""
    return server.on_fail is OnFail.WEIGHT_0 or (state.up is None and state.quiet)


def _steered(service: config.Service, state: Health, course: Course) -> str:
    """What a server's weight depends on besides, and where it is going."""
    told, rules = f"; steered: {course}", service.steering
    if state.mean_ms is None or rules is None or rules.latency is None:
        return told
    full_ms = rules.latency * 1000
    return f"{told}, answers in {state.mean_ms:.1f} ms (full weight up to {full_ms:g} ms)"


def _given_up(member: Member, instead: Member) -> Member:
    """A server of a service without its quorum: it keeps the connections that it has."""
    if not member.weight:
        return member
    why = f"; drained: the quorum is lost, {instead.server} serves instead"
    return replace(member, weight=0, grows_in_s=None, reason=member.reason + why)


def _slow_start(service: config.Service, due: int, state: Health, orders: Overrides) -> Grown:
    """What it gets of its weight for now; a weight by hand is given at once."""
    if state.back is None or any(order.order is Order.WEIGHT for order in orders):
        return Grown(due)
    return grown(due, service.slow_start, state.back)


def ordered_weight(configured: int, advice: Advice | None, orders: Overrides) -> int:
    """The weight of a server that is up, by what was ordered and by what it asks for itself.

    A weight by hand goes before any number that the server asks for; but one that asks for no new
    connections gets none, since it alone knows why.
    """
    if not orders:
        return advised_weight(configured, advice)
    if any(order.takes_no_new_connections for order in orders):
        return 0
    by_hand = next((order.weight for order in orders if order.weight is not None), None)
    if by_hand is None:
        return advised_weight(configured, advice)
    return by_hand if advised_weight(1, advice) else 0


def advised_weight(configured: int, advice: Advice | None) -> int:
    """The weight of a server that is up, by what it asks for itself.

    A share of its weight is rounded to the nearest, but only 0 % means none. A configured weight of
    0 is the operator's word, and no server talks itself out of it.
    """
    if advice is None or configured == 0:
        return configured
    if advice.drain or advice.percent == 0:
        return 0
    if advice.weight is not None:
        return advice.weight
    if advice.percent is not None:
        return max(1, (configured * advice.percent + 50) // 100)
    return configured


def describe(advice: Advice) -> str:
    """What a server asks for, in words."""
    if advice.drain:
        return "it asks to be drained"
    if advice.weight is not None:
        return f"it asks for weight {advice.weight}"
    if advice.percent is not None:
        return f"it asks for {advice.percent} % of its weight"
    return "it asks for nothing"


def _fallbacks(
    service: config.Service, health: Mapping[str, Health], *, usable: int, unknown: int
) -> tuple[Member, ...]:
    """The fallback servers, of which the first that is up serves if no server is `usable`."""
    wanted = not usable and not unknown
    members, serving = [], False
    for server in service.fallbacks:
        state = Health(True, "it is not checked")
        if server.check is not None:
            key = server_key(service, server)
            state = health.get(key, _UNKNOWN)
        serves = wanted and not serving and bool(state.up)
        reason = "serves: no server takes new connections"
        if usable:
            taking = f"{usable} of {len(service.servers)} servers take new connections"
            reason = f"not needed: {taking}"
        elif unknown:
            reason = f"waits: {unknown} servers have not been checked yet"
        elif serving:
            reason = "not needed: one before it in the file serves"
        elif not serves:
            reason = "cannot serve"
        if server.check is not None:
            reason += f"; its check: {state.reason}"
        serving = serving or serves
        members.append(
            Member(
                server=server,
                up=bool(state.up),
                in_table=serves,
                weight=server.weight if serves else 0,
                reason=reason,
            )
        )
    return tuple(members)


def _entries(pool: Pool) -> Iterator[tuple[ipvs.Service, list[ipvs.Destination]]]:
    """One of the kernel's services for each that the pool's listens on."""
    service = pool.service
    members = [*pool.members, *pool.fallbacks]
    present = [member for member in members if member.in_table]
    for key in service.listens:
        asked = ipvs.Service(key, service.scheduler, service.persistence, service.flags)
        yield asked, [_destination(service, key, one.server, one.weight) for one in present]
    for server in service.checked:
        if server.probe_mark:
            yield _for_probes(service, server)


def _for_probes(
    service: config.Service, server: config.Server
) -> tuple[ipvs.Service, list[ipvs.Destination]]:
    """The service by which this one server is probed, whatever its state."""
    key = ipvs.FirewallMark(server.probe_mark, service.listen.version)
    there = _destination(service, service.listen, server, 1)
    return ipvs.Service(key, PROBE_SCHEDULER), [replace(there, upper=0, lower=0)]


def _destination(
    service: config.Service, listen: ipvs.ServiceKey, server: config.Server, weight: int
) -> ipvs.Destination:
    return ipvs.Destination(
        server.behind(listen),
        service.forward if server.forward is None else server.forward,
        weight,
        server.upper,
        server.lower,
        server.tunnel,
    )
