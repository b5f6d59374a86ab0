"""Two directors side by side: in what they differ, in sentences. Pure.

Both run the same program on the same file and ask the same servers, so every difference is worth
knowing: another file, another version, a server that only one of them reaches. A check takes its
time on each side, so what they disagree on counts once it has lasted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hadirector.peer.messages import HealthState, State

DISAGREE_S: Final = 10.0
"""Checks fall and rise within seconds of each other; what lasts longer is no matter of timing."""
TOLD_MAX: Final = 5
UP: Final = "up"
DOWN: Final = "down"


def same_file(ours: State, theirs: State) -> bool:
    """Whether both go by the same configuration."""
    return ours.digest == theirs.digest


def file_sentence(ours: State, theirs: State, peer: str) -> str:
    """What to say of two configurations; empty where they are one."""
    if same_file(ours, theirs):
        return ""
    return (
        f"{peer} runs another configuration ({theirs.digest[:12]}, here {ours.digest[:12]}): "
        "give both the same file, and reload"
    )


def disagreements(ours: State, theirs: State) -> dict[str, tuple[str, str]]:
    """Servers that one of two holds for up and the other for down: our state, then theirs."""
    if not same_file(ours, theirs):
        return {}
    found = {}
    for key in sorted({*ours.health.not_up, *theirs.health.not_up}):
        mine, other = _state(ours.health, key), _state(theirs.health, key)
        if {mine, other} == {UP, DOWN}:
            found[key] = (mine, other)
    return found


def _state(health: HealthState, key: str) -> str:
    """What is not told of is up, unless more are not up than were told of."""
    complete = health.down + health.unknown == len(health.not_up)
    return health.not_up.get(key, UP if complete else "")


class Disagreements:
    """Those that have lasted, with a sentence each."""

    def __init__(self, node: str, peer: str) -> None:
        self._node = node
        self._peer = peer
        self._since: dict[tuple[str, tuple[str, str]], float] = {}
        self.told: dict[str, str] = {}

    def look(self, found: Mapping[str, tuple[str, str]], now: float) -> tuple[list[str], list[str]]:
        """Take in what they disagree on now; what is new, and what is over, as sentences."""
        self._since = {item: self._since.get(item, now) for item in found.items()}
        lasting = {
            key: self._sentence(key, *views)
            for (key, views), since in self._since.items()
            if now - since >= DISAGREE_S
        }
        new = [sentence for key, sentence in lasting.items() if key not in self.told]
        over = [f"{key}: both say the same again" for key in self.told if key not in lasting]
        self.told = lasting
        return new, over

    def _sentence(self, key: str, mine: str, other: str) -> str:
        return (
            f"{key}: {self._node} says {mine}, {self._peer} says {other}: look at the path from "
            f"{self._peer if other == DOWN else self._node} to it"
        )


def listed(sentences: list[str]) -> list[str]:
    """The first of them, and how many more."""
    more = len(sentences) - TOLD_MAX
    return [*sentences[:TOLD_MAX], *([f"and {more} more"] if more > 0 else [])]
