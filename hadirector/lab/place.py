"""Where a lab can be: on the host's kernel or in an embedded one; and running a program there.

The problem: the same rehearsal must work for root on a host with IPVS and for anybody at a desk.
The approach: choose the place, start one Python program there, and pass on the events that it
appends, as lines of JSON, to a file which both sides see (`emit`). The caller iterates over them as
they come.

It must never leave processes, namespaces or files behind, whichever side ends first.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from hadirector import host
from hadirector.lab.embedded_kernel import MODULES, SEARCH_PATH, Boot, Work, find_kernel, tail
from hadirector.lab.errors import LabTimeout, LabUnavailable

EVENTS_VARIABLE: Final = "HADIRECTOR_LAB_EVENTS"
PREFIX_VARIABLE: Final = "HADIRECTOR_LAB_PREFIX"
PLACE_VARIABLE: Final = "HADIRECTOR_LAB"
"""Set it to `host` or `embedded` to have no choice."""
POLL_INTERVAL_S: Final = 0.02
PASSED_ON: Final = ("PATH", "HOME", "LANG", "TERM", "NO_COLOR", "PYTHONPATH")


class Place(Enum):
    """Which kernel the lab uses."""

    HOST = "host"
    EMBEDDED = "embedded"


def choose_place() -> Place:
    """The host where it can, else the embedded kernel. Raises LabUnavailable, with the remedy."""
    wanted = os.environ.get(PLACE_VARIABLE, "")
    if wanted not in ("", *(place.value for place in Place)):
        raise LabUnavailable(f"{PLACE_VARIABLE}={wanted}", remedy="set it to host or embedded")
    if wanted == Place.HOST.value and not host_can():
        raise LabUnavailable(
            "this host cannot hold the lab: it takes root and a kernel with IPVS",
            remedy=f"become root and run `modprobe ip_vs`, or unset {PLACE_VARIABLE}",
        )
    if wanted != Place.EMBEDDED.value and host_can():
        return Place.HOST
    find_kernel()
    return Place.EMBEDDED


def host_can() -> bool:
    """Whether this process may build a world with IPVS on the running kernel."""
    if host.lacking(host.STATUS.read_text(), *host.CAPABILITIES):
        return False
    if host.in_user_namespace(host.UID_MAP.read_text()):
        return False
    if os.environ.get(PLACE_VARIABLE) != Place.EMBEDDED.value:
        # What is built in or missing is no concern here: what counts is the outcome.
        host.load_modules(*MODULES)
    return host.has_ipvs()


def emit(event: Mapping[str, object]) -> None:
    """For the program inside: append one event for the caller outside."""
    line = json.dumps(event).encode() + b"\n"
    descriptor = os.open(os.environ[EVENTS_VARIABLE], os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


class _Runner(Protocol):
    def poll(self) -> int | None: ...
    def traces(self) -> str: ...
    def close(self) -> None: ...


class LabRun:
    """A program in the lab. Iterate over its events; then `status` is its exit status.

    Use it as a context manager: leaving it ends the program and removes its world. Iterating raises
    LabTimeout after `timeout_s` seconds and KernelStopped when the embedded kernel crashed.
    """

    def __init__(self, argv: Sequence[str], *, timeout_s: float, memory_mb: int = 512) -> None:
        self.place = choose_place()
        self.status: int | None = None
        self._directory = Path(tempfile.mkdtemp(prefix="hadirector-lab-"))
        self._events = self._directory / "events"
        self._events.touch()
        self._read_to = 0
        self._prefix = f"hd{secrets.token_hex(2)}-"
        work = Work(
            argv=tuple(argv),
            workdir=Path.cwd(),
            environment=self._environment(),
            output=self._directory / "output",
            console_log=self._directory / "console",
            timeout_s=timeout_s,
            memory_mb=memory_mb,
        )
        self._runner: _Runner = _HostRun(work) if self.place is Place.HOST else Boot(work)

    def __enter__(self) -> Self:
        try:
            if isinstance(self._runner, Boot):
                self._runner.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[dict[str, object]]:
        while self.status is None:
            self.status = self._runner.poll()
            yield from self._new_events()
            if self.status is None:
                time.sleep(POLL_INTERVAL_S)

    def traces(self) -> str:
        """The last lines of what the program and the embedded kernel printed, to explain an end."""
        return self._runner.traces()

    def output(self) -> str:
        """All that the program has printed so far."""
        return tail(self._directory / "output", lines=sys.maxsize)

    def close(self) -> None:
        """End everything. May be called again."""
        self._runner.close()
        if self.place is Place.HOST:
            _remove_namespaces(self._prefix)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        import hadirector

        source = str(Path(hadirector.__file__).parent.parent)
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        paths = [source, *filter(None, [environment.get("PYTHONPATH")])]
        return environment | {
            # An ordinary user's path lacks the directories of ipvsadm and ip.
            "PATH": ":".join(filter(None, [environment.get("PATH"), SEARCH_PATH])),
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            EVENTS_VARIABLE: str(self._events),
            PREFIX_VARIABLE: self._prefix,
        }

    def _new_events(self) -> Iterator[dict[str, object]]:
        with self._events.open("rb") as file:
            file.seek(self._read_to)
            lines, _, _ = file.read().rpartition(b"\n")
        if lines:
            self._read_to += len(lines) + 1
            for line in lines.split(b"\n"):
                yield json.loads(line)


def run_lab(
    module: str, arguments: Sequence[str] = (), *, timeout_s: float, memory_mb: int = 512
) -> LabRun:
    """`python -m module arguments` in the lab, to be used as a context manager."""
    return LabRun(
        (sys.executable, "-m", module, *arguments), timeout_s=timeout_s, memory_mb=memory_mb
    )


class _HostRun:
    """The program as a child on this host: same questions as to a `Boot`."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._deadline = time.monotonic() + work.timeout_s
        with work.output.open("wb") as output:
            self._process = subprocess.Popen(
                work.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(work.environment),
                cwd=work.workdir,
                start_new_session=True,
            )

    def poll(self) -> int | None:
        status = self._process.poll()
        if status is None and time.monotonic() >= self._deadline:
            self.close()
            raise LabTimeout(
                f"{shlex.join(self._work.argv)} did not end within {self._work.timeout_s:g} s\n"
                f"{self.traces()}"
            )
        return status

    def traces(self) -> str:
        return f"--- last lines of its output ---\n{tail(self._work.output)}"

    def close(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _remove_namespaces(prefix: str) -> None:
    """Remove what a killed program has left of its world."""
    from hadirector.lab.namespaces import NAMESPACES, remove_namespaces

    if NAMESPACES.is_dir():
        remove_namespaces([each.name for each in NAMESPACES.glob(f"{prefix}*")])
