"""`python -m vrrp` as people use it: on a link with a real speaker, and where it cannot work."""

from __future__ import annotations

import subprocess
import sys

from tests.prerequisites import require
from tests.vrrp.stories import settings
from tests.vrrp.world import PROJECT, WorkerProcess, World

PROGRAM = (sys.executable, "-W", "error", "-m", "vrrp")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=15, check=False, cwd=PROJECT
    )


def test_decode_tells_fields_and_that_nothing_is_wrong() -> None:
    outcome = run("decode", "--source", "192.0.2.1", "31:34:96:01:00:32", "d3c9 c000023d")
    assert outcome.returncode == 0
    assert "checksum         d3c9              right, with pseudo-header" in outcome.stdout
    assert outcome.stdout.endswith("nothing is wrong with it\n")


def test_decode_of_a_wrong_packet_ends_with_1() -> None:
    outcome = run("decode", "3100960100320000c000023d")
    assert outcome.returncode == 1
    assert "WRONG: VRID 0 is not allowed" in outcome.stdout


def test_decode_of_no_hexadecimal_ends_with_2() -> None:
    outcome = run("decode", "not hexadecimal")
    assert outcome.returncode == 2
    assert outcome.stderr.startswith("this is not hexadecimal")


def test_an_interface_that_is_not_there() -> None:
    outcome = run("listen", "nosuch0")
    assert outcome.returncode == 3
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("there is no interface nosuch0; this host has lo")


def test_without_privilege_it_says_what_to_do() -> None:
    require("setpriv", root=True)
    outcome = subprocess.run(
        ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", *PROGRAM, "listen", "lo"],
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
        cwd=PROJECT,
    )
    assert outcome.returncode == 3
    assert outcome.stderr == "listening needs the privilege CAP_NET_RAW: run it with sudo\n"


def test_it_hears_this_host_and_its_neighbour() -> None:
    require(namespaces=True)
    with World() as world:
        one, other = world.host("one"), world.host("other")
        world.link({one: "192.0.2.11/24", other: "192.0.2.12/24"})
        worker = WorkerProcess(one, settings(advertise=0.05))
        worker.wait_state("active")
        for host in (one, other):
            output = host.run(*PROGRAM, "listen", "eth0", "--seconds", "0.5")
            assert "VRID 51 192.0.2.11: version 3, priority 100, every 50 ms" in output
            assert "WRONG" not in output
            assert "active" in output.splitlines()[-1]
        worker.close()
