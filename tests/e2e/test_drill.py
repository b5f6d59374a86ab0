"""Drills on a real running pair, from the command line as an operator runs them.

Two directors in network namespaces on one switch with a client (`Pair`); VRRP and the peer channel
need no IPVS. A drill runs on a director and is asked by way of the client's host. All of them run
on one pair, which each must leave as it found it, also when whoever carries it out is killed. lb1
is run by a stand-in for systemd (`service_manager`), where this is root.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.keeper import keeper_of
from tests.e2e.test_switchover import ADDRESSES, PROGRAM, Pair
from tests.prerequisites import require
from tests.vrrp.world import World, eventually

BUDGET = ("--budget", "2s")
"""On a busy machine; a quiet one takes a few milliseconds (tests/bench)."""
LINK = ("--interface", "eth0", "--budget", "20s", "--force")
ROUTE = "198.51.100.0/24"
BOUND_S = 90.0


class ManagedPair(Pair):
    """lb1 is a service."""

    manager: subprocess.Popen[str]

    def start(self, name: str) -> None:
        if name != "lb1":
            super().start(name)
            return
        program = (sys.executable, "-m", "tests.e2e.service_manager", str(self.place))
        with (self.directory / "lb1.log").open("a") as log:
            self.manager = self.hosts[name].start(
                *program, *self.command(name), stdin=-1, stdout=log, stderr=log
            )

    @property
    def place(self) -> Path:
        """What the service manager makes, its `systemctl` among it."""
        return self.directory / "service"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """With routes and an address on lb1 that go with its link."""
    require(namespaces=True)
    with World() as world:
        kind = ManagedPair if os.geteuid() == 0 else Pair
        made = kind(tmp_path_factory.mktemp("pair"), world, "")
        made.settles("lb1")
        lb1 = made.hosts["lb1"]
        lb1.run("ip", "route", "add", ROUTE, "via", "192.0.2.1")
        lb1.run("ip", "address", "add", "2001:db8::11/64", "dev", "eth0")
        lb1.run("ip", "route", "add", "2001:db8:9::/48", "via", "2001:db8::1")
        yield made
        if isinstance(made, ManagedPair):
            made.manager.communicate(timeout=BOUND_S)
            assert made.manager.returncode == 0


def where(pair: Pair) -> tuple[str, str]:
    """The option for the state of lb1."""
    return "--state-dir", str(pair.directory / "lb1")


def asked(pair: Pair) -> tuple[str, ...]:
    """The options that have the client ask."""
    programs = Path(sys.executable).parent
    via = shlex.join(pair.client.command("env", f"PATH={programs}:/usr/sbin:/usr/bin:/sbin:/bin"))
    return "--via", via, "--probe", "ping://192.0.2.100", "--keep", "0"


@contextmanager
def started(pair: Pair, name: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Begin one on lb1; it is not waited for where the test fails."""
    path = f"PATH={pair.directory / 'service' / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin"
    command = ("drill", "run", name, "--yes", "--json", "-", *where(pair), *words)
    running = pair.hosts["lb1"].start("env", path, *PROGRAM, *command, stdout=-1, stderr=-1)
    try:
        yield running
    finally:
        running.kill()
        running.communicate(timeout=BOUND_S)


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
    before = world(pair)
    with started(pair, name, *asked(pair), *words) as running:
        told = told_by(running)
    assert told["verdict"] == "pass", (told["faults"], told["notes"])
    assert told["requests"] > 50, told
    assert f"{detected} after" in told["notes"][-1], told["notes"]
    stays = name.endswith("-director")
    other = {each["name"] for each in told["timeline"]["active"]} - {"lb1"}
    assert other == (set() if stays else {"lb2"}), told["timeline"]
    assert (told["active_before"], told["active_after"]) == ("lb1", "lb1")
    is_as(pair, before)
    history = pair.hosts["lb1"].run(*PROGRAM, "drill", "history", *where(pair)).splitlines()
    assert history[-1].split()[2:4] == ["pass", name]


