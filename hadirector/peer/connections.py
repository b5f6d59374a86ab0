"""Reads the kernel's connections for a sample of them, in a thread: there may be millions."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

from hadirector.connection_sync import SYNC_WINDOW_S
from hadirector.peer import steady

CONNECTIONS = Path("/proc/thread-self/net/ip_vs_conn")


async def that_stand() -> list[str]:
    """A sample of the TCP connections here that live for a sync window; takes as long."""
    first = await asyncio.to_thread(_established, steady.SAMPLED_MAX)
    await asyncio.sleep(SYNC_WINDOW_S)
    if not first:
        return []
    return steady.alive(first, await asyncio.to_thread(_established, steady.LINES_MAX))


async def those_held(keys: Collection[str]) -> list[str]:
    """Those of these connections that this kernel holds."""
    return await asyncio.to_thread(_held, keys) if keys else []


def _established(most: int) -> dict[str, int]:
    try:
        with CONNECTIONS.open() as lines:
            return steady.established(lines, most)
    except OSError:  # no IPVS in this kernel: no connections
        return {}


def _held(keys: Collection[str]) -> list[str]:
    try:
        with CONNECTIONS.open() as lines:
            return steady.held(lines, keys)
    except OSError:
        return []
