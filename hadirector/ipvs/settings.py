"""Reads and sets what IPVS has besides its table: time-outs, sync daemons, counters.

The hands for ``control``: one request at a time, each acknowledged. Never: a decision, a retry.
"""

from __future__ import annotations

import errno
import os

from hadirector.ipvs import control, messages
from hadirector.ipvs.control import Daemons, SyncDaemon, SyncRole, Timeouts
from hadirector.ipvs.dataplane import DataplaneError, DataplaneForbiddenError
from hadirector.ipvs.model import ServiceKey
from hadirector.ipvs.netlink import ANSWER_TIMEOUT_S, GenericNetlink
from hadirector.ipvs.table import translated
from hadirector.ipvs.wire import Request


class SettingRefusedError(DataplaneError):
    """The kernel refused one setting; the message says which and why."""

    remedy = "correct it and try again"


class KernelSettings:
    """IPVS of the network namespace in which it is first used. For one task at a time."""

    def __init__(self, *, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._netlink = GenericNetlink(messages.FAMILY_NAME, timeout_s=timeout_s)

    async def timeouts(self) -> Timeouts:
        """The time-outs in effect. Raises ``DataplaneError``."""
        with translated():
            return control.decode_timeouts(await self._netlink.ask(control.get_timeouts()))

    async def set_timeouts(self, timeouts: Timeouts) -> None:
        """Change those that are not 0. Raises ``DataplaneError``."""
        await self._do(control.set_timeouts(timeouts), f"set the time-outs to {timeouts}")

    async def daemons(self) -> Daemons:
        """The sync daemons that run, by role. Raises ``DataplaneError``."""
        with translated():
            found = [control.decode_daemon(p) for p in await self._netlink.dump(_DAEMONS)]
        return {daemon.role: daemon for daemon in found}

    async def start_daemon(self, daemon: SyncDaemon) -> None:
        """Start a daemon. Raises ``DataplaneError``."""
        await self._do(control.start_daemon(daemon), f"start the {daemon}")

    async def stop_daemon(self, role: SyncRole) -> None:
        """Stop the daemon of this role. Raises ``DataplaneError``."""
        await self._do(control.stop_daemon(role), f"stop the {role} sync daemon")

    async def zero(self, key: ServiceKey | None = None) -> None:
        """Set counters to 0: of one service, or of all. Raises ``DataplaneError``."""
        what = "all services" if key is None else f"service {key}"
        await self._do(control.zero(key), f"zero the counters of {what}")

    async def flush(self) -> None:
        """Remove every service at once, whoever made it. Raises ``DataplaneError``."""
        await self._do(control.flush(), "remove every service")

    def close(self) -> None:
        """Give the socket back; the next use opens another."""
        self._netlink.close()

    async def _do(self, request: Request, what: str) -> None:
        with translated():
            [(code, words)] = await self._netlink.execute([request])
        if code == errno.EPERM:
            raise DataplaneForbiddenError(f"the kernel refuses to {what} (EPERM)")
        if code:
            name = errno.errorcode.get(code, str(code))
            reason = _REASONS.get(code) or os.strerror(code).lower()
            told = f" ({words})" if words else ""
            raise SettingRefusedError(f"could not {what}: {name}, {reason}{told}")


_DAEMONS = control.get_daemons()
_REASONS = {
    errno.EEXIST: "one runs already, and must be stopped first",
    errno.ESRCH: "there is none",
    errno.ENODEV: "there is no such interface",
}
