"""Keeps the kernel's sync daemons as this director's duty asks.

The problem: the daemons follow a role that changes at the worst moments, others may start and stop
them by hand, and a sender that is stopped loses what it has not sent yet. The approach: one turn,
taken for every reason alike: read what runs, compare, do the steps (`connection_sync`), journal
each with what was before and after. Who has lost the active role sends on for one sync window.

Never: a daemon touched that nobody declared, a role decided.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from hadirector.connection_sync import (
    SYNC_WINDOW_S,
    ConnectionSync,
    Decision,
    SyncStep,
    SyncStop,
    SyncView,
    same,
    steps,
)
from hadirector.ipvs.control import Daemons, SyncDaemon, SyncRole
from hadirector.journal import Journal

TOLD = "sync"


class SyncKernel(Protocol):
    """What is asked of the kernel; each call raises DataplaneError."""

    async def daemons(self) -> Daemons:
        """The daemons that run, by role."""

    async def start_daemon(self, daemon: SyncDaemon) -> None:
        """Start one."""

    async def stop_daemon(self, role: SyncRole) -> None:
        """Stop one."""


class SyncKeeper:
    """The daemons of the network namespace in which it is used. For one task at a time."""

    def __init__(
        self,
        kernel: SyncKernel,
        journal: Journal,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._kernel = kernel
        self._journal = journal
        self._clock = clock
        self._wall = wall
        self._sync: ConnectionSync | None = None  # as of the last turn
        self._decision = Decision(None, "not decided yet")
        self._since = wall()
        self._left: Daemons | None = None  # as the last turn wanted them
        self._sends_until: float | None = None
        self._found_warm = False  # a receiver was there before us
        self._receives_since: float | None = None
        self.view: SyncView | None = None

    async def turn(
        self, sync: ConnectionSync | None, decision: Decision, *, afresh: bool = False
    ) -> float | None:
        """Have the daemons do their duty; returns in how many seconds to look again, if so.

        `afresh`: a setting was changed that the kernel looks at only when a daemon starts. Raises
        DataplaneError.
        """
        if sync is None:
            await self._give_up()
            return None
        first = self._sync is None
        self._note(sync, decision)
        running = await self._kernel.daemons()
        if first:
            self._found_warm = SyncRole.BACKUP in running
        if decision.duty is None:
            roles = frozenset(running)
        else:
            roles = decision.duty.roles | self._lingering(running)
        wanted = sync.daemons(roles)
        await self._do(steps(wanted, running, afresh=afresh), self._drifted(running))
        self._left = wanted
        self._watch_receiver(wanted)
        self.view = SyncView(
            decision=decision,
            since=self._since,
            running=wanted,
            lingers=self._sends_until is not None,
            listened_since=self._receives_since,
        )
        return None if self._sends_until is None else max(0.0, self._sends_until - self._clock())

    def cold_for_s(self, sync: ConnectionSync | None) -> float:
        """For how many seconds more it should listen before it takes over from a working peer."""
        if sync is None or self._found_warm:
            return 0.0
        left = self._left or {}
        # One that does both by the file's word sends before it is active, with an empty table too.
        if SyncRole.ACTIVE in left and (sync.follows or SyncRole.BACKUP not in left):
            return 0.0
        if self._receives_since is None:
            return sync.warm_up
        return max(0.0, self._receives_since + sync.warm_up - self._wall())

    async def stop(self) -> None:
        """Leave as configured; what is stopped has sent all it had. Raises DataplaneError."""
        sync = self._sync
        if sync is None or sync.on_stop is SyncStop.KEEP:
            return
        duty = self._decision.duty
        receives = sync.follows or (duty is not None and SyncRole.BACKUP in duty.roles)
        goes_on = sync.on_stop is SyncStop.RECEIVE and receives
        wanted = sync.daemons({SyncRole.BACKUP} if goes_on else ())
        running = await self._kernel.daemons()
        await self._do(steps({**running, **wanted}, running), ())
        if SyncRole.ACTIVE in running:
            until = self._sends_until or self._clock() + SYNC_WINDOW_S
            await asyncio.sleep(min(max(0.0, until - self._clock()), SYNC_WINDOW_S))
        await self._do(steps(wanted, await self._kernel.daemons()), ())

    def _note(self, sync: ConnectionSync, decision: Decision) -> None:
        before, self._sync = self._decision, sync
        if decision.duty is not None and decision.duty is not before.duty:
            self._journal.add(TOLD, f"connection sync {decision.because}")
            self._since = self._wall()
            if SyncRole.ACTIVE in decision.duty.roles:
                self._sends_until = None
            elif before.duty is not None and SyncRole.ACTIVE in before.duty.roles:
                self._sends_until = self._clock() + SYNC_WINDOW_S
        if decision.duty is None and before.duty is not None:
            return  # it goes on doing what it did
        self._decision = decision

    def _lingering(self, running: Daemons) -> frozenset[SyncRole]:
        until = self._sends_until
        if until is None or self._clock() >= until or SyncRole.ACTIVE not in running:
            self._sends_until = None
            return frozenset()
        return frozenset({SyncRole.ACTIVE})

    def _drifted(self, running: Daemons) -> tuple[str, ...]:
        """How what runs differs from how we left it: somebody else's doing."""
        if self._left is None:
            return ()
        found = []
        for role in SyncRole:
            left, now = self._left.get(role), running.get(role)
            if (left is None) != (now is None) or (left and now and not same(left, now)):
                found.append(f"before: {left or f'no {role} sync daemon'}; after: {now or 'none'}")
        return tuple(found)

    async def _do(self, listed: Iterable[SyncStep], drifted: tuple[str, ...]) -> None:
        done = list(listed)
        self._left = None  # until all is known to be done
        for step in done:
            if step.stop is not None:
                await self._kernel.stop_daemon(step.stop.role)
            if step.start is not None:
                await self._kernel.start_daemon(step.start)
        if not done:
            return
        told = "; ".join(map(str, done))
        if drifted:
            found = "; ".join(drifted)
            self._journal.add(
                "repair",
                f"another program changed the sync daemons ({found}); repaired: {told}",
                steps=[str(step) for step in done],
            )
        else:
            self._journal.add(TOLD, told)

    def _watch_receiver(self, wanted: Daemons) -> None:
        if SyncRole.BACKUP not in wanted:
            self._receives_since = None
        elif self._receives_since is None:
            self._receives_since = self._wall()

    async def _give_up(self) -> None:
        """The section was taken out of the file: what we started ends."""
        if self._sync is None:
            return
        ours, running = self._left or {}, await self._kernel.daemons()
        kept = {role: daemon for role, daemon in running.items() if role not in ours}
        await self._do(steps(kept, running), ())
        self._sync, self._left, self.view = None, None, None
        self._decision = Decision(None, "not configured")
