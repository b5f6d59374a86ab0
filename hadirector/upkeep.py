"""Keeps what IPVS has besides its table: the kernel's settings and the sync daemons.

Both are looked at with every turn of the table but those for a change of health, and neither may
stop it: what cannot be made is told, and tried again with the next audit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

from hadirector import limits
from hadirector.answers import Present
from hadirector.config.model import Config
from hadirector.connection_sync import ConnectionSync, Decision, SyncView, decide
from hadirector.ipvs.dataplane import DataplaneError
from hadirector.ipvs.settings import KernelSettings
from hadirector.ipvs.tuning import Change
from hadirector.journal import Journal
from hadirector.sync_keeper import SyncKeeper, SyncKernel
from hadirector.tuner import Tuner
from vrrp.events import State

ROLE = "role"
SENT = "sent"
"""Why a turn is asked for: another duty; what the kernel had gathered as the sender is sent."""
NOT_CONFIGURED = Decision(None, "not configured")
AT_START = frozenset({"sync_ports"})
"""Settings that the kernel looks at only when a sync daemon starts."""


class Upkeep:
    """Settings and sync daemons of one director. For one task at a time."""

    def __init__(
        self,
        node: str,
        runtime_dir: Path,
        journal: Journal,
        *,
        again: Callable[[str], None],
        kernel: SyncKernel | None = None,
    ) -> None:
        """`again` asks for another turn; `kernel` for the daemons, if not this host's."""
        settings = KernelSettings()
        self._node = node
        self._journal = journal
        self._tuner = Tuner(runtime_dir, settings)
        self._keeper = SyncKeeper(kernel or settings, journal)
        self._again = again
        self._timer: asyncio.TimerHandle | None = None
        self._states: dict[str, State] = {}
        self._decision = NOT_CONFIGURED
        self._config: Config | None = None
        self.trouble: dict[str, str] = {}

    @property
    def sync(self) -> SyncView | None:
        """How connection sync is; None where it is not configured, or not looked at yet."""
        return self._keeper.view

    def cold_for_s(self) -> float:
        """For how many seconds more this director should listen before it preempts."""
        config = self._config
        return 0.0 if config is None else self._keeper.cold_for_s(self._sync_here(config))

    def roles_changed(self, states: Mapping[str, State]) -> None:
        """Hear the states of the virtual routers; where the duty changes, a turn is asked for."""
        self._states = dict(states)
        if self._config is not None and self._decide(self._config).duty != self._decision.duty:
            self._again(ROLE)

    async def turn(self, config: Config) -> None:
        """Look at everything and put it right; what cannot be done is in `trouble`."""
        self._config = config
        changed = await self._tune(config)
        self._decision = self._decide(config)
        afresh = any(change.name in AT_START for change in changed)
        try:
            sync = self._sync_here(config)
            again_s = await self._keeper.turn(sync, self._decision, afresh=afresh)
        except DataplaneError as error:
            self._tell("sync", f"connection sync: {error}; {error.remedy}")
            return
        self.trouble.pop("sync", None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if again_s is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(again_s, self._again, SENT)

    async def warm_up(self, present: Present, is_warm: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the peer's connections were heard of: ready, one takes over from it.

        `is_warm` tells sooner, where the peer itself says how many it has.
        """
        cold = self.cold_for_s() > 0
        while (cold_s := self.cold_for_s()) > 0:
            present.warming_s = cold_s
            with suppress(TimeoutError):
                async with asyncio.timeout(cold_s):
                    if await is_warm():
                        break
            await asyncio.sleep(min(cold_s, limits.WARM_UP_LOOK_S))
        present.warming_s = None
        if cold:
            self._journal.add("sync", "warmed up: may take over from a working peer")

    async def stop(self) -> None:
        """Leave the daemons as the file says."""
        if self._timer is not None:
            self._timer.cancel()
        try:
            await self._keeper.stop()
        except DataplaneError as error:
            self._journal.add("sync", f"the sync daemons are left as they are: {error}")

    def _sync_here(self, config: Config) -> ConnectionSync | None:
        sync = config.connection_sync
        return None if sync is None else sync.on(self._node)

    def _decide(self, config: Config) -> Decision:
        sync = config.connection_sync
        return NOT_CONFIGURED if sync is None else decide(sync, self._node, self._states)

    async def _tune(self, config: Config) -> tuple[Change, ...]:
        try:
            ahead = await self._tuner.ahead(config.settings)
            await self._tuner.apply(ahead)
        except DataplaneError as error:
            self._tell("settings", f"{error}; {error.remedy}")
            return ()
        self.trouble.pop("settings", None)
        if ahead:
            self._journal.add("setting", "; ".join(str(change) for change in ahead))
        return ahead

    def _tell(self, about: str, sentence: str) -> None:
        if self.trouble.get(about) != sentence:
            self._journal.add("setting" if about == "settings" else about, sentence)
        self.trouble[about] = sentence
