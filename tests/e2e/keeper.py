"""Finds the process that carries out the steps of a drill, so that a test can kill it."""

from pathlib import Path


def keeper_of(command: int) -> int:
    """Its process id; `command` is that of `hadirector drill run`."""
    children = Path(f"/proc/{command}/task/{command}/children").read_text().split()
    (found,) = [
        int(pid) for pid in children if b"drill.keeper" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return found
