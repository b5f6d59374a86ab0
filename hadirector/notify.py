"""systemd's notification protocol (sd_notify(3)): ready, reloading, stopping, watchdog."""

from __future__ import annotations

import os
import socket


def notify(*assignments: str) -> bool:
    """Tell the service manager, if there is one, e.g. `notify("READY=1", "STATUS=active")`.

    Returns whether there was one to tell. A manager that does not listen is no fault of ours.
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            # Never wait: a manager that hangs must not hold up who keeps the addresses.
            sock.sendto("\n".join(assignments).encode(), socket.MSG_DONTWAIT, address)
        except OSError:
            return False
    return True


def watchdog_interval_s() -> float | None:
    """How often the service manager wants `WATCHDOG=1`, in seconds: half of its patience."""
    try:
        patience_us = int(os.environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    wanted_by = os.environ.get("WATCHDOG_PID", "")
    if patience_us <= 0 or (wanted_by and wanted_by != str(os.getpid())):
        return None
    return patience_us / 2e6
