"""Connections that stand, as keys that both kernels spell alike: how a pair knows it is in step.

The problem: two numbers say little. Of connections that come and go within a second, the active
director's kernel counts dozens that the other's has not been told of, and never needs. The
approach: a sample of those that were there at two moments, a sync window apart; whoever receives
must hold these very ones. Lines are those of /proc/net/ip_vs_conn, and only their first words are
looked at: there may be millions. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final

SAMPLED_MAX: Final = 500
LINES_MAX: Final = 2_000_000
"""More are not looked through: some seconds of a processor, in a thread."""
_KEY: Final = slice(1, 5)  # the client's address and port, and the virtual ones


def established(lines: Iterable[str], most: int = SAMPLED_MAX) -> list[str]:
    """Keys of TCP connections that are established, the first ones of so many."""
    found: list[str] = []
    for line in islice(lines, LINES_MAX):
        words = line.split(None, 8)
        if len(words) > 7 and words[0] == "TCP" and words[7] == "ESTABLISHED":
            found.append(" ".join(words[_KEY]))
            if len(found) >= most:
                break
    return found


def held(lines: Iterable[str], keys: Collection[str]) -> list[str]:
    """Those of these keys that are among the connections, whatever their state."""
    wanted = set(keys)
    found: list[str] = []
    for line in islice(lines, LINES_MAX):
        if not wanted:
            break
        key = " ".join(line.split(None, 5)[_KEY])
        if key in wanted:
            wanted.discard(key)
            found.append(key)
    return found
