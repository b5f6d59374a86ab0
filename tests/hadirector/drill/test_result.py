"""Verdicts: what makes a scenario fail, and the shape that programs read."""

from dataclasses import replace
from typing import cast

from hadirector.drill.result import Result, report

GOOD = Result(
    name="power-loss",
    title="the active director loses power",
    outage_ms=3000,
    budget_ms=3512,
    stalled_ms=0,
    requests=400,
    requests_lost=290,
    losses={"timeout": 290},
    connections_opened=10,
    connections_kept=0,
    active_before="lb1",
    active_after="lb2",
    notes=("lb1 lost power",),
)


def test_within_the_budget_and_without_faults_it_passes() -> None:
    assert GOOD.passed
    assert GOOD.to_json()["verdict"] == "pass"


def test_an_outage_beyond_the_budget_fails_and_says_so() -> None:
    late = replace(GOOD, outage_ms=4000)
    assert not late.passed
    assert late.reasons == ("clients waited 4000 ms, the budget is 3512 ms",)


def test_a_broken_promise_fails_whatever_the_outage() -> None:
    assert not replace(GOOD, outage_ms=0, faults=("no address is left on lb1",)).passed


def test_connections_count_where_they_were_promised() -> None:
    promised = replace(GOOD, connections_promised=True, connections_kept=9)
    assert promised.reasons == ("1 of 10 connections were lost in spite of sync",)
    assert replace(promised, connections_kept=10).passed
    assert replace(promised, connections_opened=0, connections_kept=0).passed


def test_the_report_has_the_documented_shape() -> None:
    document = report([GOOD.to_json()], file="quickstart.yaml", kernel="embedded")
    scenarios = cast("list[dict[str, object]]", document["scenarios"])
    assert len(scenarios) == 1
    scenario = scenarios[0]
    assert set(scenario) >= {
        "name", "verdict", "outage_ms", "budget_ms", "requests_lost", "connections",
        "active_before", "active_after", "notes",
    }  # fmt: skip
    assert scenario["connections"] == {"opened": 10, "kept": 0, "promised": False}