def world(pair: Pair) -> dict[str, object]:
    """Everything on lb1 that a drill of this file may touch, and who is active."""
    lb1 = pair.hosts["lb1"]
    status = pair.ask("lb1", "status")
    pids = [each["pid"] for each in status.get("processes", {}).values()]
    states = [lb1.run("ps", "-o", "state=", "-p", str(pid)) for pid in pids if pid]
    mounts = lb1.run("cat", "/proc/self/mountinfo").splitlines()
    return {
        "active": pair.active(),
        "digest": status.get("digest"),
        "processes": len(states),
        "stopped": [state for state in states if state.startswith("T")],
        "links": lb1.run("ip", "-brief", "link"),
        "addresses": lb1.run("ip", "-brief", "address"),
        "routes": sorted(lb1.run("ip", "route").splitlines()),
        "routes_6": sorted(lb1.run("ip", "-6", "route").splitlines()),
        "mounted": [line for line in mounts if str(pair.file) in line],
    }


def is_as(pair: Pair, before: dict[str, object]) -> None:
    """Wait until all is as it was."""
    eventually(lambda: world(pair) == before, f"{before}; now {world(pair)}", BOUND_S)
    pair.settles("lb1")


def begun(running: subprocess.Popen[str], step: str) -> None:
    """Wait until a step has begun."""
    assert running.stderr is not None
    assert any(step in line and " ms " in line for line in running.stderr), "it never began"


def other_is_active(pair: Pair) -> bool:
    return pair.active() == ["lb2"]


def link_is_down(pair: Pair) -> bool:
    return "state DOWN" in pair.hosts["lb1"].run("ip", "link", "show", "eth0")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "words", "step", "lasting"),
    [
        ("switchover", BUDGET, "give the active role", None),
        ("switchover", BUDGET, "give the active role", other_is_active),
        ("freeze-vrrp", BUDGET, "freeze the VRRP worker", None),
        ("link-loss", LINK, "note the route", None),
        ("link-loss", LINK, "cut the link", link_is_down),
    ],
    ids=["switchover-begun", "switchover-lasts", "freeze-begun", "link-noted", "link-down"],
)
def test_interrupted_at_any_step_it_is_put_back(
    pair: Pair,
    name: str,
    words: tuple[str, ...],
    step: str,
    lasting: Callable[[Pair], bool] | None,
) -> None:
    """Ctrl-C: while a step is under way, or (`lasting`) once its effect is seen."""
    before = world(pair)
    with started(pair, name, *asked(pair), *words) as running:
        begun(running, step)
        if lasting is not None:
            eventually(lambda: lasting(pair), f"{name} has its effect", 20.0)
        running.send_signal(signal.SIGINT)
        told = told_by(running)
    assert running.returncode == 1
    assert told["faults"] == ["interrupted (SIGINT)"]
    done = done_in(told)
    assert done[-1].startswith("put back: "), done
    is_as(pair, before)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["stop", "crash-supervisor"])
def test_a_service_is_run_again(pair: Pair, name: str) -> None:
    require(root=True)  # for a control group
    before = world(pair)
    pid = pair.ask("lb1", "status")["processes"]["supervisor"]["pid"]
    with started(pair, name, *asked(pair), *BUDGET) as running:
        told = told_by(running)
    assert told["verdict"] == "pass", (told["faults"], told["notes"])
    assert done_in(told)[-1] == "put back: systemctl start hadirector.service"
    assert "elected after" in told["notes"][-1], told["notes"]
    is_as(pair, before)
    assert pair.ask("lb1", "status")["processes"]["supervisor"]["pid"] != pid


def bad_file_is_mounted(pair: Pair) -> bool:
    return str(pair.file) in pair.hosts["lb1"].run("cat", "/proc/self/mountinfo")


