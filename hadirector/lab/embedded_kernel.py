"""An embedded kernel: run one command on a real IPVS kernel, as any user, without root.

The problem: rehearsals and kernel tests need IPVS, network namespaces and root, and a desk or a
build machine often has none of them. The approach: User-Mode Linux (Debian's package
`user-mode-linux`) is a Linux kernel that runs as an ordinary process. Its root file system is the
host's own (hostfs), so programs and virtual environments work inside under the same paths. A
generated init script prepares `/proc`, `/sys`, `/run` and the modules, runs the command, leaves its
exit status in a file and switches off.

What the guest writes to a hostfs file is written through at once: a host that reads the file sees
each line as it comes. The reverse does not hold (the guest caches what it has read).

It must never: write outside the host directories it was given, leave processes or temporary files
behind, outlive the process that started it, or report a crash as an exit status.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from hadirector.lab.errors import KernelStopped, LabTimeout, LabUnavailable

MODULES_ROOT: Final = Path("/usr/lib/uml/modules")
SEARCH_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
REMEDY: Final = "install it with: apt-get install user-mode-linux kmod iproute2"

# One modprobe loads them all (0.5 s; one process each took 1.5 s). Schedulers load on demand.
MODULES: Final = (
    "ipv6",
    "ip_vs",
    "nf_conntrack",
    "veth",
    "bridge",
    "dummy",
    "ipip",
    "ip6_tunnel",
    "sit",
    "fou",
    "macvlan",
)
POLL_INTERVAL_S: Final = 0.02
CONSOLE_TAIL_LINES: Final = 40
NO_STATUS: Final = "no status"


@dataclass(frozen=True, slots=True)
class Kernel:
    """Where the embedded kernel and its modules are."""

    binary: Path
    modules: Path
    modprobe: Path


def find_kernel(search_path: str | None = None, modules_root: Path = MODULES_ROOT) -> Kernel:
    """Find the embedded kernel. Raises LabUnavailable, with the command that installs it."""
    path = search_path or f"{os.environ.get('PATH', '')}:{SEARCH_PATH}"
    found = {name: shutil.which(name, path=path) for name in ("linux.uml", "modprobe", "ip")}
    for name, place in found.items():
        if place is None:
            raise LabUnavailable(f"{name} is not on this host", remedy=REMEDY)
    if not any(modules_root.glob("*/kernel/net/netfilter/ipvs/ip_vs.ko*")):
        raise LabUnavailable(f"no IPVS module below {modules_root}", remedy=REMEDY)
    return Kernel(Path(found["linux.uml"] or ""), modules_root, Path(found["modprobe"] or ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What to run inside, and where its traces go. All paths are absolute host paths.

    `output` receives what the command writes to stdout and stderr, as it is written.
    `console_log` receives the kernel's own messages. Both are overwritten.
    """

    argv: tuple[str, ...]
    workdir: Path
    environment: Mapping[str, str]
    output: Path
    console_log: Path
    timeout_s: float
    memory_mb: int = 512

    def __post_init__(self) -> None:
        if not self.argv:
            raise ValueError("no command to run in the embedded kernel")
        for name in self.environment:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"not a name for an environment variable: {name!r}")


def init_script(work: Work, *, kernel: Kernel, status: Path) -> str:
    """The guest's init: a shell script that prepares the kernel, runs the work, then off.

    It ends by switching the machine off on every path, since an init that returns panics the
    kernel; through sysrq, since `halt` costs 0.9 s and writes into the host's login records. Two
    watchdogs bound its life: the work's time-out, and the end of the host process that started it
    (its end closes the pipe behind the guest's /dev/tty1).
    """
    quote = shlex.quote
    exports = "\n".join(f"export {name}={quote(v)}" for name, v in work.environment.items())
    return f"""#!/bin/sh
export PATH={SEARCH_PATH}
off() {{ sync; echo o >/proc/sysrq-trigger; sleep 10; halt -df; }}
finish() {{ echo "$1" >{quote(str(status))}; off; }}
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
( stty -F /dev/tty1 -echo 2>/dev/null; read -r _ </dev/tty1; off ) &
( sleep {int(work.timeout_s) + 30}; off ) &
mkdir -p /run/uml/lib/modules /run/netns /run/lock
mount --bind {quote(str(kernel.modules))} /run/uml/lib/modules
printf '#!/bin/sh\\nexec {quote(str(kernel.modprobe))} -d /run/uml "$@"\\n' >/run/uml/modprobe
chmod 755 /run/uml/modprobe
echo /run/uml/modprobe >/proc/sys/kernel/modprobe
modprobe -d /run/uml -a {" ".join(MODULES)}
[ -e /proc/net/ip_vs ] || finish "failed: the embedded kernel could not load ip_vs"
ip link set lo up
echo lab >/proc/sys/kernel/hostname
cd {quote(str(work.workdir))} || finish "failed: cannot enter "{quote(str(work.workdir))}
(
{exports}
exec {shlex.join(work.argv)}
) >{quote(str(work.output))} 2>&1 </dev/null
finish "exit $?"
"""


