"""Connections that stand, as keys that both kernels spell alike: how a pair knows it is in step.

The problem: two numbers say little. Of connections that come and go within a second, the active
director's kernel counts dozens that the other's has not been told of, and never needs. The
approach: a sample of those that were there at two moments, a sync window apart, and had packets in
between; whoever receives must hold these very ones. Lines are those of /proc/net/ip_vs_conn, and
only their first words are looked at: there may be millions. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Final

from hadirector.ipvs.telling import key_of

SAMPLED_MAX: Final = 500
LINES_MAX: Final = 2_000_000
"""More are not looked through: some seconds of a processor, in a thread."""
IDLE_S: Final = 1
"""Of the window of 3 s, what a connection that is alive may have come nearer to its end."""


def established(lines: Iterable[str], most: int = SAMPLED_MAX) -> dict[str, int]:
    """TCP connections that are established, the first so many: in how many s each expires."""
    found: dict[str, int] = {}
    for line in islice(lines, LINES_MAX):
        words = line.split(None, 9)
        if len(words) > 8 and words[0] == "TCP" and words[7] == "ESTABLISHED":
            if words[8].strip().isdecimal():
                found[key_of(line)] = int(words[8])
            if len(found) >= most:
                break
    return found


def alive(first: Mapping[str, int], later: Mapping[str, int]) -> list[str]:
    """Those that are still there and have had packets meanwhile.

    A connection whose end the kernel has not seen (it was on the other director then) stays for
    minutes; every second without a packet it is a second nearer to its end.
    """
    return [key for key, s in later.items() if key in first and s >= first[key] - IDLE_S]


def held(lines: Iterable[str], keys: Collection[str]) -> list[str]:
    """Those of these keys that are among the connections, whatever their state."""
    wanted = set(keys)
    found: list[str] = []
    for line in islice(lines, LINES_MAX):
        if not wanted:
            break
        key = key_of(line)
        if key in wanted:
            wanted.discard(key)
            found.append(key)
    return found
