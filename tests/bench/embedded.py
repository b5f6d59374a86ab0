"""A benchmark inside the embedded kernel, where this host has no IPVS or we are not root."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

TIMEOUT_S = 1800.0


def has_ipvs() -> bool:
    """Whether the benchmark can be run right here."""
    return Path("/proc/net/ip_vs").exists() and os.geteuid() == 0


def boot(module: str, arguments: list[str]) -> int:
    """Run `python -m module arguments` in the embedded kernel; its exit status."""
    from hadirector.lab.embedded_kernel import Work, run_in_embedded_kernel

    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory() as place:
        work = Work(
            argv=(sys.executable, "-m", module, *arguments),
            workdir=root,
            environment={"HOME": place, "PYTHONPATH": str(root)},
            output=Path(place, "output"),
            console_log=Path(place, "console"),
            timeout_s=TIMEOUT_S,
        )
        status = run_in_embedded_kernel(work)
        print(work.output.read_text(), end="")
        return status
