"""The systemd unit: systemd understands it, and it keeps what the processes rely on."""

import configparser
import subprocess
from pathlib import Path

import pytest

from hadirector import limits
from tests.prerequisites import require
from vrrp import turn
from vrrp.hooks import Hook

UNIT = Path(__file__).parent.parent / "packaging" / "hadirector.service"


@pytest.fixture(scope="module")
def service() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    unit.read_string(UNIT.read_text())
    return unit["Service"]


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    require("systemd-analyze")
    text = UNIT.read_text()
    for program in ("/usr/bin/hadirector", "/sbin/modprobe"):  # need not be installed here
        assert program in text
        text = text.replace(program, "/bin/true")
    (tmp_path / UNIT.name).write_text(text)
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / UNIT.name)],
        capture_output=True,
        check=False,
        text=True,
        timeout=15,
    )
    # Other units of this host may have findings of their own.
    assert UNIT.name not in verified.stdout + verified.stderr
    assert verified.returncode == 0


def test_a_lost_supervisor_leaves_its_worker_time_to_leave(
    service: configparser.SectionProxy,
) -> None:
    assert service["KillMode"] == "control-group"
    ends_s = 2 * (limits.STOP_S + limits.EXIT_S + limits.KILLED_S)  # of the two processes
    longest_linger_s = 2 * 40.95
    assert longest_linger_s > turn.FAREWELL_S + turn.KILLED_S  # the hooks for the end run meanwhile
    assert float(service["TimeoutStopSec"]) > ends_s + longest_linger_s


def test_a_hook_of_ordinary_length_is_not_cut_at_the_end() -> None:
    assert Hook(webhook="http://192.0.2.1/").timeout < turn.FAREWELL_S


def test_a_slow_start_is_not_taken_for_a_failed_one(service: configparser.SectionProxy) -> None:
    assert float(service["TimeoutStartSec"]) > limits.HOLD_EXPECTED_S


def test_what_is_ours_in_the_table_is_remembered_as_long_as_the_table(
    service: configparser.SectionProxy,
) -> None:
    assert service["RuntimeDirectoryPreserve"] == "yes"


def test_no_capability_too_many(service: configparser.SectionProxy) -> None:
    granted = set(service["CapabilityBoundingSet"].split())
    assert granted == {"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_NICE", "CAP_IPC_LOCK"}
