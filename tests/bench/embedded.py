"""A benchmark inside the embedded kernel, where this host has no IPVS or we are not root."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

TIMEOUT_S = 1800.0
LOOK_S = 0.2


def has_ipvs() -> bool:
    """Whether the benchmark can be run right here."""
    return Path("/proc/net/ip_vs").exists() and os.geteuid() == 0


def boot(module: str, arguments: list[str], *, timeout_s: float = TIMEOUT_S) -> int:
    """Run `python -m module arguments` in the embedded kernel; its exit status.

    What it prints is printed as it comes.
    """
    from hadirector.lab.embedded_kernel import Boot, Work

    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory() as place:
        work = Work(
            argv=(sys.executable, "-m", module, *arguments),
            workdir=root,
            environment={"HOME": place, "PYTHONPATH": str(root)},
            output=Path(place, "output"),
            console_log=Path(place, "console"),
            timeout_s=timeout_s,
        )
        work.output.touch()
        with work.output.open() as output, Boot(work) as kernel:
            status = None
            while status is None:
                time.sleep(LOOK_S)
                status = kernel.poll()
                print(output.read(), end="", flush=True)
            return status
