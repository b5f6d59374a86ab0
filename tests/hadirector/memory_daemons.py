"""The kernel's sync daemons in memory: what ``KernelSettings`` does, as far as daemons go.

Held to the kernel by tests/kernel/test_connection_sync.py, which runs the same stories on it.
"""

from __future__ import annotations

from dataclasses import replace

from hadirector.ipvs.control import Daemons, SyncDaemon, SyncRole
from hadirector.ipvs.settings import SettingRefusedError


class MemoryDaemons:
    """At most one daemon of each role; `done` is what was asked, in order."""

    def __init__(self) -> None:
        self.running: Daemons = {}
        self.done: list[str] = []
        self.refuse = ""

    async def daemons(self) -> Daemons:
        """The daemons that run."""
        return dict(self.running)

    async def start_daemon(self, daemon: SyncDaemon) -> None:
        """Start one; the kernel chooses a length where none is asked."""
        if daemon.role in self.running or self.refuse:
            raise SettingRefusedError(self.refuse or "EEXIST")
        self.done.append(f"start {daemon.role}")
        self.running[daemon.role] = replace(daemon, maxlen=daemon.maxlen or 1472)

    async def stop_daemon(self, role: SyncRole) -> None:
        """Stop one."""
        if role not in self.running:
            raise SettingRefusedError("ESRCH")
        self.done.append(f"stop {role}")
        del self.running[role]
