"""Log lines go to standard error, and a standard error that fails stops nobody."""

import subprocess
import sys

PROGRAM = """
import structlog, sys
from hadirector.logs import configure_logs
configure_logs("director")
for number in range(3):
    structlog.get_logger("hadirector").warning("the disk is full", kind="journal", number=number)
print("done")
"""


def test_a_full_disk_stops_nobody() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            stdout=subprocess.PIPE,
            stderr=full,
            check=False,
            text=True,
            timeout=15,
        )
    assert done.stdout == "done\n"


def test_a_line_names_its_process_and_its_kind() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        check=True,
        text=True,
        timeout=15,
    )
    first = done.stderr.splitlines()[0]
    assert "the disk is full" in first
    assert "kind=journal" in first
    assert "process=director" in first
