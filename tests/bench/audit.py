"""From a verdict to the kernel while audits of a large table are under way, in one kernel.

Usage: python -m tests.bench.audit [--runs 20] [SERVICESxSERVERS]     (default: 1000x10)

One server more has a file for its check, which comes and goes; the clock runs between the journal's
event on that server and its event on the table, which follows the kernel's answer. First nothing
else happens, then one audit after the other is asked for, so that there always is one. To reach:
20 ms. Median and range, in milliseconds; and how many audits were answered meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from hadirector.cli.client import ask
from hadirector.cli.errors import CliError
from tests.bench.embedded import boot, has_ipvs
from tests.bench.tables import blocks, make_table, spread
from tests.kernel.ipvs_namespace import fresh_network

BOUND_S = 120.0
POLL_S = 0.05
STEP_S = 0.137
"""The changes are spread over the audits: no multiple of anything."""
SERVICE = """\
- name: watched
  listen: tcp://10.64.0.1:80
  check: {{type: file, file: {file}, interval: 200ms, timeout: 100ms, rise: 1, fall: 1}}
  servers: ["10.64.1.1:8080"]
"""


def verdicts(events: list[dict[str, object]]) -> list[float]:
    """Milliseconds from each verdict on the watched servers to the next change of the table."""
    taken, since = [], None
    for event in events:
        at = event["at"]
        assert isinstance(at, float)
        if event["kind"] == "server" and str(event["subject"]).startswith("watched/"):
            since = since or at
        elif event["kind"] == "table" and since is not None:
            taken.append(1000 * (at - since))
            since = None
    return taken


class Told:
    """What the journal tells. Each line is read once: the daemon has the same processor."""

    def __init__(self, journal: Path) -> None:
        self._stream = journal.open()
        self._stream.seek(0, os.SEEK_END)
        self._rest = ""
        self._events: list[dict[str, object]] = []

    def so_far(self) -> list[dict[str, object]]:
        """The events since this was made."""
        *lines, self._rest = (self._rest + self._stream.read()).split("\n")
        self._events += map(json.loads, lines)
        return self._events


def ready(place: Path) -> None:
    """Wait until the daemon has made its table."""
    bound = time.monotonic() + BOUND_S
    while time.monotonic() < bound:
        try:
            if ask(place, "/status").get("ready"):
                return
        except CliError:
            pass  # it has no socket yet
        time.sleep(POLL_S)
    sys.exit("the daemon does not get ready")


def changes(file: Path, journal: Path, runs: int) -> list[float]:
    """Have the verdict change so often; what each took."""
    told = Told(journal)
    for run in range(runs):
        if run % 2 == 0:
            file.touch()
        else:
            file.unlink()
        bound = time.monotonic() + BOUND_S
        while len(found := verdicts(told.so_far())) <= run:
            if time.monotonic() > bound:
                sys.exit("the table does not follow the verdict")
            time.sleep(POLL_S)
        time.sleep(STEP_S * (1 + run % 5))
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.audit")
    parser.add_argument("size", nargs="?", default="1000x10")
    parser.add_argument("--runs", type=int, default=20)
    asked = parser.parse_args()
    if not has_ipvs():
        return boot("tests.bench.audit", sys.argv[1:])
    services, servers = (int(number) for number in asked.size.split("x"))
    with fresh_network(), tempfile.TemporaryDirectory() as name:
        place = Path(name)
        file, out, journal = place / "pair.yaml", place / "out", place / "journal.ndjson"
        file.write_text(blocks(make_table(services, servers)) + SERVICE.format(file=out))
        run = [sys.executable, "-m", "hadirector", "run", str(file), "--node", "lb1"]
        command = [*run, "--runtime-dir", name, "--state-dir", name]
        with (place / "log").open("w") as log:
            daemon = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            ready(place)
            alone = changes(out, journal, asked.runs)
            ended, audits = threading.Event(), [0]

            def audit() -> None:
                while not ended.is_set():
                    ask(place, "/audit", method="POST", timeout_s=BOUND_S)
                    audits[0] += 1

            auditor = threading.Thread(target=audit)
            auditor.start()
            beside = changes(out, journal, asked.runs)
            ended.set()
            auditor.join()
        finally:
            daemon.kill()
            daemon.wait()
    print(f"{asked.size}: verdict -> kernel, nothing else {spread(alone):>30}")
    print(f"{asked.size}: verdict -> kernel, audits under way {spread(beside):>27}")
    print(f"audits answered meanwhile: {audits[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
