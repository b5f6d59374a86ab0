"""What the worker asks of the kernel for itself: to be woken in time, to be told of its orphanhood.

Adverts that are late cause a failover nobody needed. So the worker wants real-time scheduling and
memory that is never paged out. Both need privileges or limits that not every host grants; then the
worker runs on without, and says so.

References: sched(7), mlockall(2), prctl(2) PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from pathlib import Path
from typing import Final

_REALTIME_PRIORITY: Final = 20
"""Above ordinary programs, below the kernel's own threads (50)."""
_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2
_MCL_ONFAULT: Final = 4  # since Linux 4.4
_PR_SET_PDEATHSIG: Final = 1
_CAP_IPC_LOCK: Final = 14
_ALL_USERS: Final = ["0", "0", str(2**32 - 1)]
"""The map of the first user namespace, user_namespaces(7)."""


def claim_realtime() -> str | None:
    """Ask for real-time scheduling; return a sentence if it is refused.

    What is started from here does not inherit it.
    """
    policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    try:
        os.sched_setscheduler(0, policy, os.sched_param(_REALTIME_PRIORITY))
    except OSError as error:
        return (
            f"runs without real-time scheduling ({error.strerror}): under load, adverts can be late"
        )
    return None


def lock_memory() -> str | None:
    """Keep this process in memory; return a sentence if that is refused.

    Only with an unlimited RLIMIT_MEMLOCK, or the privilege for which no limit counts: with a limit,
    locking succeeds at first and allocations fail later, which is worse than being paged out.
    A page is locked when it is first used (MCL_ONFAULT): what libraries bring along and nobody
    calls, some megabytes, is never loaded.
    """
    unlimited = resource.RLIM_INFINITY
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (unlimited, unlimited))
    except (OSError, ValueError):
        limited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != unlimited
        if limited and not _may_lock_anything():
            return (
                "memory is not locked (RLIMIT_MEMLOCK): under memory pressure, adverts can be late"
            )
    library = ctypes.CDLL(None, use_errno=True)
    if library.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        reason = os.strerror(ctypes.get_errno())
        return f"memory is not locked ({reason}): under memory pressure, adverts can be late"
    return None


def _may_lock_anything() -> bool:
    """Tell whether we have CAP_IPC_LOCK where it counts: in the first user namespace."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    effective = int(status.partition("CapEff:")[2].split()[0], 16)
    whole = Path("/proc/self/uid_map").read_text(encoding="ascii").split() == _ALL_USERS
    return whole and bool(effective >> _CAP_IPC_LOCK & 1)


def signal_at_parents_death(number: signal.Signals) -> None:
    """Have the kernel send `number` to this process when its parent dies.

    More exactly: when the *thread* that started it ends. A parent that was dead before is not
    noticed; the end of the socket to it is. Raises OSError.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        number_of_error = ctypes.get_errno()
        raise OSError(number_of_error, os.strerror(number_of_error))
