"""The wires: every link joins all hosts; what is sent on it is lost, late, doubled or cut.

A path that is not cut lets something through after `lost_in_a_row_max` losses. Without such a rule
nothing could be promised about when two routers hear each other; with it, bounds are certain.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Final

from tests.simulation.options import Options
from tests.simulation.sealing import Packet
from vrrp.events import Heard
from vrrp.packet import Advertisement, ChecksumForm, IPAddress, decode, encode

RECORDED_MAX: Final = 100
"""Packets of a link that an attacker remembers."""

Path = tuple[int, str, str]
"""Link, sender, receiver."""


@cache
def over_the_wire(advertisement: Advertisement, source: IPAddress, form: ChecksumForm) -> Heard:
    """What the receiver makes of an advertisement: encoded and decoded, once for equal ones."""
    decoded, seen = decode(encode(advertisement, source, form=form), source)
    return Heard(decoded, source, seen)


class Network:
    """All links of a world."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.perfect = False
        self._random = Random(f"network of {options.seed}")
        self._cuts: Counter[Path] = Counter()
        self._lost_in_a_row: Counter[tuple[int, Path]] = Counter()
        self._recorded: dict[int, deque[Packet]] = {}

    def cut(self, link: int, unheard: frozenset[tuple[str, str]]) -> None:
        """Cut paths; each cut has to be mended as often as it was made."""
        self._cuts.update((link, *pair) for pair in unheard)

    def mend(self, link: int, unheard: frozenset[tuple[str, str]]) -> None:
        self._cuts.subtract((link, *pair) for pair in unheard)

    def heal(self) -> None:
        """From now on nothing is lost or doubled any more, and no path is cut."""
        self._cuts.clear()
        self.perfect = True

    def is_open(self, link: int, sender: str, receiver: str) -> bool:
        return self._cuts[link, sender, receiver] <= 0

    def record(self, link: int, packet: Packet) -> None:
        """Somebody on the link writes down what is said."""
        if packet.datagram is not None:
            self._recorded.setdefault(link, deque(maxlen=RECORDED_MAX)).append(packet)

    def recorded(self, link: int, back: float) -> Packet | None:
        """What was said on a link, `back` (0 to 1) of all that is remembered ago."""
        packets = self._recorded.get(link)
        return packets[-1 - int(back * len(packets))] if packets else None

    def send(self, path: Path, vrid: int, deliver: Callable[[float], None]) -> None:
        """Call `deliver` with each delay (seconds) after which the receiver gets a copy."""
        if self._cuts[path] > 0:
            return
        options, draw = self.options, self._random
        unlucky = not self.perfect and draw.random() < options.loss
        if unlucky and self._lost_in_a_row[vrid, path] < options.lost_in_a_row_max:
            self._lost_in_a_row[vrid, path] += 1
            return
        self._lost_in_a_row[vrid, path] = 0
        deliver(draw.uniform(options.delay_min_s, options.delay_max_s))
        if not self.perfect and draw.random() < options.duplicate:
            deliver(draw.uniform(options.delay_min_s, options.delay_max_s))
