"""The words by which a server says how it is: HAProxy's agent protocol.

HAProxy's configuration manual (`agent-check`): words separated by blanks or commas; a percentage
of the configured weight, `up`, `ready`, `drain`, `maint`, `down`, `failed`, `stopped`, a text after
`#` that says why, and `maxconn:N`, which has no meaning here. The last word of a sort counts.

Decides only. Must never take for healthy what it does not understand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from checkers.base import Advice
from checkers.recording import plain

_DOWN = {"down", "failed", "stopped", "maint"}
_UP = {"up", "ready"}
_PERCENT = re.compile(r"([0-9]{1,3})%", re.ASCII)
_WEIGHT = re.compile(r"[0-9]{1,5}", re.ASCII)
_MAXCONN = re.compile(r"maxconn:[0-9]+%?", re.ASCII)
_WEIGHT_MAX = 65535


class WordError(ValueError):
    """A word that means nothing."""


@dataclass(frozen=True, slots=True)
class Saying:
    """What a line says."""

    healthy: bool
    word: str
    """The word that decided, with the reason given."""
    advice: Advice | None


def understand(line: bytes, *, weights: bool = False) -> Saying:
    """What the line says; `weights`: a plain number is a weight. Raises WordError."""
    text, _, why = line.decode("utf-8", "replace").partition("#")
    words = text.lower().replace(",", " ").split()
    if not words:
        raise WordError("it says nothing")
    state = ""
    percent: int | None = None
    weight: int | None = None
    for word in words:
        share = _PERCENT.fullmatch(word)
        if share:
            percent = int(share[1])
        elif weights and _WEIGHT.fullmatch(word):
            weight = int(word)
        elif word in _DOWN or word in _UP or word == "drain":
            state = word
        elif not _MAXCONN.fullmatch(word):
            raise WordError(f'it says "{plain(word.encode(), 40)}", which means nothing')
    if (percent or 0) > 100 or (weight or 0) > _WEIGHT_MAX:
        raise WordError(f'it says "{plain(text.strip().encode(), 40)}", which is too much')
    said = " ".join(words)
    because = f" ({plain(why.strip().encode(), 80)})" if why.strip() else ""
    advice = Advice(weight=weight, percent=percent, drain=state == "drain")
    return Saying(
        state not in _DOWN,
        plain(said.encode(), 40) + because,
        None if advice == Advice() else advice,
    )