KINDS = [
    ("switchover", "give the active role", other_is_active),
    ("stop", "stop hadirector.service", other_is_active),
    ("freeze-director", "freeze the director", None),
    ("link-loss", "cut the link", link_is_down),
    ("reload-bad-file", "have the daemon see", bad_file_is_mounted),
]
"""One for each kind of action that needs no IPVS; the others: tests/kernel/test_drill.py."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("who", ["keeper", "command"])
@pytest.mark.parametrize(("name", "step", "lasting"), KINDS, ids=[each[0] for each in KINDS])
def test_whoever_is_killed_everything_is_put_back(
    pair: Pair, name: str, step: str, lasting: Callable[[Pair], bool] | None, who: str
) -> None:
    """kill -9, once the effect is seen."""
    require(root=name == "stop")
    before = world(pair)
    words = ("--interface", "eth0", "--force") if name == "link-loss" else ()
    with started(pair, name, *words) as running:
        begun(running, step)
        if lasting is not None:
            eventually(lambda: lasting(pair), f"{name} has its effect", 20.0)
        if who == "keeper":
            os.kill(keeper_of(running.pid), signal.SIGKILL)
            told = told_by(running)
            assert told["faults"][0] == "the keeper died: everything is put back by another one"
            assert done_in(told)[-1].startswith("put back: "), told
        else:
            running.kill()
    is_as(pair, before)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Its hosts may lose their power."""
    require(namespaces=True)
    with World() as world:
        yield Pair(tmp_path_factory.mktemp("bare"), world, "")


def lose_power(pair: Pair, name: str) -> None:
    """Nobody there does anything any more; what remains is what a disk keeps."""
    host = pair.hosts[name]
    pair.client.run("ip", "link", "set", name, "down")
    namespace = Path(f"/proc/{host.pid}/ns/net").readlink()
    there = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    lost = [pid for pid in there if pid != host.pid and is_in(pid, namespace)]
    for number in (signal.SIGSTOP, signal.SIGKILL):  # at once, as far as that can be
        for pid in lost:
            os.kill(pid, number)
    eventually(lambda: not any(is_in(pid, namespace) for pid in lost), f"{name} is dark")
    host.run("ip", "-4", "address", "flush", "dev", "eth0")
    host.run("ip", "link", "set", "eth0", "down")  # those of IPv6 go with it
    host.run("umount", "--lazy", str(pair.file), check=False)
    host.run("sh", "-c", "rm -rf /run/*")


def is_in(pid: int, namespace: Path) -> bool:
    """Whether a process is there and in this network namespace."""
    try:
        return Path(f"/proc/{pid}/ns/net").readlink() == namespace
    except OSError:
        return False  # it has ended, or is the kernel's


def boot(pair: Pair, name: str) -> None:
    """The host has power again."""
    host = pair.hosts[name]
    host.run("ip", "address", "add", f"{ADDRESSES[name]}/24", "dev", "eth0")
    host.run("ip", "link", "set", "eth0", "up")
    pair.client.run("ip", "link", "set", name, "up")
    pair.start(name)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "step", "lasting"),
    [kind for kind in KINDS if kind[0] != "stop"],
    ids=[kind[0] for kind in KINDS if kind[0] != "stop"],
)
def test_a_host_that_is_lost_during_a_drill_comes_back_as_it_was(
    bare: Pair, name: str, step: str, lasting: Callable[[Pair], bool] | None
) -> None:
    """`stop` is left out: a service manager starts it with the host."""
    bare.settles("lb1")
    before = world(bare)
    words = ("--interface", "eth0", "--force") if name == "link-loss" else ()
    with started(bare, name, *words) as running:
        begun(running, step)
        if lasting is not None:
            eventually(lambda: lasting(bare), f"{name} has its effect", 20.0)
        lose_power(bare, "lb1")
    eventually(lambda: bare.active() == ["lb2"], "lb2 is active alone", 20.0)
    boot(bare, "lb1")
    is_as(bare, before)
