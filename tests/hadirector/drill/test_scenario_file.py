"""Scenario files: the example is valid, and everything wrong is told with its place and a hint."""

from pathlib import Path

import pytest

from hadirector.config.loader import load
from hadirector.config.model import Config
from hadirector.drill.scenario_file import StepShape, load_scenarios
from hadirector.drill.steps import VERBS

CONFIGS = Path(__file__).parents[3] / "configs"
HEAD = "scenarios:\n  - name: mine\n    outage: 1s\n    steps:\n"


def quickstart() -> Config:
    config = load(CONFIGS / "quickstart.yaml").config
    assert config is not None
    return config


def test_the_example_is_valid() -> None:
    read = load_scenarios(CONFIGS / "scenarios" / "quickstart.yaml", quickstart())
    assert read.render() == ""
    assert len(read.scenarios) == 2
    scenario = read.scenarios["backup-is-cut-off"]
    assert scenario.budget_ms(quickstart()) == 500
    assert scenario.settles


def test_every_verb_can_be_written_and_is_played() -> None:
    assert set(StepShape.model_fields) == set(VERBS)


def test_the_page_on_drills_explains_every_step() -> None:
    page = (CONFIGS.parent / "docs" / "drills.md").read_text(encoding="utf-8")
    assert [verb for verb in VERBS if f"`{verb}:" not in page] == []


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        ("kil: active/vrrp", ':5:9: error: scenarios[0].steps[0].kil: unknown key "kil"; did you'),
        ("kill: activeX/vrrp", 'kill: no director is called "activeX"; did you mean "active"?'),
        ("kill: active", ":5:15: error: scenarios[0].steps[0].kill: the process is missing; write"),
        ("kill: active/vrr", '"active/vrr" names no process; write active/vrrp; did you mean'),
        ("stop: lb1/vrrp", "steps[0].stop: stop takes a whole director; write lb1"),
        ("wait: 3", ":5:15: error: scenarios[0].steps[0].wait: 3 has no unit; write 3s or 3ms"),
        ("{wait: 3s, heal: lb1}", "steps[0]: a step does one thing, this one wait and heal"),
        ("{}", "steps[0]: a step does one thing, this one nothing"),
        ("server_down: 198.51.100.20:8080", "no service has a server 198.51.100.20:8080"),
        (
            "wait_for: {within: 2s}",
            ":5:19: error: scenarios[0].steps[0].wait_for: nothing is asked",
        ),
        ("expect: {activeX: lb1}", 'expect.activeX: unknown key "activeX"; did you mean "active"?'),
        ("netem: {director: lb1}", "netem: nothing is disturbed; write delay or loss"),
        ("netem: {director: lb1, jitter: 2ms}", "netem.jitter: jitter without a delay"),
        ("netem: {director: lb1, loss: 101}", "scenarios[0].steps[0].netem.loss:"),
        ("run: {director: lb9, command: [true-ish]}", 'run.director: no director is called "lb9"'),
    ],
)
def test_a_step_that_is_wrong_is_told_with_its_place(
    step: str, wanted: str, tmp_path: Path
) -> None:
    assert wanted in refused(f"{HEAD}      - {step}\n", tmp_path)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{name: mine, steps: [{wait: 1s}]}", ':2:5: error: scenarios[0]: "outage" is missing'),
        ("{name: mine, outage: 1s}", '"steps" is missing; write what happens'),
        ("{name: mine, outage: 1s, steps: []}", "the list is empty; write at least one of steps"),
        ("{name: power-loss, outage: 1s, steps: [{wait: 1s}]}", "one of hadirector's own"),
        ("{name: Mine!, outage: 1s, steps: [{wait: 1s}]}", '"Mine!" is no name of a scenario'),
        ("{name: a, outage: 1s, kept: 11, steps: [{wait: 1s}]}", "scenarios[0].kept:"),
        ("&one {name: a, outage: 1s, steps: [{wait: 1s}]}\n  - *one", 'a second scenario "a"'),
    ],
)
def test_a_scenario_that_is_wrong_is_told_with_its_place(
    text: str, wanted: str, tmp_path: Path
) -> None:
    assert wanted in refused(f"scenarios:\n  - {text}\n", tmp_path)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("scenarios: nothing\n", ":1:12: error: scenarios: expected a list"),
        ("scenario:\n  - {}\n", 'unknown key "scenario"; did you mean "scenarios"?'),
        ("[]\n", ":1:1: error:"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_its_place(
    text: str, wanted: str, tmp_path: Path
) -> None:
    assert wanted in refused(text, tmp_path)


def refused(text: str, tmp_path: Path) -> str:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    read = load_scenarios(file, quickstart())
    assert read.scenarios == {}
    return read.render()


def test_a_file_that_is_not_there_is_told_too(tmp_path: Path) -> None:
    read = load_scenarios(tmp_path / "none.yaml", quickstart())
    assert read.scenarios == {}
    assert "none.yaml" in read.render()
