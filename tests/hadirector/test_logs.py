"""Log lines go to standard error, and a standard error that fails stops nobody."""

import os
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


def test_a_pipe_that_nobody_reads_holds_nobody_up() -> None:
    """A reader that hangs: the pipe fills, and the lines after that are lost at once."""
    program = (
        "import structlog\n"
        "from hadirector.logs import configure_logs\n"
        "configure_logs('test')\n"
        "for number in range(5000):\n"
        "    structlog.get_logger().info('a sentence of some length, number %d' % number)\n"
    )
    reader, writer = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], stderr=writer, check=False, timeout=15
        )
    finally:
        os.close(reader)
        os.close(writer)
    assert done.returncode == 0
