"""The drill of a reload that must be refused: the daemon is shown a bad file. Pure.

The problem: to show that a bad file does no harm, the daemon must read one where its own is, and
the operator's file must be safe whatever happens. The approach: the bad file, which comes with this
program, is mounted over the other one (mount(8), --bind), where the daemon alone sees it if it has
mounts of its own. Nothing is written, and a reboot takes it away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from hadirector.cli.errors import EXIT_INVALID
from hadirector.drill.live import (
    Drill,
    Facts,
    Look,
    Planned,
    Promise,
    lasting,
    tool,
    unharmed,
)
from hadirector.drill.sequence import Run, Step
from hadirector.limits import RELOAD_TIMEOUT_S
from hadirector.peer.switchover import Obstacle

BROKEN = Path(__file__).with_name("broken.yaml")
SEEN_MS = 2000.0
_NOT_MOUNTED = 32  # umount(8)


def _bad_file(facts: Facts) -> Planned:
    """A bad file is mounted over the daemon's: nothing is written, and a reboot takes it away."""
    file = str(facts.status["file"])
    reload = facts.command("reload", bound_s=RELOAD_TIMEOUT_S)
    promises = (
        Promise(
            "the reload is refused, and everything goes on as before", SEEN_MS, _refused(facts)
        ),
    )
    steps = (
        # Undone last, when the file is itself again.
        Step(text="note that the file is to be read again at the end", act=None, undo=reload),
        Step(
            text=f"have the daemon see a bad file in place of {file}",
            act=Run((*facts.enter, "mount", "--bind", str(BROKEN), file)),
            # Succeeds also where there is nothing to take away; lazily, since the daemon may be
            # reading it. Were it still mounted, the reload that follows would be refused, and told.
            undo=Run((*facts.enter, "umount", "--quiet", "--lazy", file), (0, _NOT_MOUNTED)),
        ),
        Step(
            text="hadirector reload, which must be refused",
            act=Run(reload.argv, (EXIT_INVALID,), reload.bound_s),
            hold_s=lasting(promises),
        ),
    )
    return steps, promises


def _refused(facts: Facts) -> Callable[[Look], bool]:
    before = facts.status["digest"]

    def holds(look: Look) -> bool:
        said = any(each.startswith("reload: reload refused") for each in look.journaled)
        return said and look.status.get("digest") == before

    return holds


def _bad_file_lacks(facts: Facts) -> list[Obstacle]:
    names = ("mount", "umount", "nsenter") if facts.enter else ("mount", "umount")
    return [missing for name in names for missing in tool(facts, name)]


FILE_DRILLS: Mapping[str, Drill] = MappingProxyType(
    {
        "reload-bad-file": Drill(
            name="reload-bad-file",
            title="the daemon is told to read a file that is wrong",
            plan=_bad_file,
            budget_ms=unharmed,
            lacks=_bad_file_lacks,
        )
    }
)
"""By name."""
