"""The pools of all services, each decided anew only where something changed.

The problem: with ten thousand servers, one change of health must not cost ten thousand decisions.
The approach: whoever sees a change names the server (`touch`), a new configuration its services
(`adopt`); what nobody named is as it was, since `pool.build` is pure. A server in its slow start is
looked at again when its weight grows.

Time (seconds of one monotonic clock) comes in as an argument. Never: I/O; a word to the kernel.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from checkers.base import Advice
from hadirector import pool
from hadirector.checks import ServerView, health_of
from hadirector.config.model import Server, Service
from hadirector.ipvs.model import ServiceKey
from hadirector.pool import Health, Overrides, Pool
from hadirector.reconciler import Changes
from hadirector.service_memory import Standing
from hadirector.slow_start import Returns
from hadirector.steering import Courses, by_latency, differs, moves_at, steered
from hadirector.turnover import Turnover, keys_of


class Pools:
    """What is decided about every service. `view` tells what the check of a server says.

    `held` tells why the brake holds the weight of a server; nothing where it does not.
    """

    def __init__(
        self,
        view: Callable[[str], ServerView],
        held: Callable[[str], str] = lambda _: "",
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._view = view
        self._held = held
        self._wall = wall
        self.services: Mapping[str, Service] = {}
        self._touched: dict[str, None] = {}  # names of services, in the order they were touched
        self._gone: set[ServiceKey] = set()
        self._grows_at: dict[str, float] = {}  # services with a server in its slow start
        self.advice: dict[str, Advice] = {}  # of each server's last pass, where it carried any
        self.returns = Returns()
        self._courses = Courses()
        self._steered: dict[str, tuple[Service, Server]] = {}  # those whose weight is steered
        self.by_name: dict[str, Pool] = {}  # in the order of the configuration
        self.quorums: dict[str, bool] = {}
        self._spoken: set[str] = set()  # the services whose quorum can be lost
        self.standings: dict[str, Standing] = {}  # theirs, and those of before a restart
        self._quiet: set[str] = set()
        self.swung: list[Pool] = []  # those whose quorum changed in the last `decide`

    def adopt(self, turn: Turnover, quiet: Collection[str] = ()) -> None:
        """Go by these services from now on.

        `quiet`: servers that are new, and found in the kernel's table with weight 0.
        """
        self.services = turn.services
        for service in turn.left:
            self._gone.update(service.kernel_keys)
        for service in turn.fresh:
            self._touched[service.name] = None
            self._gone.difference_update(service.kernel_keys)
        for name in turn.gone:
            self._spoken.discard(name)
            for kept in (self.by_name, self.quorums, self.standings, self._grows_at):
                kept.pop(name, None)
        if turn.reordered:
            self.by_name = {n: self.by_name[n] for n in self.services if n in self.by_name}
        self._adopt_servers(turn.left, turn.fresh, quiet)

    def _adopt_servers(
        self, left: Iterable[Service], fresh: Iterable[Service], quiet: Collection[str]
    ) -> None:
        gone = keys_of(left) - keys_of(fresh)
        self._quiet = (self._quiet | set(quiet)) - gone
        for key in gone & self.advice.keys():
            del self.advice[key]
        self.returns.forget(gone)
        steered = {
            pool.server_key(service, server): (service, server)
            for service in fresh
            if service.steering is not None
            for server in service.servers
        }
        # Another configured weight is the operator's word, and holds at once.
        for key in keys_of(left) & self._steered.keys():
            _, server = self._steered.pop(key)
            if key not in steered or steered[key][1].weight != server.weight:
                self._courses.forget(key)
        self._steered |= steered

    def recall(self, standings: Mapping[str, Standing]) -> None:
        """Go on from the quorums of before a restart: none is told that is as it was."""
        known = {name: one for name, one in standings.items() if name in self.services}
        self.standings = {**known, **self.standings}

    def touch(self, key: str) -> None:
        """Something about this server (its `server_key`) changed."""
        self._touched[key.partition("/")[0]] = None

    def measured(self, key: str, latency_ms: float) -> bool:
        """A probe of this server has passed; whether that gives it another weight to go to."""
        moves = self._moves(key, latency_ms)
        if not self._grows(key) and not moves:
            return False
        self.touch(key)
        return True

    def _grows(self, key: str) -> bool:
        """Count the pass; whether its slow start goes by that."""
        service = self.services.get(key.partition("/")[0])
        if service is None or not service.slow_start.passes:
            return False
        needed = service.slow_start.passes * self._view(key).counting
        return self.returns.passed(key, at_most=needed)

    def _moves(self, key: str, latency_ms: float) -> bool:
        """Count the latency; whether that is another weight to go to."""
        known = self._steered.get(key)
        if known is None or known[0].steering is None or known[0].steering.latency is None:
            return False
        service, server = known
        self._courses.measure(key, latency_ms)  # smoothed, and told on only where it matters
        course = self._courses.course(key)
        if course is None:
            return False
        wanted = self._wanted(key, server, service)
        return differs(course, wanted, server.weight, known[0].steering)

    def decide(self, overrides: Mapping[str, Overrides], now: float) -> Changes:
        """Decide what was touched, or has grown; what that changed, for the table."""
        for name, at in self._grows_at.items():
            if at <= now:
                self._touched[name] = None
        names = [name for name in self._touched if name in self.services]
        before = {name: self._quorum_before(name) for name in names}
        decided = [self._decide(self.services[name], overrides, now) for name in names]
        self.swung = [
            p
            for p in decided
            if p.service.name in self._spoken and before[p.service.name] is (not p.quorum_met)
        ]
        self._keep(decided)
        changes = Changes(tuple(decided), frozenset(self._gone))
        self._touched.clear()
        self._gone.clear()
        return changes

    def next_growth(self) -> float | None:
        """When the next server in its slow start has earned more weight; None: none is in it."""
        return min(self._grows_at.values(), default=None)

    def _decide(self, service: Service, overrides: Mapping[str, Overrides], now: float) -> Pool:
        health = {
            key: self._health(key, now)
            for key in (pool.server_key(service, server) for server in service.checked)
        }
        moves = self._steer(service, health, now)
        # Until it is met, or all its checks have spoken, there is no "before" but that of before a
        # restart: nothing was lost.
        name = service.name
        before = self.standings.get(name)
        was_met = None if before is None else before.met
        last = self.by_name.get(name)
        decided = pool.build(
            service,
            health,
            overrides,
            quorum_before=was_met,
            given_up_before=last is not None and last.given_up,
        )
        if decided.quorum_met or all(state.up is not None for state in health.values()):
            self._spoken.add(name)
        if name in self._spoken:
            if was_met is not decided.quorum_met:
                self.standings[name] = Standing(decided.quorum_met, self._wall())
            decided = replace(decided, quorum_since=self.standings[name].since)
        self._grows_at.pop(service.name, None)
        if (grows_in_s := pool.growth_in_s([decided])) is not None:
            moves.append(now + grows_in_s)
        if moves:
            self._grows_at[service.name] = min(moves)
        return decided

    def _quorum_before(self, name: str) -> bool | None:
        standing = self.standings.get(name)
        return self.quorums.get(name) if standing is None else standing.met

    def _health(self, key: str, now: float) -> pool.Health:
        advice, back = self.advice.get(key), self.returns.back(key, now)
        health = health_of(self._view(key), advice, back)
        held, quiet = self._held(key), key in self._quiet
        return replace(health, held=held, quiet=quiet) if held or quiet else health

    def _wanted(self, key: str, server: Server, service: Service) -> int:
        """The weight that a server should have, by what it asks for and how quickly it answers."""
        weight = pool.advised_weight(server.weight, self.advice.get(key))
        if service.steering is None:
            return weight
        return by_latency(weight, self._courses.mean_ms(key), service.steering)

    def _steer(self, service: Service, health: dict[str, Health], now: float) -> list[float]:
        """Put the courses of a service's servers into their health; when they go on."""
        rules, moves = service.steering, []
        for server in service.servers if rules is not None else ():
            assert rules is not None
            key = pool.server_key(service, server)
            if not health[key].up:
                held = self._courses.leave(key, held=bool(health[key].held))
                health[key] = replace(health[key], course=held)
                continue
            self._courses.enter(key)
            wanted = self._wanted(key, server, service)
            course = steered(self._courses.course(key), wanted, server.weight, rules=rules, now=now)
            self._courses.keep(key, course)
            health[key] = replace(health[key], course=course, mean_ms=self._courses.mean_ms(key))
            if (at := moves_at(course, rules)) is not None:
                moves.append(at)
        return moves

    def _keep(self, decided: Iterable[Pool]) -> None:
        fresh = {one.service.name: one for one in decided}
        is_new = not fresh.keys() <= self.by_name.keys()
        self.by_name |= fresh
        self.quorums |= {name: one.quorum_met for name, one in fresh.items()}
        if is_new:  # the order is the configuration's
            self.by_name = {name: self.by_name[name] for name in self.services}
