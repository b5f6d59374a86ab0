"""The care of the servers: from what their checks find to what is decided about every service.

The problem: what a check finds concerns many. The journal, the brake, hooks, the weights that
servers ask for, slow starts; and the table has to follow. The approach: they are put together here,
and whoever owns the table (`director`) asks for the pools and is asked for a turn.

This module never touches the table and decides nothing itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from checkers.base import Result
from checkers.health import State, Transition
from hadirector import pool
from hadirector.brakes import Brakes
from hadirector.checks import ServerChecks, checks_after, quiet, serving
from hadirector.config.model import Config
from hadirector.health_store import HealthStore
from hadirector.hook_caller import HookCaller
from hadirector.ipvs.model import Table
from hadirector.journal import Journal
from hadirector.overrides import OverrideStore
from hadirector.pools import Pools
from hadirector.reconciler import HEALTH
from hadirector.service_memory import ServiceMemory, remembered
from hadirector.turnover import Turnover, keys_of, turnover
from hadirector.verdicts import Verdicts

ADVICE = "advice"
"""The reason for a turn after a server asked for another weight."""


class Care:
    """The servers of one director. Times of its parts are the event loop's."""

    def __init__(
        self,
        node: str,
        journal: Journal,
        overrides: OverrideStore,
        store: HealthStore,
        again: Callable[[str], object],
        *,
        runtime_dir: Path,
    ) -> None:
        """`again` asks for a turn, with a reason."""
        self._journal = journal
        self._overrides = overrides
        self._again = again
        self._turn = Turnover()
        self._checks: dict[str, ServerChecks] = {}
        self._is_ready = False
        self._store = store
        self.verdicts = Verdicts(
            journal,
            store,
            self._transition,
            self._result,
            on_reason=self._unsettled,
            services=self._remembered,
        )
        self.brakes = Brakes(journal, self._unsettled, self.verdicts.is_up)
        self.pools = Pools(self.verdicts.view, self.brakes.held)
        self.hooks = HookCaller(
            node, journal, self.pools, self.verdicts.views, runtime_dir=runtime_dir
        )

    def adopt(self, config: Config, actual: Table) -> None:
        """Have the servers of this configuration checked; those in the table count as up."""
        self._turn = turn = turnover(self._turn.services, config.services)
        self._checks = checks = checks_after(self._checks, turn)
        self._overrides.keep_only(checks.keys())
        in_service = serving(turn.fresh, actual, self._overrides.drained)
        self.brakes.adopt(config.brake, turn)
        # Of a reload there is nothing to recall.
        services = self._store.recalled_services().items()
        self.brakes.recall({name: one.hold for name, one in services if one.hold}, in_service)
        # What is in the table because the brake held it there does not count as up for that.
        up = {key for key in in_service if not self.brakes.held(key)}
        self.verdicts.update(checks, keys_of((*turn.left, *turn.fresh)), up, workers=config.workers)
        self.pools.adopt(turn, quiet(turn.fresh, actual))
        self.pools.recall({name: one.quorum for name, one in services if one.quorum})
        self.hooks.adopt(config.hooks)

    def _remembered(self) -> Mapping[str, ServiceMemory]:
        return remembered(self.pools.standings, self.brakes.holds())

    def swung(self) -> None:
        """Tell the hooks of the quorums that the last decision changed, and keep them."""
        self.hooks.swung(self.pools.swung)
        if self.pools.swung:
            self.verdicts.worth_keeping()

    def ready(self) -> None:
        """Every check has had its first result, and the table has followed."""
        self._is_ready = True
        self.hooks.ready()

    def _transition(self, key: str, transition: Transition) -> None:
        """The verdict on a server changed: let the table follow."""
        was_away = transition.before is State.DOWN or self._is_ready
        was_held = self.brakes.turned(key, transition.after)
        self.hooks.turned(key, transition)
        came_back = transition.after is State.UP and was_away and not was_held
        self.pools.returns.note(key, came_back=came_back, now=asyncio.get_running_loop().time())
        self._unsettled(key)

    def _unsettled(self, key: str) -> None:
        """The service of this server is to be decided anew."""
        self.verdicts.worth_keeping()
        self.pools.touch(key)
        self._again(HEALTH)

    def _result(self, key: str, result: Result) -> None:
        """A server that is up may ask for another weight."""
        if result.healthy:
            self.brakes.passed(key)
        advised = self.pools.advice
        if result.healthy and self.pools.measured(key, result.latency_ms):
            self._again(ADVICE)
        if not result.healthy or result.advice == advised.get(key):
            return
        if result.advice is None:
            del advised[key]
            self._journal.add("server", f"{key} asks for no other weight any more", subject=key)
        else:
            advised[key] = result.advice
            self._journal.add("server", f"{key}: {pool.describe(result.advice)}", subject=key)
        self.pools.touch(key)
        self._again(ADVICE)
