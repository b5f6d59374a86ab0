"""Where the kernel would send a client: models of its schedulers. Pure.

The problem: "which server gets this client, and who moves if one is lost?" can be computed, since
the schedulers are short and deterministic. The approach: one function per scheduler over the
servers as the kernel lists them, with their counters; `rr` and `wrr` carry the state that the
kernel does not show, as does `locality` for `lblc` and `lblcr`. What a model cannot know (a
threshold between its two marks, the weight that a drained server had, what `lblc` remembers of an
address) makes its answer not exact; it says so. `twos` draws lots: its chances are the answer.

Sources: ``net/netfilter/ipvs/ip_vs_*.c`` of Linux 6.1; the kernel tests hold the models to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import gcd

from hadirector.ipvs import hashing
from hadirector.ipvs.loads import Loaded, connections, least_loaded, loaded
from hadirector.ipvs.locality import Locality
from hadirector.ipvs.model import (
    Address,
    DestinationKey,
    Entry,
    ServiceFlag,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The server for a client, None: the packet finds none. ``why`` is a sentence.

    ``chances``: of each server to be drawn, where the kernel draws lots.
    """

    server: DestinationKey | None
    why: str
    exact: bool = True
    chances: tuple[tuple[DestinationKey, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Loss:
    """What happens to the clients, each given by its place in the table, if a server is lost.

    ``lost``: the share of clients that it had; ``others``: the share of all clients that move from
    one remaining server to another.
    """

    lost: float
    others: float


def choose(entry: Entry, client: DestinationKey, virtual: Address | None) -> Choice:
    """The server of a new connection; persistence is for the caller to look up.

    ``virtual`` is where the client connects to, None where a firewall mark hides it.
    """
    servers = loaded(entry)
    name = entry.service.scheduler
    if name == "twos":
        return _drawn(servers)
    model = _MODELS.get(name)
    if model is None:
        return Choice(None, f"what {name} chooses cannot be told beforehand", exact=False)
    if virtual is None:
        if name == "dh":
            return Choice(None, "dh goes by the address that the mark hides", exact=False)
        virtual = client.address  # which no other scheduler looks at
    chosen, why = model(entry, servers, client, virtual)
    alone = [server.available for server in servers if server.weight > 0] == [True]
    hidden = name in ("rr", "wrr", "lblc", "lblcr") and not alone
    unsure = _forgotten_weight(entry) or hidden
    exact = not unsure and not any(server.doubtful for server in servers)
    return Choice(chosen.destination.key if chosen else None, why, exact)


def lose(entry: Entry, key: DestinationKey) -> Loss | None:
    """Who moves when this server is removed; None where the scheduler does not hash clients."""
    before = _table(entry)
    if before is None:
        return None
    remaining = {k: d for k, d in entry.destinations.items() if k != key}
    after = _table(replace(entry, destinations=remaining)) or (None,) * len(before)
    lost = sum(server == key for server in before)
    moved = sum(a != b for a, b in zip(before, after, strict=True) if a != key)
    return Loss(lost / len(before), moved / len(before))


def moved(before: Entry, after: Entry) -> float | None:
    """The share of clients whose server stays and who go to another one; None: not hashed so.

    ``after`` is what is wanted, in any order: the kernel puts new servers before the others.
    """
    if before.service.scheduler != after.service.scheduler:
        return None
    new = [key for key in after.destinations if key not in before.destinations]
    order = [*reversed(new), *(key for key in before.destinations if key in after.destinations)]
    kept = replace(after, destinations={key: after.destinations[key] for key in order})
    old, fresh = _table(before), _table(kept)
    if not old or not fresh:
        return None
    pairs = zip(old, fresh, strict=True)
    return sum(a != b for a, b in pairs if a in after.destinations) / len(old)


class RoundRobin:
    """`rr` and `wrr` from the state of a service whose servers were added one after the other.

    ``weights`` are in the kernel's order, the newest server first. The kernel's `wrr` keeps the
    level at which it takes weights while servers are added, so the order of adding counts.
    """

    def __init__(self, weights: Sequence[int], *, weighted: bool) -> None:
        self._weights = list(weights) if weighted else [min(weight, 1) for weight in weights]
        self._step = self._most = self._level = 0
        for index in reversed(range(len(self._weights))):
            self._changed(self._weights[index:])
        self._last = -1

    def _changed(self, weights: Sequence[int]) -> None:
        """``ip_vs_wrr_dest_changed``."""
        self._step = gcd(*weights) or 1
        self._most = max(weights) - (self._step - 1)
        if self._level > self._most or not self._level:
            self._level = max(self._most, 0)
        elif self._step > 1:
            self._level = self._level // self._step * self._step + 1

    def next(self) -> int | None:
        """The index of the next server; None where none has a weight."""
        if self._most <= 0:
            return None
        while True:
            for index in range(self._last + 1, len(self._weights)):
                if self._weights[index] >= self._level:
                    self._last = index
                    return index
            self._last = -1
            self._level -= self._step
            if self._level <= 0:
                self._level = self._most


_Model = Callable[[Entry, Sequence[Loaded], DestinationKey, Address], tuple[Loaded | None, str]]


def _forgotten_weight(entry: Entry) -> bool:
    """`mh` keeps the places of a server whose weight was set to 0, by the weight it had."""
    drained = any(server.weight == 0 for server in entry.destinations.values())
    return entry.service.scheduler == "mh" and drained


def _table(entry: Entry) -> tuple[DestinationKey | None, ...] | None:
    """Who has each place of the hash table."""
    keys = tuple(entry.destinations)
    weights = tuple(server.weight for server in entry.destinations.values())
    version = entry.service.key.version
    if entry.service.scheduler == "sh":
        return tuple(keys[index] for index in hashing.sh_table(weights))
    if entry.service.scheduler == "mh":
        return tuple(keys[index] for index in hashing.mh_table(keys, weights, version))
    return None


def _hashed(
    entry: Entry, servers: Sequence[Loaded], client: DestinationKey, _: Address
) -> tuple[Loaded | None, str]:
    table, version = _table(entry), entry.service.key.version
    if not table:
        return None, "no server has a place in the table"
    by_key = {server.destination.key: server for server in servers}
    if ServiceFlag.SCHEDULER_2 not in entry.service.flags:
        client = replace(client, port=0)
    mh = entry.service.scheduler == "mh"

    def at(offset: int) -> tuple[int, Loaded]:
        if mh:
            slot = hashing.mh_slot(client, version, offset)
        else:
            slot = (offset + hashing.sh_slot(client, version)) % len(table)
        key = table[slot]
        assert key is not None
        return slot, by_key[key]

    first, server = at(0)
    place = f"place {first} of {len(table)} is {server.destination.key}'s"
    if server.available:
        return server, place
    if ServiceFlag.SCHEDULER_1 not in entry.service.flags:
        return None, f"{place}, which takes no connections"
    for offset in range(len(table)):
        other = at((offset + first) % len(table))[1]
        if other.available:
            return other, f"{place}, which takes no connections; the fallback is this one"
    return None, f"{place}, and no server takes connections"


def _destination_hashed(
    entry: Entry, servers: Sequence[Loaded], _: DestinationKey, virtual: Address
) -> tuple[Loaded | None, str]:
    if not servers:
        return None, "there is no server"
    table = hashing.dh_table(len(servers))
    slot = hashing.dh_slot(virtual, entry.service.key.version)
    server = servers[table[slot]]
    place = f"place {slot} of {len(table)} is {server.destination.key}'s"
    if server.available:
        return server, place
    return None, f"{place}, which takes no connections"


def _turn(
    entry: Entry, servers: Sequence[Loaded], _: DestinationKey, __: Address
) -> tuple[Loaded | None, str]:
    weights = [server.weight if server.available else 0 for server in servers]
    index = RoundRobin(weights, weighted=entry.service.scheduler == "wrr").next()
    if index is None:
        return None, "no server takes connections"
    return servers[index], "the first turn of a service just configured; where it is, is not shown"


def _least(load: Callable[[Loaded], int], *, weighted: bool, idle_first: bool = False) -> _Model:
    """The server with the least load for its weight, the first of several in the list."""

    def model(
        _: Entry, servers: Sequence[Loaded], __: DestinationKey, ___: Address
    ) -> tuple[Loaded | None, str]:
        if idle_first:
            idle = (one for one in servers if one.available and not one.counted.active)
            if (first := next(idle, None)) is not None:
                return first, "it is the first without an active connection"
        least = least_loaded(servers, load, weighted=weighted)
        if least is None:
            return None, "no server takes connections"
        return least, "it has the least load" + (" for its weight" if weighted else "")

    return model


def _local(
    entry: Entry, servers: Sequence[Loaded], _: DestinationKey, virtual: Address
) -> tuple[Loaded | None, str]:
    return Locality(replicated=entry.service.scheduler == "lblcr").next(servers, virtual)


def _drawn(servers: Sequence[Loaded]) -> Choice:
    """`twos`: two are drawn by weight, and of them the less loaded is taken (ip_vs_twos.c)."""
    drawable = [server for server in servers if server.available]
    if not drawable:
        return Choice(None, "no server takes connections")
    # A number of 0 to the sum of weights, both included: the first server has one more.
    total = sum(server.weight for server in drawable) + 1
    drawn = [(one, (one.weight + (not index)) / total) for index, one in enumerate(drawable)]
    chances = dict.fromkeys((server.destination.key for server in drawable), 0.0)
    for first, chance in drawn:
        for second, other in drawn:
            taken = first
            if second.weight * first.connections > first.weight * second.connections:
                taken = second
            chances[taken.destination.key] += chance * other
    why = "two are drawn by their weights, and of them the one with less load for its weight"
    only = drawable[0].destination.key if len(drawable) == 1 else None
    doubtful = any(server.doubtful for server in servers)
    return Choice(only, why, only is not None and not doubtful, tuple(chances.items()))


def _heaviest(*, overflow: bool) -> _Model:
    """`fo` and `ovf`: the available server with the greatest weight."""

    def model(
        _: Entry, servers: Sequence[Loaded], __: DestinationKey, ___: Address
    ) -> tuple[Loaded | None, str]:
        best: Loaded | None = None
        for server in servers:
            full = overflow and server.counted.active > server.weight
            if server.available and not full and (best is None or server.weight > best.weight):
                best = server
        return best, "it has the greatest weight" if best else "no server takes connections"

    return model


_MODELS: dict[str, _Model] = {
    "sh": _hashed,
    "mh": _hashed,
    "dh": _destination_hashed,
    "rr": _turn,
    "wrr": _turn,
    "lc": _least(connections, weighted=False),
    "wlc": _least(connections, weighted=True),
    "lblc": _local,
    "lblcr": _local,
    "sed": _least(lambda server: server.counted.active + 1, weighted=True),
    "nq": _least(lambda server: server.counted.active + 1, weighted=True, idle_first=True),
    "fo": _heaviest(overflow=False),
    "ovf": _heaviest(overflow=True),
}
