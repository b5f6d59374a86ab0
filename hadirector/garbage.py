"""Keeps Python from looking for cycles while a large thing is made.

The problem: making a million objects has the collector walk all of them again and again, although
none of them is garbage yet; that was half of what reading a large table cost. The approach: it
rests meanwhile. Never: for longer than one such piece of work.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Without looking for cycles among a million objects, of which none is garbage yet."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
