"""Durations as people write them: `500ms`, `2s`, `5m`, `1h`.

The problem: a bare number hides its unit, and every system in use has another one (keepalived:
seconds, some of its fields microseconds). The approach: a duration is text with a unit, always;
inside the program it is a float of seconds. Never accept a number without its unit.
"""

from __future__ import annotations

import re

from hadirector.config.diagnostics import Rule, UnfitError

PATTERN = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$"
"""What a duration looks like; also stands in the JSON Schema."""

_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_SHAPE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(ms|s|m|h)", re.ASCII)
_BARE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)


class DurationError(UnfitError):
    """Text that is not a duration."""

    rule = Rule.BAD_DURATION


def parse_duration(text: str) -> float:
    """Seconds of a written duration; raises DurationError."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        if _BARE.fullmatch(text):
            raise DurationError(f"{text} has no unit", f"write {text}s or {text}ms")
        raise DurationError(
            f'"{text}" is not a duration', "write a number and a unit: 500ms, 2s, 5m, 1h"
        )
    return float(found[1]) * _MILLISECONDS[found[2]] / 1000


def format_duration(seconds: float) -> str:
    """How people would write `seconds`: in hours or minutes only where that needs no fraction."""
    milliseconds = round(seconds * 1000, 6)
    if milliseconds == 0:
        return "0s"
    for unit in ("h", "m"):
        count = milliseconds / _MILLISECONDS[unit]
        if count >= 1 and count.is_integer():
            return f"{int(count)}{unit}"
    unit = "s" if milliseconds >= _MILLISECONDS["s"] else "ms"
    return f"{milliseconds / _MILLISECONDS[unit]:.6f}".rstrip("0").rstrip(".") + unit
