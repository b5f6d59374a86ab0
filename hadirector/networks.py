"""Which virtual routers are on the same network, where directors call their interfaces differently.

The problem: a network has no name in the file; `eth0` of one director may be `ens3` of the other,
and VRIDs have to be unique on the network, not on a name. The approach: whatever one virtual router
uses on all directors is one network, and so is everything that shares an interface of a director
with it. Pure; names are only compared, never looked up on the host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def networks(uses: Sequence[Mapping[str, str]]) -> list[int]:
    """The number of each virtual router's network, counted from 0 in the order of the list.

    `uses` says for each virtual router which interface it has on each director, by name.
    """
    members: list[set[tuple[str, str]]] = []
    for one in uses:
        joined = set(one.items())
        apart = []
        for known in members:
            if known & joined:
                joined |= known
            else:
                apart.append(known)
        members = [*apart, joined]
    numbers: dict[int, int] = {}
    found = []
    for one in uses:
        ends = set(one.items())
        at = next((index for index, known in enumerate(members) if known & ends), -1)
        found.append(numbers.setdefault(at, len(numbers)))
    return found
