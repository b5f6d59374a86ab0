"""What this host allows: capabilities and IPVS. Asked by the daemon's start, the doctor and the
lab.

The texts of /proc come in as arguments where a decision is made on them, so that the doctor can
look at another root and the tests at none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_ADMIN": 21}
"""Bits of CapEff (linux/capability.h)."""

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where administrators' programs are, which an ordinary user's PATH may lack."""

STATUS = Path("/proc/self/status")
UID_MAP = Path("/proc/self/uid_map")
KERNELS_LOADER = Path("/proc/sys/kernel/modprobe")
MODPROBE_TIMEOUT_S = 20.0


def lacking(status: str, *names: str) -> list[str]:
    """Which of these capabilities a process lacks, by the text of its /proc/PID/status. Pure."""
    effective = 0
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            effective = int(line.split()[1], 16)
    return [name for name in names if not effective >> CAPABILITIES[name] & 1]


def in_user_namespace(uid_map: str) -> bool:
    """Whether a uid_map is anything but the initial namespace's. Pure.

    IPVS takes CAP_NET_ADMIN of the initial user namespace only (GENL_ADMIN_PERM).
    """
    written = uid_map.split()
    return bool(written) and written != ["0", "0", "4294967295"]


def has_ipvs() -> bool:
    """Whether IPVS is loaded in this kernel."""
    return Path("/proc/net/ip_vs").exists()


def load_modules(*names: str) -> None:
    """Ask the kernel to load modules; what cannot be loaded is seen by what is missing then."""
    modprobe: str | None = None
    with suppress(OSError):
        modprobe = KERNELS_LOADER.read_text().strip()  # it knows where this kernel's modules are
    if not modprobe or not os.access(modprobe, os.X_OK):
        modprobe = shutil.which("modprobe", path=f"{os.environ.get('PATH', '')}:{SBIN}")
    if modprobe is not None:
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                [modprobe, "-q", "-a", *names],
                check=False,
                capture_output=True,
                timeout=MODPROBE_TIMEOUT_S,
            )
