"""A daemon that had nothing to balance gets services by a reload, and loses them by another.

The whole daemon as users start it, on a real IPVS kernel: what answers after the reload is another
director than before, in the same process, and VRRP goes on as if nothing had happened.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hadirector.cli.client import ask
from hadirector.cli.errors import CliError
from tests.kernel.ipvs_namespace import fresh_network

VIP = "192.0.2.100"
ALONE = f"""\
nodes: {{lb1: {{address: 192.0.2.11, priority: 254}}}}
virtual_routers:
  - {{name: front, vrid: 51, interface: front0, advertise: 100ms, addresses: [{VIP}/24]}}
"""
SERVICE = f"""\
services:
  - {{name: web, listen: "tcp://{VIP}:80", scheduler: rr, forward: nat, check: {{type: tcp}},
     servers: ["192.0.2.21:8080"]}}
"""
BOUND_S = 60.0
"""A start takes seconds in the embedded kernel, on a busy machine several times that."""


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with fresh_network():
        link = ["ip", "link", "add", "front0", "up", "type", "dummy"]
        subprocess.run(link, check=True)
        subprocess.run(["ip", "address", "add", "192.0.2.11/24", "dev", "front0"], check=True)
        yield


def until(holds: Callable[[dict[str, Any]], bool], runtime: Path) -> dict[str, Any]:
    """The first status of which it holds."""
    deadline = time.monotonic() + BOUND_S
    while True:
        try:
            status = ask(runtime, "/status")
        except CliError:
            status = {}
        if status and holds(status):
            return status
        assert time.monotonic() < deadline, status
        time.sleep(0.1)


def services() -> list[str]:
    done = subprocess.run(["ipvsadm", "-S", "-n"], check=True, capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if line.startswith("-A")]


@pytest.mark.timeout(4 * BOUND_S)
def test_services_come_and_go_by_reloads(tmp_path: Path) -> None:
    file, runtime = tmp_path / "pair.yaml", tmp_path / "run"
    file.write_text(ALONE + "services: []\n")
    places = ("--runtime-dir", str(runtime), "--state-dir", str(tmp_path / "state"))
    program = (sys.executable, "-m", "hadirector", "run", str(file), "--node", "lb1", *places)
    with (tmp_path / "log").open("w") as log, subprocess.Popen(program, stderr=log) as daemon:
        try:
            before = until(lambda status: status["routers"][0]["state"] == "active", runtime)
            assert "not looked at" in before["table"]["sentence"]
            director = before["processes"]["director"]["pid"]

            file.write_text(ALONE + SERVICE)
            assert ask(runtime, "/reload", method="POST")["accepted"]
            after = until(lambda status: bool(status["services"]) and status["ready"], runtime)
            assert services() == [f"-A -t {VIP}:80 -s rr"]
            assert after["processes"]["director"]["pid"] == director
            assert after["processes"]["vrrp"] == before["processes"]["vrrp"]
            assert after["routers"][0]["since"] == before["routers"][0]["since"]

            file.write_text(ALONE + "services: []\n")
            assert ask(runtime, "/reload", method="POST")["accepted"]
            until(lambda status: not status["services"], runtime)
            assert services() == []
        finally:
            daemon.terminate()
        assert daemon.wait(BOUND_S) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()
