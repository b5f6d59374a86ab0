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
from typing import Final

_REALTIME_PRIORITY: Final = 20
"""Above ordinary programs, below the kernel's own threads (50)."""
_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2
_PR_SET_PDEATHSIG: Final = 1


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

    Only with an unlimited RLIMIT_MEMLOCK: with a limit, locking succeeds at first and allocations
    fail later, which is worse than being paged out.
    """
    unlimited = resource.RLIM_INFINITY
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (unlimited, unlimited))
    except (OSError, ValueError):
        if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != unlimited:
            return (
                "memory is not locked (RLIMIT_MEMLOCK): under memory pressure, adverts can be late"
            )
    library = ctypes.CDLL(None, use_errno=True)
    if library.mlockall(_MCL_CURRENT | _MCL_FUTURE) != 0:
        reason = os.strerror(ctypes.get_errno())
        return f"memory is not locked ({reason}): under memory pressure, adverts can be late"
    return None


def signal_at_parents_death(number: signal.Signals) -> None:
    """Have the kernel send `number` to this process when its parent dies.

    More exactly: when the *thread* that started it ends. A parent that was dead before is not
    noticed; the end of the socket to it is. Raises OSError.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        number_of_error = ctypes.get_errno()
        raise OSError(number_of_error, os.strerror(number_of_error))
