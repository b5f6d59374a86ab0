"""Modules of IPVS: which schedulers this kernel has, which modules are loaded, which will be.

The problem: the kernel answers "no scheduler 'wlcc'" with ENOENT and lists nothing, and loads
modules without a word. The approach: the modules that are loaded, those that could be loaded
(`modules.dep` and `modules.builtin` of the running kernel); all are named `ip_vs_NAME`. Where
neither can be read, there is no list; where only the first can, that it is short is said. Never: a
module loaded from here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LOADED = Path("/proc/modules")
LIBRARY = Path("/lib/modules")

_MODULE = re.compile(r"\bip_vs_(\w+?)(?:\.ko\S*|\s)")
_NAMED = re.compile(r"\b(ip_vs(?:_\w+?)?)\.ko")
_NO_SCHEDULERS = frozenset({"ftp", "pe_sip"})


def schedulers() -> tuple[str, ...]:
    """Their names, sorted; empty where nothing tells."""
    texts = map(_text, (LOADED, *_listings()))
    names = {name for text in texts for name in _MODULE.findall(text)}
    return tuple(sorted(names - _NO_SCHEDULERS))


def told() -> str:
    """The list in words, and what it lacks; "" where there is none."""
    names = ", ".join(schedulers())
    if not names or any(os.access(path, os.R_OK) for path in _listings()):
        return names and f"there are: {names}"
    where = LIBRARY / os.uname().release
    return f"loaded are: {names}; which others could be is not known, {where} cannot be read"


def loaded() -> tuple[str, ...]:
    """The modules of IPVS that are loaded, sorted; none where they are built in."""
    names = (line.partition(" ")[0] for line in _text(LOADED).splitlines())
    return tuple(sorted(name for name in names if re.match(r"ip_vs(_|$)", name)))


def ahead(modules: Iterable[str]) -> tuple[str, ...]:
    """Sentences on those of these modules that are not loaded yet, and on those that cannot be."""
    builtin = set(_NAMED.findall(_text(_listings()[1])))
    absent = set(modules) - set(loaded()) - builtin
    known = set(_NAMED.findall("".join(map(_text, _listings()))))
    lacking = absent - known if known else set()
    sentences = []
    if comes := ", ".join(sorted(absent - lacking)):
        doubt = "" if known else "; whether this kernel has them is not known"
        sentences.append(f"modules that are loaded for it: {comes}{doubt}")
    for name in sorted(lacking):
        is_scheduler = name.removeprefix("ip_vs_").partition("_")[0] not in ("ftp", "pe")
        sentences.append(f"this kernel has no {name}" + is_scheduler * f"; {told()}")
    return tuple(sentences)


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(errors="replace")
    return ""


def _listings() -> tuple[Path, ...]:
    directory = LIBRARY / os.uname().release
    return directory / "modules.dep", directory / "modules.builtin"
