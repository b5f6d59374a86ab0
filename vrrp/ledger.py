"""What was counted of a virtual router, in sum and by peer, and who has been warned of.

A wrong packet comes again every interval. So each cause is counted every time and told once per
peer; and since anybody on the link can invent peers, there are bounds on both.

This module never decides what is wrong.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

PEERS_MAX: Final = 16
"""Peers counted by address, per virtual router; further ones are counted together."""
OTHERS: Final = "others"
WARNED_MAX: Final = 256
"""Peers and causes remembered as warned of, per virtual router."""


@dataclass(slots=True)
class Ledger:
    """The counters of one virtual router."""

    counters: Counter[str] = field(default_factory=Counter)
    peers: dict[str, Counter[str]] = field(default_factory=dict)
    _warned: set[tuple[str, str]] = field(default_factory=set)

    def count(self, kind: str, peer: str | None = None) -> None:
        """Count something; what a peer caused is counted for that peer, too."""
        self.counters[kind] += 1
        if peer is None:
            return
        counted = self.peers.get(peer)
        if counted is None:
            name = peer if len(self.peers) < PEERS_MAX else OTHERS
            counted = self.peers.setdefault(name, Counter())
        counted[kind] += 1

    def warn(self, kind: str, about: str) -> bool:
        """Tell whether this is to be told: the first time, and as long as there is room."""
        if (kind, about) in self._warned or len(self._warned) >= WARNED_MAX:
            return False
        self._warned.add((kind, about))
        return True

    def causes(self, peer: str) -> str:
        """Say which counters of a peer speak of a disagreement with it; empty: none."""
        counted = self.peers.get(peer, Counter())
        telling = [name for name in counted if name.startswith("rejected-") or "differs" in name]
        return ", ".join(f"{name} {counted[name]}" for name in sorted(telling))

    def by_peer(self) -> dict[str, dict[str, int]]:
        """Return a copy of the counters by peer."""
        return {peer: dict(counted) for peer, counted in self.peers.items()}
