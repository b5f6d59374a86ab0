"""Both directors, looked at together every moment: what they differ in, and what follows.

It puts `compare` and `policies` to work on the two states, journals what begins and ends, and says
what is trouble. What follows goes to `guide`, and from there to the elections. Time comes in as an
argument; nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable

from hadirector.config.model import Config
from hadirector.peer import compare
from hadirector.peer.agreed import Yielded
from hadirector.peer.compare import Disagreements
from hadirector.peer.guide import Guide
from hadirector.peer.messages import State
from hadirector.peer.policies import Arbiter, HealthYield, Survivor
from hadirector.peer.settings import PeerSettings


class PeerWatch:
    """The pair as one director sees it. `note` journals a sentence."""

    def __init__(
        self,
        settings: PeerSettings,
        node: str,
        config: Config,
        guide: Guide,
        note: Callable[[str], None],
    ) -> None:
        peer = settings.peer_of(node)
        addresses = {name: one.address for name, one in config.nodes.items()}
        self._peer = peer
        self._guide = guide
        self._note = note
        self._arbiter = Arbiter(node, peer, addresses)
        self._health = HealthYield(node, peer, settings.health_moves)
        self._survivor = Survivor()
        self._splits: list[str] = []
        self.disagreements = Disagreements(node, peer)

    def look(self, ours: State, theirs: State | None, now: float) -> None:
        """Look at both; the guide has what follows."""
        found = {} if theirs is None else compare.disagreements(ours, theirs)
        for sentences in self.disagreements.look(found, now):
            for sentence in compare.listed(sentences):
                self._note(sentence)
        self._arbitrate(ours, theirs, now)
        self._weigh_health(ours, theirs, now)

    @property
    def trouble(self) -> dict[str, str]:
        """What is wrong between the two, by subject."""
        told = compare.listed(list(self.disagreements.told.values()))
        bars = [f"{name} yields: {why}" for name, why in self._guide.bars.items()]
        splits = [
            f"{name}: {self._peer} is active as well (split brain), and yields"
            for name in self._splits
            if name not in self._guide.bars
        ]
        return {"peer-health": "; ".join(told), "peer-split": "; ".join([*bars, *splits])}

    def _arbitrate(self, ours: State, theirs: State | None, now: float) -> None:
        before, bars = self._guide.bars, self._arbiter.look(ours, theirs, now)
        for name in bars.keys() - before.keys():
            self._note(f"{name} yields: {bars[name]}")
        for name in before.keys() - bars.keys():
            ended = f"{self._peer} is heard, or not active any more"
            if theirs is None:
                ended = (
                    f"nothing more is heard of {self._peer} on the peer channel: VRRP alone decides"
                )
            self._note(f"{name} takes part again: {ended}")
        self._guide.bars, self._splits = bars, self._arbiter.splits(now)
        alone = self._survivor.look(ours, theirs, now)
        if alone:
            why = f"{self._peer} was active as well, and has stepped back"
            self._note(f"{', '.join(alone)}: {why}: the neighbors are told again")
            self._guide.announce(alone, why)

    def _weigh_health(self, ours: State, theirs: State | None, now: float) -> None:
        health = self._health
        before = bool(health.caps)
        health.look(ours, theirs, now)
        self._guide.health = {
            name: Yielded(at_most=at_most, because=health.because)
            for name, at_most in health.caps.items()
        }
        if health.caps and not before:
            self._note(f"yields: {health.because}")
        elif before and not health.caps:
            self._note("yields no more: the number of servers it reaches is no reason any more")
