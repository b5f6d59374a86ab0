"""What a scheduler tells of its checks. Values only.

Must never hold on to anything that goes on living: a view is of one moment.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from checkers.base import Result
from checkers.check import Check
from checkers.health import State


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView:
    """All there is to say about one check, at one moment."""

    check: Check
    state: State
    since: float
    """Unix time since when the state holds."""
    sentence: str
    """Why the state is what it is."""
    outlook: str
    """What would change it, such as "up after 2 passes in a row, 1 so far"."""
    passes: int
    """Passes in a row, up to now."""
    failures: int
    """Failures in a row, up to now."""
    passed: int
    """Passes altogether."""
    failed: int
    """Failures altogether."""
    errors: int
    """Probes that could not be made, altogether."""
    error: str | None
    """Why the last probe could not be made; None if it could."""
    last: Result | None
    """The newest result."""
    results: tuple[Result, ...]
    """The last results, oldest first, failures kept longest."""

    held_since: float | None = None
    """Unix time since when it waits for somebody to resume it; None: it does not."""

    @property
    def latency_ms(self) -> float | None:
        """That of the newest result."""
        return None if self.last is None else self.last.latency_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What an update did, in numbers of checks."""

    added: int
    changed: int
    removed: int
    unchanged: int


class Views(Mapping[str, CheckView]):
    """By key, each made when it is looked at."""

    def __init__(self, keys: Collection[str], view: Callable[[str], CheckView]) -> None:
        self._keys = keys
        self._view = view

    def __getitem__(self, key: str) -> CheckView:
        return self._view(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)
