"""Single looks at files, processes and routes of this very host."""

import os
import subprocess
from ipaddress import ip_network
from pathlib import Path

import pytest

from vrrp import looks
from vrrp.looks import has_route, look
from vrrp.tracked import Tracker


@pytest.mark.parametrize(
    ("text", "failed", "value"), [("0\n", False, 0), ("-7", True, -7), ("99999", True, 253)]
)
def test_the_number_in_a_file(tmp_path: Path, text: str, failed: bool, value: int) -> None:
    path = tmp_path / "number"
    path.write_text(text)
    seen = look(Tracker(file=str(path)))
    assert (seen.failed, seen.value, seen.phrase) == (failed, value, f"{path} holds {value}")


def test_a_file_without_a_number_counts_as_0_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "number"
    assert look(Tracker(file=str(path))).phrase == f"{path} is not there"
    path.write_bytes(b"seven\x1b")
    assert look(Tracker(file=str(path))).phrase == f'{path} holds "seven?", which is no number'
    assert look(Tracker(file=str(tmp_path))).phrase == f"{tmp_path} cannot be read: Is a directory"


def test_a_pipe_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not look(Tracker(file=str(tmp_path / "pipe"))).failed


def test_a_process_by_the_beginning_of_its_name(tmp_path: Path) -> None:
    program = tmp_path / "a-name-that-is-longer-than-the-kernel-keeps"
    program.symlink_to("/bin/sleep")
    tracker = Tracker(process=program.name)
    assert look(tracker).phrase == f"{program.name} does not run"
    process = subprocess.Popen([str(program), "60"])
    try:
        while Path(f"/proc/{process.pid}/comm").read_text().startswith("python"):
            os.sched_yield()  # it has not been replaced by the program yet
        assert look(tracker).phrase == f"{program.name} runs"
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert look(tracker).failed  # a zombie does not run
    finally:
        process.kill()
        process.wait()


ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
lo\t0000000A\t00000000\t0201\t0\t0\t0\t000000FF\t0\t0\t0
"""
ROUTES6 = (
    "20010db8000000000000000000000000 20 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000400 00000001 00000000 00000001     eth0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
)


@pytest.mark.parametrize(
    ("network", "there"),
    [
        ("0.0.0.0/0", True),
        ("192.0.2.0/24", True),
        ("192.0.2.0/25", False),
        ("10.0.0.0/8", False),  # to be rejected
        ("2001:db8::/32", True),
        ("::/0", False),
    ],
)
def test_routes(network: str, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {"/proc/net/route": ROUTES, "/proc/net/ipv6_route": ROUTES6}
    lines = {name: [line.split() for line in text.splitlines()] for name, text in tables.items()}
    monkeypatch.setattr(looks, "_lines", lines.__getitem__)
    assert has_route(ip_network(network)) is there
