"""Every example configuration is rehearsed, by the command a user types.

Each is one boot of a kernel with IPVS, and the real daemons in it. The quick start plays every
scenario but those that all the others play, and one of the example of users' own; the others play
those in which they differ from it, by their way of forwarding, or of electing. Whether a verdict is
right is the rehearsal's own affair; here all must pass, and the report must say what it promises.

A rehearsal takes half of a processor: the others run two at a time, and the tests collect them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from hadirector.config.loader import load
from hadirector.drill.scenarios import SCENARIOS
from tests.prerequisites import require

CONFIGS = Path(__file__).parents[2] / "configs"
OTHERS = sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != "quickstart")
AT_ONCE = 2
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
    scenarios = [*(name for name in suited if name not in ELECTING), OWN]
    done = rehearse(
        *(str(CONFIGS / "quickstart.yaml"), "--json", str(out)),
        *(word for each in (page, junit) for word in ("--report", str(each))),
        *("--scenario-file", str(CONFIGS / "scenarios" / "quickstart.yaml")),
        *(word for scenario in scenarios for word in ("--scenario", scenario)),
        bound_s=QUICKSTART_BOUND_S,
    )
    assert check_report(done, out) == scenarios
    assert page.read_text().count("<svg") == len(scenarios)
    assert len(ElementTree.parse(junit).findall(".//testcase")) == len(scenarios)
    for scenario in json.loads(out.read_text())["scenarios"]:
        assert scenario["timeline"]["length_ms"] > 0
        assert scenario["timeline"]["active"]


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_built() -> None:
    done = rehearse(str(CONFIGS / "quickstart.yaml"), "--report", "report.pdf", bound_s=20)
    assert done.returncode == 2
    assert "use .json, .xml, .html" in done.stderr


@pytest.fixture(scope="module")
def rehearsed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Future[list[str]]]:
    """What the configurations of the chosen tests have played, when all are done."""
    chosen = {
        str(item.callspec.params["name"])
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.function is test_every_other_configuration_passes_its_rehearsal
    }

    def played(name: str, out: Path) -> list[str]:
        words = [word for each in plays(name) for word in ("--scenario", each)]
        return check_report(
            rehearse(str(CONFIGS / f"{name}.yaml"), *words, "--json", str(out)), out
        )

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return {
            name: pool.submit(played, name, tmp_path_factory.mktemp(name) / "report.json")
            for name in sorted(chosen, key=lambda name: -len(plays(name)))  # the long ones first
        }


def plays(name: str) -> tuple[str, ...]:
    """The scenarios of a configuration."""
    return DIFFERENCES.get(name, BOTH)


@pytest.mark.timeout(REHEARSAL_BOUND_S * len(OTHERS) / AT_ONCE)  # the first one waits for all
@pytest.mark.parametrize("name", OTHERS)
def test_every_other_configuration_passes_its_rehearsal(
    rehearsed: dict[str, Future[list[str]]], name: str
) -> None:
    assert rehearsed[name].result() == [each for each in SCENARIOS if each in plays(name)]


def test_the_scenarios_are_listed_without_playing_them() -> None:
    done = rehearse(str(CONFIGS / "quickstart.yaml"), "--list", bound_s=20)
    assert done.returncode == 0
    assert "power-loss" in done.stdout
    assert "budget 3512 ms" in done.stdout


def test_a_misspelt_scenario_gets_a_near_name_and_status_2() -> None:
    done = rehearse(str(CONFIGS / "quickstart.yaml"), "--scenario", "power-los", bound_s=20)
    assert done.returncode == 2
    assert 'did you mean "power-loss"?' in done.stderr
