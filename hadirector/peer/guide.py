"""What the VRRP worker is told beside the elections: for which virtual routers we give way.

The problem: after a switchover the director of the higher priority must leave the other one in
office, although VRRP would have it preempt at once; and this must end by itself, or the next
failure finds a pair whose priorities nobody remembers. The approach: who yields caps its own
priority below the other's. The cap is *pending* until this director has stepped back; if that does
not happen soon (the other one died, the command was interrupted), it is taken back. From then on it
is kept, over a restart, until this director is active again for whatever reason, or is given the
role back. Nothing else ends it, and a reboot does.

Times are seconds of any clock that never goes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from hadirector.peer.agreed import AgreedStore, Yielded
from vrrp.events import State
from vrrp.messages import Cap, Guidance, Reannounce, RouterReport

PENDING_S: Final = 10.0
"""Between a cap and the step back that it is for."""
BAR_S: Final = 5.0
"""How long a bar lasts that is not said again; that happens every second."""


class Guide:
    """The caps of one director. `tell` passes them on; `note` journals a sentence."""

    def __init__(
        self,
        store: AgreedStore,
        tell: Callable[[Guidance | Reannounce], None],
        note: Callable[[str], None],
    ) -> None:
        self._store = store
        self._tell = tell
        self._note = note
        self._pending: dict[str, tuple[Yielded, float]] = {}
        self._told: Guidance | None = None
        self.bars: Mapping[str, str] = {}
        """Virtual routers that may not be active here, and why (`policies.Arbiter`)."""
        self.health: Mapping[str, Yielded] = {}
        """Caps of a director that reaches fewer servers (`policies.HealthYield`)."""

    def give_way(self, caps: Mapping[str, int], because: str, now: float) -> None:
        """Cap our priority for these virtual routers, for the moment."""
        for name, at_most in caps.items():
            self._pending[name] = (Yielded(at_most=at_most, because=because), now + PENDING_S)
        self._say()

    def take_back(self, routers: Iterable[str]) -> None:
        """Take part with our own priority again."""
        for name in routers:
            self._pending.pop(name, None)
            self._forget(name, "")
        self._say()

    def clear(self) -> None:
        """The channel is taken out of the file: all that was agreed ends."""
        self.bars, self.health = {}, {}
        self.take_back([*self._pending, *self._store.now.yielded])

    def announce(self, routers: Iterable[str], reason: str) -> None:
        """Have the neighbors told again where the addresses of these virtual routers are."""
        self._tell(Reannounce(routers=tuple(routers), reason=reason))

    def look(self, reports: Mapping[str, RouterReport], now: float) -> None:
        """Take in how the virtual routers are: what was pending holds, or ends."""
        for name, (yielded, until) in list(self._pending.items()):
            report = reports.get(name)
            if report is not None and report.state is State.BACKUP:
                del self._pending[name]
                kept = {**self._store.now.yielded, name: yielded}
                self._store.hold(replace(self._store.now, yielded=kept))
            elif now >= until:
                del self._pending[name]
                self._note(f"{name}: nobody took it over: our own priority counts again")
        for name in list(self._store.now.yielded):
            report = reports.get(name)
            if report is not None and report.state is State.ACTIVE:
                self._forget(name, "active again: our own priority counts again")
        self._say()

    def _forget(self, name: str, why: str) -> None:
        kept = dict(self._store.now.yielded)
        if kept.pop(name, None) is not None:
            self._store.hold(replace(self._store.now, yielded=kept))
            if why:
                self._note(f"{name}: {why}")

    def _say(self) -> None:
        yielded = {**self._store.now.yielded, **{n: one for n, (one, _) in self._pending.items()}}
        for name, one in self.health.items():
            if name not in yielded or one.at_most < yielded[name].at_most:
                yielded[name] = one
        guidance = Guidance(
            caps={n: Cap(at_most=one.at_most, because=one.because) for n, one in yielded.items()},
            bars=dict(self.bars),
            lease_s=BAR_S if self.bars else 0.0,
        )
        if guidance != self._told or self.bars:  # a bar ends unless it is said again
            self._told = guidance
            self._tell(guidance)
