"""Every example configuration is rehearsed, by the command a user types.

Each is one boot of a kernel with IPVS, and the real daemons in it. The quick start plays every
scenario but those that all the others play, and one of the example of users' own; the others play
those in which they differ from it, by their way of forwarding, or of electing. Whether a verdict is
right is the rehearsal's own affair; here all must pass, and the report must say what it promises.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from hadirector.config.loader import load
from hadirector.drill.scenarios import SCENARIOS
from tests.prerequisites import require

CONFIGS = Path(__file__).parents[2] / "configs"
OTHERS = sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != "quickstart")
REHEARSAL_BOUND_S = 300  # a busy machine may take three times as long as a quiet one
QUICKSTART_BOUND_S = 600  # some 200 s on a quiet machine
ELECTING = ("vrrp-killed", "power-loss", "director-returns")
OWN = "backup-is-cut-off"
FORWARDING = ("server-dies", "power-loss")
BOTH = ("server-dies", *ELECTING)
DIFFERENCES = {
    **dict.fromkeys(("dr", "tun", "tun6", "udp"), FORWARDING),
    "pools": ("all-servers-die",),
    "brake": ("all-servers-die", "servers-cut-off"),
    "peer": ("switchover", "switchover-interrupted", "director-returns", "vrrp-parted"),
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
def test_the_quick_start_passes_its_scenarios_in_time(tmp_path: Path) -> None:
    out, page, junit = (tmp_path / f"report.{suffix}" for suffix in ("json", "html", "xml"))
    config = load(CONFIGS / "quickstart.yaml").config
    assert config is not None
    suited = [name for name, one in SCENARIOS.items() if one.needs(config) is None]
    plays = [*(name for name in suited if name not in ELECTING), OWN]
    done = rehearse(
        *(str(CONFIGS / "quickstart.yaml"), "--json", str(out)),
        *(word for each in (page, junit) for word in ("--report", str(each))),
        *("--scenario-file", str(CONFIGS / "scenarios" / "quickstart.yaml")),
        *(word for scenario in plays for word in ("--scenario", scenario)),
        bound_s=QUICKSTART_BOUND_S,
    )
    assert check_report(done, out) == plays
    assert page.read_text().count("<svg") == len(plays)
    assert len(ElementTree.parse(junit).findall(".//testcase")) == len(plays)
    for scenario in json.loads(out.read_text())["scenarios"]:
        assert scenario["timeline"]["length_ms"] > 0
        assert scenario["timeline"]["active"]


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_built() -> None:
    done = rehearse(str(CONFIGS / "quickstart.yaml"), "--report", "report.pdf", bound_s=20)
    assert done.returncode == 2
    assert "use .json, .xml, .html" in done.stderr


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
