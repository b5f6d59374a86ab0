"""One director on the stage: the real program in its namespace, with power, cables and a state
dir.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from hadirector.cli.client import ask
from hadirector.cli.errors import CliError
from hadirector.drill import procfs
from hadirector.lab.certificates import CERTIFICATE
from hadirector.lab.errors import LabError
from hadirector.lab.namespaces import BuiltWorld, inside, is_alive, processes_in
from hadirector.lab.world import Machine

ASK_TIMEOUT_S = 3.0
RELOAD_BOUND_S = 60.0
EVENTS_ASKED = 200
EXPIRE = Path("/proc/sys/net/ipv4/vs/expire_nodest_conn")


class DirectorActor:
    """A director that can be started, asked, hurt, and cut from its power."""

    def __init__(
        self, name: str, machine: Machine, built: BuiltWorld, *, workdir: Path, file: Path
    ) -> None:
        self.name = name
        self.machine = machine
        self.powered = False
        self.log = workdir / f"{name}.log"
        self._built = built
        self._file = file
        self._runtime_dir = workdir / name / "run"
        self._state_dir = workdir / name / "state"
        # The lab's servers are signed by nobody the host knows.
        certificate = workdir / CERTIFICATE
        self._environment = {"SSL_CERT_FILE": str(certificate)} if certificate.exists() else {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """`hadirector run`, as a user starts it."""
        with self.log.open("ab") as log:
            self._process = self._built.spawn(
                self.machine,
                [
                    *_program("run"),
                    str(self._file),
                    *("--node", self.name),
                    *("--runtime-dir", str(self._runtime_dir)),
                    *("--state-dir", str(self._state_dir)),
                ],
                environment={**os.environ, **self._environment},
                output=log,
            )
        self.powered = True

    def power_off(self) -> None:
        """Lose power: everything stands still at once, so that nobody can say goodbye."""
        for pid in self.processes():
            os.kill(pid, signal.SIGSTOP)
        self._built.cut_cables(self.machine)
        self._built.kill_processes(self.machine)
        self._reap()
        self.powered = False

    def power_on(self) -> None:
        """Come back as after a reboot: only the configured addresses, an empty table, and start."""
        self._built.forget_addresses(self.machine)
        self._forget_connections()
        shutil.rmtree(self._runtime_dir, ignore_errors=True)
        self._built.plug_cables(self.machine)
        self.start()

    def _forget_connections(self) -> None:
        """What a reboot empties: the table, its connections, the sync daemons."""
        for role in ("master", "backup"):
            with suppress(LabError):  # it did not run
                self._built.run(self.machine, ["ipvsadm", "--stop-daemon", role])
        with inside(self.machine.namespace):
            # Then the kernel drops connections with the servers they were to (ip_vs_ctl.c).
            EXPIRE.write_text("1")
        self._built.run(self.machine, ["ipvsadm", "-C"])

    @property
    def runs(self) -> bool:
        """Whether the process that `start` started is there."""
        return self._process is not None and self._process.poll() is None

    def processes(self) -> list[int]:
        """Every process on this machine that is not a zombie."""
        return [pid for pid in processes_in([self.machine.namespace]) if is_alive(pid)]

    def stop(self) -> None:
        """SIGTERM, and the end of the process; killed when it takes too long."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._built.kill_processes(self.machine)
        self._reap()
        self.powered = False

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None

    def signal(self, process: str, name: str) -> int:
        """Send a signal to one of its processes; return the pid."""
        pid = self.pids()[process]
        os.kill(pid, signal.Signals[name])
        return pid

    def pids(self) -> Mapping[str, int]:
        """Its processes that run, by name."""
        processes = self.status().get("processes", {})
        return {name: facts["pid"] for name, facts in processes.items() if facts["pid"]}

    def is_ready(self) -> bool:
        """Whether it answers and has said that it is ready."""
        return bool(self.status().get("ready"))

    def status(self) -> dict[str, Any]:
        """What its API says; empty while nobody answers."""
        return self._ask("/status")

    def explain(self, what: str) -> dict[str, Any]:
        """Why something is as it is; empty while nobody answers."""
        return self._ask(f"/explain?what={quote(what, safe='')}")

    def events(self, *, since: float) -> list[dict[str, Any]]:
        """Its journal from a moment on (unix time)."""
        events = self._ask(f"/events?count={EVENTS_ASKED}").get("events", [])
        return [event for event in events if event["at"] >= since]

    def reload(self) -> tuple[bool, str]:
        """`hadirector reload`, as a user does it: whether it was accepted, and its first words."""
        done = subprocess.run(
            [*_program("reload"), "--runtime-dir", str(self._runtime_dir)],
            capture_output=True,
            text=True,
            timeout=RELOAD_BOUND_S,
            check=False,
        )
        said = (done.stdout + done.stderr).strip()
        return done.returncode == 0, said.partition("\n")[0]

    def switchover(self, to: str, *options: str) -> subprocess.Popen[str]:
        """`hadirector switchover --to NODE`, as a user does it, under way."""
        command = [*_program("switchover"), "--to", to, *options]
        command += ["--runtime-dir", str(self._runtime_dir)]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def table(self) -> frozenset[procfs.Line]:
        """The kernel's table in its namespace."""
        with inside(self.machine.namespace):
            return procfs.parse(Path("/proc/thread-self/net/ip_vs").read_text())

    def _ask(self, path: str) -> dict[str, Any]:
        try:
            return cast("dict[str, Any]", ask(self._runtime_dir, path, timeout_s=ASK_TIMEOUT_S))
        except CliError:
            return {}


def _program(verb: str) -> list[str]:
    return [sys.executable, "-m", "hadirector", verb]
