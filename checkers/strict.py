"""Values out of JSON that nobody vouches for: each is what it should be, or a ValueError. Pure."""

from __future__ import annotations

import math


def as_whole(value: object) -> int:
    """A whole number from 0 on; `true` is none."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no whole number")
    return value


def as_number(value: object) -> float:
    """A number, and a finite one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def as_text(value: object, characters_max: int | None = None) -> str:
    """A text, not longer than that."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    if characters_max is not None and len(value) > characters_max:
        raise ValueError(f"a text of {len(value)} characters, where {characters_max} are the most")
    return value
