"""Every example configuration is rehearsed, by the command a user types.

Each is one boot of a kernel with IPVS, and the real daemons in it. The quick start plays every
scenario; the others play those in which they differ from it, by their way of forwarding, or of
electing. Whether a verdict is right is the
rehearsal's own affair; here all must pass, and the report must say what it promises to.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hadirector.config.loader import load
from hadirector.drill.scenarios import SCENARIOS
from tests.prerequisites import require

CONFIGS = Path(__file__).parents[2] / "configs"
OTHERS = sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != "quickstart")
REHEARSAL_BOUND_S = 300  # a busy machine may take three times as long as a quiet one
QUICKSTART_BOUND_S = 600  # some 200 s on a quiet machine
ELECTING = ("vrrp-killed", "power-loss", "director-returns")
FORWARDING = ("server-dies", "power-loss")
BOTH = ("server-dies", *ELECTING)
DIFFERENCES = {
    **dict.fromkeys(("dr", "tun", "tun6", "udp"), FORWARDING),
    "peer": ("switchover", "switchover-interrupted", "director-returns"),
    **dict.fromkeys(("trackers", "unicast", "v2", "vmac"), ELECTING),
}
"""What each configuration plays; one that is not here plays BOTH."""
SCENARIO_KEYS = {
    "name", "verdict", "outage_ms", "budget_ms", "requests_lost", "connections",
    "active_before", "active_after", "notes",
}  # fmt: skip


def rehearse(
    *arguments: str, bound_s: float = REHEARSAL_BOUND_S
) -> subprocess.CompletedProcess[str]:
    require("linux.uml", "modprobe", "ip", "ipvsadm")
    return subprocess.run(
        [sys.executable, "-m", "hadirector", "rehearse", *arguments],
        capture_output=True,
        text=True,
        timeout=bound_s,
        check=False,
    )


def check_report(done: subprocess.CompletedProcess[str], out: Path) -> list[str]:
    """All verdicts of a report must be good, and everything in it that is promised."""
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(out.read_text())
    for scenario in report["scenarios"]:
        assert set(scenario) >= SCENARIO_KEYS
        assert scenario["verdict"] == "pass"
        assert scenario["requests"] > 0
        assert scenario["notes"]
    return [scenario["name"] for scenario in report["scenarios"]]


@pytest.mark.timeout(QUICKSTART_BOUND_S + 10)
def test_the_quick_start_passes_every_scenario_in_time(tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    done = rehearse(
        str(CONFIGS / "quickstart.yaml"), "--json", str(out), bound_s=QUICKSTART_BOUND_S
    )
    config = load(CONFIGS / "quickstart.yaml").config
    assert config is not None
    suited = [name for name, one in SCENARIOS.items() if one.needs(config) is None]
    assert check_report(done, out) == suited
    assert len(suited) == 14  # all but those that take a peer channel


@pytest.mark.timeout(REHEARSAL_BOUND_S + 10)
@pytest.mark.parametrize("name", OTHERS)
def test_every_other_configuration_passes_its_rehearsal(name: str, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    plays = DIFFERENCES.get(name, BOTH)
    chosen = [word for scenario in plays for word in ("--scenario", scenario)]
    done = rehearse(str(CONFIGS / f"{name}.yaml"), *chosen, "--json", str(out))
    assert check_report(done, out) == [each for each in SCENARIOS if each in plays]


def test_the_scenarios_are_listed_without_playing_them() -> None:
    done = rehearse(str(CONFIGS / "quickstart.yaml"), "--list", bound_s=20)
    assert done.returncode == 0
    assert "power-loss" in done.stdout
    assert "budget 3512 ms" in done.stdout


def test_a_misspelt_scenario_gets_a_near_name_and_status_2() -> None:
    done = rehearse(str(CONFIGS / "quickstart.yaml"), "--scenario", "power-los", bound_s=20)
    assert done.returncode == 2
    assert 'did you mean "power-loss"?' in done.stderr
