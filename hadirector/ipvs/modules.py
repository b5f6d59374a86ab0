"""Which modules of IPVS this kernel has, and so which schedulers: what follows "no scheduler wlcc".

The problem: the kernel answers ENOENT and lists nothing. The approach: the modules that are loaded,
those that could be loaded (`modules.dep` and `modules.builtin` of the running kernel); all are
named `ip_vs_NAME`. Where neither can be read, there is no list; where only the first can, that
it is short is said. Never: a module loaded from here.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

LOADED = Path("/proc/modules")
LIBRARY = Path("/lib/modules")

_MODULE = re.compile(r"\bip_vs_(\w+?)(?:\.ko\S*|\s)")
_NO_SCHEDULERS = frozenset({"ftp", "pe_sip"})


def schedulers() -> tuple[str, ...]:
    """Their names, sorted; empty where nothing tells."""
    texts = []
    for path in (LOADED, *_listings()):
        with suppress(OSError):
            texts.append(path.read_text(errors="replace"))
    names = {name for text in texts for name in _MODULE.findall(text)}
    return tuple(sorted(names - _NO_SCHEDULERS))


def loaded() -> tuple[str, ...]:
    """The modules of IPVS that are loaded, sorted; none where they are built in."""
    with suppress(OSError):
        lines = LOADED.read_text(errors="replace").splitlines()
        names = (line.split(" ", 1)[0] for line in lines)
        return tuple(sorted(name for name in names if re.match(r"ip_vs(_|$)", name)))
    return ()


def told() -> str:
    """The list in words, and what it lacks; "" where there is none."""
    names = ", ".join(schedulers())
    if not names or any(os.access(path, os.R_OK) for path in _listings()):
        return names and f"there are: {names}"
    where = LIBRARY / os.uname().release
    return f"loaded are: {names}; which others could be is not known, {where} cannot be read"


def _listings() -> tuple[Path, ...]:
    directory = LIBRARY / os.uname().release
    return directory / "modules.dep", directory / "modules.builtin"
