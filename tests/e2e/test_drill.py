"""Drills on a real running pair, from the command line as an operator runs them.

Two directors in network namespaces on one switch with a client (`Pair`); VRRP and the peer channel
need no IPVS. A drill runs on a director and is asked by way of the client's host.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_switchover import PROGRAM, Pair
from tests.prerequisites import require
from tests.vrrp.world import World

BUDGET = ("--budget", "2s")
"""On a busy machine; a quiet one takes a few milliseconds (tests/bench)."""


def where(pair: Pair) -> tuple[str, str]:
    """The option for the state of lb1."""
    return "--state-dir", str(pair.directory / "lb1")


def drill(pair: Pair, name: str, *words: str) -> dict[str, Any]:
    """Run one on lb1, asked from the client; its result."""
    programs = Path(sys.executable).parent
    via = shlex.join(pair.client.command("env", f"PATH={programs}:/usr/sbin:/usr/bin:/sbin:/bin"))
    command = (
        *(*PROGRAM, "drill", "run", name, "--yes", "--json", "-"),
        *("--via", via, "--probe", "ping://192.0.2.100"),
        *where(pair),
        *words,
    )
    with pair.hosts["lb1"].start(*command, stdout=-1, stderr=-1) as running:
        said, errors = running.communicate(timeout=90)
    assert said, errors
    return dict(json.loads(said)["scenarios"][0])


@pytest.mark.timeout(300)
def test_drills_of_a_running_pair(tmp_path: Path) -> None:
    require(namespaces=True)
    with World() as world:
        pair = Pair(tmp_path, world, "")
        pair.settles("lb1")
        pair.hosts["lb1"].run("ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.1")
        for name, *words in (
            ("switchover", *BUDGET),
            ("crash-vrrp", *BUDGET),
            ("link-loss", "--interface", "eth0", "--budget", "20s", "--force"),
        ):
            told = drill(pair, name, *words)
            assert told["verdict"] == "pass", told
            assert told["requests"] > 50, told
            assert "after" in told["notes"][-1], told["notes"]
            pair.settles("lb1")
        history = pair.hosts["lb1"].run(*PROGRAM, "drill", "history", *where(pair))
        assert [line.split()[2:4] for line in history.splitlines()] == [
            ["pass", "switchover"],
            ["pass", "crash-vrrp"],
            ["pass", "link-loss"],
        ]
        routes = pair.hosts["lb1"].run("ip", "route", "show", "198.51.100.0/24")
        assert "via 192.0.2.1 dev eth0" in routes
