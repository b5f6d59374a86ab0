"""Which director held which virtual address when, from what the kernel announced. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hadirector.lab.observe import AddressChange, overlap_ms, spans
from hadirector.lab.spares import Address


@dataclass(slots=True)
class Possession:
    """The history of the virtual addresses, grown with what the observer collects."""

    virtual: frozenset[Address]
    _changes: list[AddressChange] = field(default_factory=list)
    _held: set[tuple[str, Address]] = field(default_factory=set)

    def add(self, changes: Iterable[AddressChange]) -> None:
        """Take what has changed; only virtual addresses are of interest."""
        for change in changes:
            if change.address not in self.virtual:
                continue
            self._changes.append(change)
            held = (change.machine, change.address)
            if change.added:
                self._held.add(held)
            else:
                self._held.discard(held)

    def holds(self, machine: str, address: Address) -> bool:
        """Whether a machine has an address now."""
        return (machine, address) in self._held

    def both_held_ms(self, *, since: float, until: float) -> float:
        """The longest time in which two machines had one address, in ms."""
        histories = spans(self._changes).values()
        return max((overlap_ms(held, since=since, until=until) for held in histories), default=0.0)

    def spans_of(
        self, machine: str, addresses: Iterable[Address]
    ) -> list[list[tuple[float, float | None]]]:
        """For each of these addresses, since when and until when a machine held it (None: yet)."""
        histories = spans(self._changes)
        return [
            [(each.since, each.until) for each in histories.get(a, ()) if each.machine == machine]
            for a in addresses
        ]

    def came_back(self, machine: str, address: Address, *, since: float) -> bool:
        """Whether a machine lost an address after `since` and has it again."""
        lost = any(
            change.at >= since and not change.added
            for change in self._changes
            if change.machine == machine and change.address == address
        )
        return lost and self.holds(machine, address)
