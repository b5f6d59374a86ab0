"""What the worker asks of the kernel for itself is either granted or said to be refused."""

import subprocess
import sys

LOCKED = """
from pathlib import Path
from vrrp import process
print(process.lock_memory() or "granted")
print(Path("/proc/self/status").read_text().partition("VmLck:")[2].split()[0])
"""


def test_memory_is_locked_or_it_is_said_why_not() -> None:
    run = subprocess.run(
        [sys.executable, "-c", LOCKED], capture_output=True, text=True, check=True, timeout=15
    )
    said, locked_kb = run.stdout.splitlines()
    if said == "granted":
        assert int(locked_kb) > 0
    else:
        assert "memory is not locked" in said
        assert int(locked_kb) == 0
