"""Packaged servers, run in the foreground from a test's own directory and ended by process id.

Some of them refuse to run as root or drop to a user of their own, who must reach that directory: so
it is one below /tmp that everybody may enter.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from checkers.base import Target
from tests.checkers.servers import LOOPBACK

_START_S_MAX = 15.0
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


@contextmanager
def open_directory(prefix: str, owner: str | None = None) -> Iterator[Path]:
    """A directory that everybody may enter, and that is removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir="/tmp"))
    try:
        directory.chmod(0o755)
        if owner is not None and os.geteuid() == 0:
            shutil.chown(directory, owner, owner)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def running(
    arguments: Sequence[str],
    directory: Path,
    port: int,
    *,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
    datagram: bool = False,
) -> Iterator[Target]:
    """A server, from when it listens (UDP: from when its port is taken) to its end."""
    log = directory / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": _PATH, **(environment or {})},
            cwd=directory,
            user=user if os.geteuid() == 0 else None,
            group=user if os.geteuid() == 0 else None,
            extra_groups=[] if user is not None and os.geteuid() == 0 else None,
        )
    try:
        _await(process, port, log, datagram=datagram)
        yield Target(LOOPBACK, port)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)


def _await(process: "subprocess.Popen[bytes]", port: int, log: Path, *, datagram: bool) -> None:
    deadline = time.monotonic() + _START_S_MAX
    while time.monotonic() < deadline:
        if _is_taken(port) if datagram else _listens(port):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
            break
    raise AssertionError(f"{process.args!r} did not start: {log.read_text(errors='replace')}")


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection((str(LOOPBACK), port), timeout=1).close()
        return True
    return False


def _is_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(LOOPBACK), port))
        except OSError:
            return True
    return False
