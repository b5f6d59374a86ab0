"""Every example configuration is rehearsed, by the command a user types.

Each is one boot of a kernel with IPVS, the real daemons in it, and every scenario the file can
show. Whether a verdict is right is the rehearsal's own affair; here all must pass, and the report
must say what it promises to.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.prerequisites import require

CONFIGS = Path(__file__).parents[2] / "configs"
REHEARSAL_BOUND_S = 400
QUICKSTART_BOUND_S = 180  # boot included
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


@pytest.mark.timeout(REHEARSAL_BOUND_S + 10)
@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_passes_its_rehearsal(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    bound_s = QUICKSTART_BOUND_S if file.stem == "quickstart" else REHEARSAL_BOUND_S
    done = rehearse(str(file), "--json", str(out), bound_s=bound_s)
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(out.read_text())
    names = [scenario["name"] for scenario in report["scenarios"]]
    assert len(names) == len(set(names)) >= 10
    for scenario in report["scenarios"]:
        assert set(scenario) >= SCENARIO_KEYS
        assert scenario["verdict"] == "pass"
        assert scenario["requests"] > 0
        assert scenario["notes"]


def test_the_scenarios_are_listed_without_playing_them() -> None:
    done = rehearse(str(CONFIGS / "quickstart.yaml"), "--list", bound_s=20)
    assert done.returncode == 0
    assert "power-loss" in done.stdout
    assert "budget 3512 ms" in done.stdout


def test_a_misspelt_scenario_gets_a_near_name_and_status_2() -> None:
    done = rehearse(str(CONFIGS / "quickstart.yaml"), "--scenario", "power-los", bound_s=20)
    assert done.returncode == 2
    assert 'did you mean "power-loss"?' in done.stderr
