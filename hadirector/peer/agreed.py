"""What an operator has told the pair, kept across a restart of the director process.

A pause, a planned switchover, and for which virtual routers this director has yielded to the other
one. It is kept beside the daemon's socket, in a directory that is gone after a reboot: a host that
comes back takes part as its file says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from vrrp.typed_json import MessageError, read_dataclass, read_line, write_line

FILE_NAME = "pair.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """Since when (unix time) and by whose order nothing is written to the kernel."""

    since: float
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A switchover for later (`at`: unix time)."""

    at: float
    to: str
    force: bool
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Yielded:
    """For one virtual router, the most that our priority may be, and why."""

    at_most: int
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """All of it."""

    paused: Paused | None = None
    planned: Planned | None = None
    yielded: dict[str, Yielded] = field(default_factory=dict)


class AgreedStore:
    """Holds it, and writes whatever changes. `trouble` says why it is not kept, while it is not."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self.trouble: str | None = None
        try:
            self.now = _recall(self._path)
        except (OSError, MessageError) as error:
            self.now = Agreed()
            self.trouble = f"what the pair had agreed is not known: {self._path}: {error}"

    def hold(self, agreed: Agreed) -> None:
        """Go by this from now on."""
        if agreed == self.now:
            return
        self.now = agreed
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            fresh.write_bytes(write_line(agreed))
            fresh.replace(self._path)
        except OSError as error:
            self.trouble = f"{self._path} cannot be written: a restart forgets it: {error.strerror}"
        else:
            self.trouble = None


def _recall(path: Path) -> Agreed:
    try:
        line = path.read_bytes()
    except FileNotFoundError:
        return Agreed()
    return cast("Agreed", read_dataclass(Agreed, read_line(line), path.name))


def as_json(agreed: Agreed) -> Mapping[str, object]:
    """For `status`."""
    return cast("Mapping[str, object]", json.loads(write_line(agreed)))
