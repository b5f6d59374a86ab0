"""Forked helpers: a small function as a process of its own inside a namespace.

The problem: starting Python costs half a second in the embedded kernel, and the lab needs a process
per real server and one for the client. The approach: fork the warm lab process, enter the
namespace, and run one function until it is killed. The child closes every descriptor it was not
given, dies with its parent, and never runs the parent's finalisers.

It must never: return into the parent's code, or be used by a process with threads (fork copies only
the calling one).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Final

from hadirector.lab.errors import LabError
from hadirector.lab.namespaces import enter

READY_BOUND_S: Final = 10.0
DESCRIPTORS_MAX: Final = 65536
PR_SET_PDEATHSIG: Final = 1

Ready = Callable[[], None]
"""What the function calls once it serves."""


class Forked:
    """One forked process. `start` forks it and `await_ready` waits until it serves."""

    def __init__(
        self,
        name: str,
        namespace: str,
        run: Callable[[Ready], None],
        *,
        keep: tuple[int, ...] = (),
    ) -> None:
        self.name = name
        self._namespace = namespace
        self._run = run
        self._keep = keep
        self._pid: int | None = None
        self._ready: int | None = None

    @property
    def pid(self) -> int | None:
        """Its process number while it runs, as far as this object knows."""
        return self._pid

    def start(self) -> None:
        """Fork. Returns at once; follow it with `await_ready`."""
        assert self._pid is None, f"{self.name} runs already"
        self._ready, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._child(writer)
        os.close(writer)
        self._pid = pid

    def await_ready(self, bound_s: float = READY_BOUND_S) -> None:
        """Wait until it serves. Raises LabError, with what it said, if it failed or is late."""
        assert self._ready is not None, f"{self.name} was not started"
        try:
            readable, _, _ = select.select([self._ready], [], [], bound_s)
            said = os.read(self._ready, 65536) if readable else b"no word within its bound"
        finally:
            os.close(self._ready)
            self._ready = None
        if said != b"ready":
            self.kill()
            raise LabError(f"{self.name} did not start: {said.decode(errors='replace')}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def kill(self) -> None:
        """Kill it and reap it. May be called again."""
        self.signal(signal.SIGKILL)
        if self._pid is not None:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = None
        if self._ready is not None:
            os.close(self._ready)
            self._ready = None

    def _child(self, writer: int) -> None:
        """The child's whole life; never returns."""
        status = 1
        try:
            # Objects of the parent must not be finalised here: their descriptors are closed and
            # the numbers may belong to sockets of ours.
            gc.disable()
            gc.freeze()
            _settle()
            _close_all_but({0, 1, 2, writer, *self._keep})
            enter(self._namespace)

            def ready() -> None:
                os.write(writer, b"ready")
                os.close(writer)

            self._run(ready)
            status = 0
        except BaseException as error:  # noqa: BLE001 -- the end of a process: it must be told
            with contextlib.suppress(OSError):
                os.write(writer, "".join(traceback.format_exception(error)).encode()[-4000:])
        finally:
            sys.stdout.flush()
            os._exit(status)


def _settle() -> None:
    """Die with the parent, and handle signals as a fresh process does."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.setpgid(0, 0)


def _close_all_but(keep: set[int]) -> None:
    previous = -1
    for descriptor in sorted(keep):
        # Never an empty range: Python 3.11 passes its end as -1, which means all there are.
        if descriptor > previous + 1:
            os.closerange(previous + 1, descriptor)
        previous = descriptor
    os.closerange(previous + 1, DESCRIPTORS_MAX)
