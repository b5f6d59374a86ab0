"""A stop of the whole daemon waits for the hooks of services that run, within their bound."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kernel.ipvs_namespace import fresh_network

FILE = """\
nodes: {{lb1: {{address: 192.0.2.11, priority: 254}}}}
virtual_routers: []
services:
  - {{name: web, listen: "tcp://192.0.2.100:80", forward: nat,
     check: {{type: tcp, interval: 200ms, timeout: 200ms, fall: 1}}, servers: ["127.0.0.1:{port}"]}}
hooks:
  - {{events: [server-down], user: root,
     command: [/bin/sh, -c, "touch {place}/begun; sleep 2; touch {place}/done"]}}
"""
BOUND_S = 60.0


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with fresh_network():
        yield


def until(true: Callable[[], bool], place: Path) -> None:
    give_up = time.monotonic() + BOUND_S
    while not true():
        assert time.monotonic() < give_up, (place / "log").read_text()
        time.sleep(0.05)


@pytest.mark.timeout(4 * BOUND_S)
def test_the_daemon_stays_until_a_hook_is_done(tmp_path: Path) -> None:
    file, journal = tmp_path / "pair.yaml", tmp_path / "state" / "journal.ndjson"
    places = ("--runtime-dir", str(tmp_path / "run"), "--state-dir", str(tmp_path / "state"))
    program = (sys.executable, "-m", "hadirector", "run", str(file), "--node", "lb1", *places)
    with socket.create_server(("127.0.0.1", 0)) as server:
        file.write_text(FILE.format(port=server.getsockname()[1], place=tmp_path))
        with (tmp_path / "log").open("w") as log, subprocess.Popen(program, stderr=log) as daemon:
            try:
                until(lambda: journal.exists() and " is up: " in journal.read_text(), tmp_path)
                server.close()
                until((tmp_path / "begun").exists, tmp_path)
            finally:
                daemon.terminate()
            assert daemon.wait(BOUND_S) == 0
            assert (tmp_path / "done").exists()
