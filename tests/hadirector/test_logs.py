"""Log lines go to standard error, and a standard error that fails stops nobody."""

import os
import subprocess
import sys

PROGRAM = """
from hadirector.logs import Log, configure_logs
configure_logs("director")
for number in range(3):
    Log().warning("the disk is full", kind="journal", number=number)
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


def test_an_event_is_one_line_whatever_it_quotes() -> None:
    program = (
        "from hadirector.logs import Log, configure_logs\n"
        "configure_logs('test')\n"
        "Log().info('said: a\\nb', reply='two words\\n')\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=15)
    (line,) = done.stderr.splitlines()
    assert line.endswith(r"said: a\nb  process=test reply='two words\n'")


def test_what_asyncio_reports_is_in_the_log_as_well() -> None:
    program = (
        "import asyncio\n"
        "from hadirector.logs import configure_logs\n"
        "configure_logs('test')\n"
        "async def fails(): raise RuntimeError('unheard')\n"
        "async def main():\n"
        "    asyncio.create_task(fails())\n"
        "    await asyncio.sleep(0)\n"
        "    await asyncio.sleep(0)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=15)
    assert "[error  ]" in done.stderr
    assert "unheard" in done.stderr


def test_a_pipe_that_nobody_reads_holds_nobody_up() -> None:
    """A reader that hangs: the pipe fills, and the lines after that are lost at once."""
    program = (
        "from hadirector.logs import Log, configure_logs\n"
        "configure_logs('test')\n"
        "for number in range(5000):\n"
        "    Log().info('a sentence of some length, number %d' % number)\n"
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


def test_the_lines_of_one_turn_are_written_together_and_none_is_cut() -> None:
    """Each write fits a pipe whole, so a reader that lags finds whole lines only."""
    program = (
        "import asyncio, os\n"
        "from hadirector.logs import Log, configure_logs\n"
        "configure_logs('test')\n"
        "writes = []\n"
        "write, os.write = os.write, lambda fd, data: (writes.append(data), write(fd, data))[1]\n"
        "async def main():\n"
        "    for number in range(1000): Log().info(f'number {number}')\n"
        "    assert len(writes) * 20 < 1000, len(writes)\n"
        "    assert all(w.endswith(b'\\n') and len(w) <= 4096 for w in writes)\n"
        "    await asyncio.sleep(0)\n"
        "    assert b''.join(writes).count(b'\\n') == 1000\n"
        "    Log().info('the last')\n"
        "asyncio.run(main())\n"
        "Log().info('after it')\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=15)
    lines = done.stderr.splitlines()
    assert [line.split()[-2] for line in lines[:1000]] == [str(n) for n in range(1000)]
    assert "the last" in lines[1000]
    assert "after it" in lines[1001]
