"""What must be true before the daemon starts; each question raises CliError with the remedy.

Asked once, before anything is touched, so that a daemon that cannot work says so in one line
instead of failing halfway.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from hadirector.cli.errors import EXIT_CANNOT, EXIT_INVALID, CliError

CAP_NET_ADMIN = 12  # linux/capability.h
CAP_NET_RAW = 13
LOCK_NAME = "lock"
MODPROBE_TIMEOUT_S = 10.0
SOCKET_PATH_MAX = 107  # sizeof(sockaddr_un.sun_path) without its final zero


def privileges() -> None:
    """CAP_NET_ADMIN for IPVS and addresses, CAP_NET_RAW for VRRP and gratuitous ARP."""
    missing = [
        name
        for name, bit in (("CAP_NET_ADMIN", CAP_NET_ADMIN), ("CAP_NET_RAW", CAP_NET_RAW))
        if not effective_capabilities() >> bit & 1
    ]
    if missing:
        raise CliError(
            f"this process lacks {' and '.join(missing)}",
            "run it as root (to try a file without root: hadirector rehearse FILE)",
            EXIT_CANNOT,
        )


def effective_capabilities() -> int:
    """The effective capabilities of this process, as a bit mask (proc(5): CapEff)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def kernel_has_ipvs() -> None:
    """IPVS in this kernel, loaded now if it is a module."""
    if ipvs_is_there():
        return
    modprobe = shutil.which("modprobe", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if modprobe is not None:
        with suppress(OSError, subprocess.TimeoutExpired):  # then it is not there, as is said below
            subprocess.run(
                [modprobe, "ip_vs"], check=False, capture_output=True, timeout=MODPROBE_TIMEOUT_S
            )
    if not ipvs_is_there():
        raise CliError(
            "this kernel has no IPVS (modprobe ip_vs does not help)",
            "use a kernel with CONFIG_IP_VS; any machine can rehearse: hadirector rehearse FILE",
            EXIT_CANNOT,
        )


def ipvs_is_there() -> bool:
    """Whether IPVS is loaded."""
    return Path("/proc/net/ip_vs").exists()


def directory(path: Path) -> None:
    """A directory that we can write to, made if missing."""
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
        writable = os.access(path, os.W_OK)
    except OSError as error:
        raise CliError(
            f"{path} cannot be made: {error.strerror}", "name another directory", EXIT_CANNOT
        ) from error
    if not writable:
        raise CliError(
            f"{path} is not writable", "run as root, or name another directory", EXIT_CANNOT
        )


def socket_path(path: Path) -> None:
    """A path at which a unix socket can be made: the kernel's bound is short (unix(7))."""
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_MAX:
        raise CliError(
            f"{path} has {length} bytes, and a socket's path at most {SOCKET_PATH_MAX}",
            "name a shorter --runtime-dir",
            EXIT_INVALID,
        )


@contextmanager
def only_one(runtime_dir: Path) -> Iterator[int]:
    """Hold the lock of the directory; refuse a second daemon. The kernel frees it at any end."""
    path = runtime_dir / LOCK_NAME
    try:
        lock = path.open("a+")
    except OSError as error:
        raise CliError(
            f"{path} cannot be opened: {error.strerror}", "run as root", EXIT_CANNOT
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = _owner(lock)
            raise CliError(
                f"a daemon runs already in {runtime_dir} (process {owner})",
                f"stop it first (kill {owner}), or use another --runtime-dir",
                EXIT_CANNOT,
            ) from error
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock.fileno()


def lock_owner(runtime_dir: Path) -> str | None:
    """The process id of the daemon that runs in this directory, None if none is known to."""
    try:
        with (runtime_dir / LOCK_NAME).open() as lock:
            try:
                # Shared: two who look at the same time must not take each other for a daemon.
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _owner(lock)
    except OSError:
        pass
    return None


def _owner(lock: TextIO) -> str:
    lock.seek(0)
    return lock.read(20).strip() or "unknown"
