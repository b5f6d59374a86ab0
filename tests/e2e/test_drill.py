"""Drills on a real running pair, from the command line as an operator runs them.

Two directors in network namespaces on one switch with a client (`Pair`); VRRP and the peer channel
need no IPVS. A drill runs on a director and is asked by way of the client's host. All of them run
on one pair, which each must leave as it found it.
"""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_switchover import PROGRAM, Pair
from tests.prerequisites import require
from tests.vrrp.world import World, eventually

BUDGET = ("--budget", "2s")
"""On a busy machine; a quiet one takes a few milliseconds (tests/bench)."""
LINK = ("--interface", "eth0", "--budget", "20s", "--force")
ROUTE = "198.51.100.0/24"
BOUND_S = 90.0


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """With a route on lb1 that goes with its link."""
    require(namespaces=True)
    with World() as world:
        made = Pair(tmp_path_factory.mktemp("pair"), world, "")
        made.settles("lb1")
        made.hosts["lb1"].run("ip", "route", "add", ROUTE, "via", "192.0.2.1")
        yield made


def where(pair: Pair) -> tuple[str, str]:
    """The option for the state of lb1."""
    return "--state-dir", str(pair.directory / "lb1")


def start(pair: Pair, name: str, *words: str) -> subprocess.Popen[str]:
    """Begin one on lb1, asked from the client."""
    programs = Path(sys.executable).parent
    via = shlex.join(pair.client.command("env", f"PATH={programs}:/usr/sbin:/usr/bin:/sbin:/bin"))
    command = (
        *(*PROGRAM, "drill", "run", name, "--yes", "--json", "-"),
        *("--via", via, "--probe", "ping://192.0.2.100", "--keep", "0"),
        *where(pair),
        *words,
    )
    return pair.hosts["lb1"].start(*command, stdout=-1, stderr=-1)


def told_by(running: subprocess.Popen[str]) -> dict[str, Any]:
    """Its result."""
    said, errors = running.communicate(timeout=BOUND_S)
    assert said, errors
    return dict(json.loads(said)["scenarios"][0])


def done_in(told: dict[str, Any]) -> list[str]:
    """What was done, and put back."""
    return [each["text"] for each in told["timeline"]["moments"] if each["kind"] == "done"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "words", "detected"),
    [
        ("switchover", BUDGET, "elected"),
        ("crash-vrrp", BUDGET, "detected"),
        ("crash-director", BUDGET, "detected"),
        ("freeze-vrrp", BUDGET, "detected"),
        ("freeze-director", BUDGET, "detected"),
        ("link-loss", LINK, "detected"),
    ],
)
def test_a_running_pair_stands_it(
    pair: Pair, name: str, words: tuple[str, ...], detected: str
) -> None:
    with start(pair, name, *words) as running:
        told = told_by(running)
    assert told["verdict"] == "pass", told
    assert told["requests"] > 50, told
    assert f"{detected} after" in told["notes"][-1], told["notes"]
    stays = name.endswith("-director")
    other = {each["name"] for each in told["timeline"]["active"]} - {"lb1"}
    assert other == (set() if stays else {"lb2"}), told["timeline"]
    assert (told["active_before"], told["active_after"]) == ("lb1", "lb1")
    pair.settles("lb1")
    assert "via 192.0.2.1 dev eth0" in pair.hosts["lb1"].run("ip", "route", "show", ROUTE)
    history = pair.hosts["lb1"].run(*PROGRAM, "drill", "history", *where(pair)).splitlines()
    assert history[-1].split()[2:4] == ["pass", name]


def other_is_active(pair: Pair) -> bool:
    return pair.active() == ["lb2"]


def link_is_down(pair: Pair) -> bool:
    return "state DOWN" in pair.hosts["lb1"].run("ip", "link", "show", "eth0")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "words", "step", "lasting", "put_back"),
    [
        ("switchover", BUDGET, "give the active role", None, 1),
        ("switchover", BUDGET, "give the active role", other_is_active, 1),
        ("freeze-vrrp", BUDGET, "freeze the VRRP worker", None, 1),
        ("link-loss", LINK, "note the route", None, 2),
        ("link-loss", LINK, "cut the link", link_is_down, 2),
    ],
    ids=["switchover-begun", "switchover-lasts", "freeze-begun", "link-noted", "link-down"],
)
def test_interrupted_at_any_step_it_is_put_back(
    pair: Pair,
    name: str,
    words: tuple[str, ...],
    step: str,
    lasting: Callable[[Pair], bool] | None,
    put_back: int,
) -> None:
    """Ctrl-C: while a step is under way, or (`lasting`) once its effect is seen."""
    with start(pair, name, *words) as running:
        assert running.stderr is not None
        assert any(step in line and " ms " in line for line in running.stderr), "it never began"
        if lasting is not None:
            eventually(lambda: lasting(pair), f"{name} has its effect", 20.0)
        running.send_signal(signal.SIGINT)
        told = told_by(running)
    assert running.returncode == 1
    assert told["faults"] == ["interrupted (SIGINT)"]
    done = done_in(told)
    assert sum(each.startswith("put back: ") for each in done) <= put_back
    assert done[-1].startswith("put back: "), done
    pair.settles("lb1")
    assert "via 192.0.2.1 dev eth0" in pair.hosts["lb1"].run("ip", "route", "show", ROUTE)