class Boot:
    """One boot of the embedded kernel with one piece of work in it.

    Use it as a context manager: leaving it, for whatever reason, kills what is left of the guest
    and removes its temporary files. `poll` and `wait` tell how the work ended.
    """

    def __init__(self, work: Work, *, kernel: Kernel | None = None) -> None:
        self.work = work
        self._kernel = kernel or find_kernel()
        self._scratch: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: int | None = None
        self._deadline = 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the kernel; returns at once. Raises LabUnavailable when it cannot be started."""
        # Short on purpose: the kernel keeps a unix socket in there (at most 107 characters).
        self._scratch = Path(tempfile.mkdtemp(prefix="hdlab-", dir=short_temporary_directory()))
        init = self._scratch / "init"
        init.write_text(init_script(self.work, kernel=self._kernel, status=self._status))
        init.chmod(0o755)
        reader, self._lifeline = os.pipe()
        try:
            with self.work.console_log.open("wb") as console:
                self._process = subprocess.Popen(
                    self._command(init),
                    stdin=reader,
                    stdout=console,
                    stderr=subprocess.STDOUT,
                    env={"PATH": SEARCH_PATH, "HOME": str(self._scratch)},
                    start_new_session=True,
                )
        except OSError as error:
            self.close()
            raise LabUnavailable(
                f"cannot start {self._kernel.binary}: {error}", remedy=REMEDY
            ) from error
        finally:
            os.close(reader)
        self._deadline = time.monotonic() + self.work.timeout_s

    @property
    def _status(self) -> Path:
        assert self._scratch is not None, "the kernel was not started"
        return self._scratch / "status"

    def _command(self, init: Path) -> list[str]:
        return [
            str(self._kernel.binary),
            f"mem={self.work.memory_mb}M",
            "root=/dev/root",
            "rootfstype=hostfs",
            "rootflags=/",
            "rw",
            f"init={init}",
            f"uml_dir={self._scratch}/",
            "umid=lab",
            "con=null",
            "con0=null,fd:1",
            "con1=fd:0,null",
            "ssl=null",
            "noreboot",
            "quiet",
        ]

    def poll(self) -> int | None:
        """The work's exit status; None while it runs.

        Raises KernelStopped when the kernel ended without one, LabTimeout when its time is over.
        """
        assert self._process is not None, "the kernel was not started"
        ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            if time.monotonic() < self._deadline:
                return None
            self.close()
            raise LabTimeout(
                f"{shlex.join(self.work.argv)} did not end within {self.work.timeout_s:g} s "
                f"in the embedded kernel\n{self.traces()}"
            )
        status = self._status.read_text().strip() if self._status.exists() else NO_STATUS
        self.close()
        word, _, rest = status.partition(" ")
        if word == "exit" and rest.isdecimal():
            return int(rest)
        reason = rest if word == "failed:" else "it ended without an exit status"
        raise KernelStopped(f"the embedded kernel stopped: {reason}\n{self.traces()}")

    def wait(self) -> int:
        """Wait for the work's exit status, at most its time-out. Raises as `poll` does."""
        while (status := self.poll()) is None:
            time.sleep(POLL_INTERVAL_S)
        return status

    def traces(self) -> str:
        """The last lines of the kernel's console and of the command's output."""
        return "\n".join(
            f"--- last lines of {path} ---\n{tail(path)}"
            for path in (self.work.console_log, self.work.output)
        )

    def close(self) -> None:
        """Kill what is left of the guest and remove its temporary files. May be called twice."""
        if self._process is not None:
            # The leader is reaped last, so its process group cannot have been given to another.
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None


def run_in_embedded_kernel(work: Work) -> int:
    """Run the work in a fresh embedded kernel and wait for its exit status. Raises LabError."""
    with Boot(work) as boot:
        return boot.wait()


def short_temporary_directory() -> str:
    """A directory for temporary files whose path is short enough for unix sockets below it."""
    directory = tempfile.gettempdir()
    return directory if len(directory) <= 60 else "/tmp"


def tail(path: Path, lines: int = CONSOLE_TAIL_LINES) -> str:
    """The last lines of a file, or a word on why there are none."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        return f"({error.strerror})"
    return "\n".join(text.splitlines()[-lines:]) or "(empty)"
