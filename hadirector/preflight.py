"""What must be true before the daemon starts; each question raises CliError with the remedy.

Asked once, before anything is touched, so that a daemon that cannot work says so in one line
instead of failing halfway.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from hadirector import host
from hadirector.cli.errors import EXIT_CANNOT, EXIT_INVALID, CliError

LOCK_NAME = "lock"
SOCKET_PATH_MAX = 107  # sizeof(sockaddr_un.sun_path) without its final zero


def privileges() -> None:
    """CAP_NET_ADMIN for IPVS and addresses, CAP_NET_RAW for VRRP and gratuitous ARP."""
    missing = host.lacking(host.STATUS.read_text(), "CAP_NET_ADMIN", "CAP_NET_RAW")
    if missing:
        raise CliError(
            f"this process lacks {' and '.join(missing)}",
            "run it as root (to try a file without root: hadirector rehearse FILE)",
            EXIT_CANNOT,
        )


def kernel_has_ipvs() -> None:
    """IPVS in this kernel, loaded now if it is a module, and ours to change."""
    if not host.has_ipvs():
        host.load_modules("ip_vs")
    if not host.has_ipvs():
        raise CliError(
            "this kernel has no IPVS (modprobe ip_vs does not help)",
            "use a kernel with CONFIG_IP_VS; any machine can rehearse: hadirector rehearse FILE",
            EXIT_CANNOT,
        )
    if host.in_user_namespace(host.UID_MAP.read_text()):
        raise CliError(
            "root in a user namespace only, where the kernel refuses IPVS",
            "run it outside the user namespace (rootless container)",
            EXIT_CANNOT,
        )


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
