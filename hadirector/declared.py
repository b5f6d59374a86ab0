"""Remembers, across a restart, which services this daemon has put into the kernel's table.

The table stays when the daemon stops. If a service is taken out of the file while the daemon is
down, the next start must remove it, and it must not remove what somebody else has put there. So the
keys are kept beside the daemon's socket, in a directory that lives exactly as long as the kernel's
table does: both are gone after a reboot.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hadirector.ipvs.model import ServiceKey

FILE_NAME = "declared.json"


class Memory:
    """Writes what is declared, whenever that changed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._written: frozenset[ServiceKey] = frozenset()
        self.trouble: str | None = None  # why it is not kept, while it is not

    def keep(self, keys: Iterable[ServiceKey]) -> None:
        """Keep these from now on."""
        wanted = frozenset(keys)
        if wanted == self._written:
            return
        try:
            remember(self._directory, wanted)
        except OSError as error:
            self.trouble = f"what is declared cannot be written: {error}"
        else:
            self._written, self.trouble = wanted, None


def remember(directory: Path, keys: Iterable[ServiceKey]) -> None:
    """Write the keys; raises OSError."""
    from hadirector.config.addresses import format_listen
    from hadirector.ipvs.model import FirewallMark

    lines = sorted(
        f"fwmark:{key.mark} {key.version}" if isinstance(key, FirewallMark) else format_listen(key)
        for key in keys
    )
    fresh = directory / (FILE_NAME + ".new")
    fresh.write_text(json.dumps(lines))
    fresh.replace(directory / FILE_NAME)


def is_anything_left(directory: Path) -> bool:
    """Whether something is remembered; where that cannot be known, yes."""
    try:
        return (directory / FILE_NAME).read_text().strip() != "[]"
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True


def recall(directory: Path) -> set[ServiceKey]:
    """Return what was remembered, nothing where there is no file; raises OSError or ValueError."""
    from hadirector.config.addresses import parse_listen
    from hadirector.ipvs.model import FirewallMark

    try:
        lines = json.loads((directory / FILE_NAME).read_text())
    except FileNotFoundError:
        return set()
    keys: set[ServiceKey] = set()
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ValueError(f"{directory / FILE_NAME} is no list of services")
    for line in lines:
        listen, _, version = line.partition(" ")
        key = parse_listen(listen)
        keys.add(FirewallMark(key.mark, int(version)) if isinstance(key, FirewallMark) else key)
    return keys
