"""Whether a program can be run without letting others decide what it does.

Who may write to a program, or to a directory on the way to it, decides what runs. The approach: the
program must be a regular file, executable, owned by root, by us or by the user it will run as, and
neither it nor a directory above may be writable by a group or by others (a directory with the
sticky bit, as /tmp has it, may be).

Reads metadata only. Must never follow a name differently from how the kernel will: symbolic links
are resolved first, and what they lead to is judged.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def refusal(program: str, user_id: int) -> str | None:
    """Why it must not be run as this user; None if it may."""
    try:
        path = Path(program).resolve(strict=True)
        found = path.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        reason = getattr(error, "strerror", None) or str(error)
        return f"{program}: {reason.lower()}"
    if not stat.S_ISREG(found.st_mode):
        return f"{program} is not a file"
    if not found.st_mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH):
        return f"{program} is not executable"
    owners = {0, os.geteuid(), user_id}
    if found.st_uid not in owners:
        return f"{program} is owned by user {found.st_uid}, who could change it"
    if found.st_mode & _OTHERS:
        return f"{program} can be written by others than its owner (chmod go-w)"
    for directory in path.parents:
        above = directory.stat()
        if above.st_uid not in owners:
            return f"{directory} is owned by user {above.st_uid}, who could replace {program}"
        if above.st_mode & _OTHERS and not above.st_mode & stat.S_ISVTX:
            return f"{directory} can be written by others, who could replace {program}"
    return None
