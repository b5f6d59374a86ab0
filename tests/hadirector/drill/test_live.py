"""The drills on a running pair: what is done, what puts it back, what speaks against it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hadirector.cli.errors import EXIT_INVALID
from hadirector.drill.catalogue import DRILLS
from hadirector.drill.live import Look, first_url, healed, obstacles
from hadirector.drill.sequence import STEPS_MAX, Run, Signal
from tests.hadirector.drill.facts import facts, status


@pytest.mark.parametrize("name", DRILLS)
def test_a_fit_pair_may_be_drilled_and_every_fault_ends(name: str) -> None:
    drill = DRILLS[name]
    known = facts()
    assert obstacles(drill, known) == []
    steps, promises = drill.plan(known)
    assert 0 < len(steps) <= STEPS_MAX
    assert steps[-1].hold_s > sum(each.within_ms for each in promises) / 1000
    assert drill.budget_ms(known) > 0
    for step in steps:  # a crash is healed by the supervisor; whatever else is done has an undo
        crash = isinstance(step.act, Signal) and step.act.name == "SIGKILL"
        refused = isinstance(step.act, Run) and step.act.statuses == (EXIT_INVALID,)
        assert step.undo is not None or crash or refused


@pytest.mark.parametrize("name", [drill.name for drill in DRILLS.values() if drill.moves])
@pytest.mark.parametrize(
    ("changes", "said", "final"),
    [
        ({"connected": False}, "lb2 is not heard on the peer channel", True),
        ({"ready": False}, "lb2 is not ready: its first round of checks goes on", False),
        ({"paused": True}, "lb2 is paused", False),
        ({"same_file": False}, "lb1 and lb2 run different configurations", False),
        ({"trouble": ["no disk"]}, "lb2: no disk", False),
        ({"disagreements": ["web: down there"]}, "web: down there", False),
        ({"routers": {}}, "front is unknown on lb2, not backup", True),
    ],
)
def test_who_cannot_take_over_is_named(
    name: str, changes: dict[str, Any], said: str, final: bool
) -> None:
    found = obstacles(DRILLS[name], facts(peer=changes))
    assert (said, final) in [(each.sentence, each.final) for each in found]


def test_a_director_that_is_not_well_or_not_active_is_refused() -> None:
    switchover = DRILLS["switchover"]
    for changes, said in (
        ({"ready": False}, "lb1 is not ready: its first round of checks goes on"),
        ({"trouble": ["no disk"]}, "lb1: no disk"),
        ({"table": {"failures": ["-A: EPERM"]}}, "lb1: the kernel refused -A: EPERM"),
        ({"routers": []}, "lb1 is active for nothing: run it on lb2"),
        ({"sync": {"running": [], "sentence": "off"}}, "connections are not synced: off"),
    ):
        known = facts(**changes)
        assert said in [each.sentence for each in obstacles(switchover, known)]


def test_without_a_peer_channel_nobody_knows_whether_the_other_one_lives() -> None:
    known = facts()
    alone = replace(known, status=status(peer=None))
    (found,) = obstacles(DRILLS["switchover"], alone)
    assert found.final
    assert not obstacles(DRILLS["crash-director"], alone)


def test_what_would_not_be_started_again_is_not_stopped() -> None:
    known = replace(facts(), unit="")
    for name in ("stop", "crash-supervisor"):
        assert [each.final for each in obstacles(DRILLS[name], known)] == [True]
    assert not obstacles(DRILLS["crash-vrrp"], known)


def test_the_wire_is_believed_where_the_director_itself_is_gone() -> None:
    known = facts()
    _, promises = DRILLS["stop"].plan(known)
    assert not promises[0].holds(Look({}))
    assert promises[0].holds(Look({}, frozenset(known.active_here)))


def test_healed_says_what_is_not_yet_as_it_should_be() -> None:
    known = facts()
    assert healed(known, Look(status())) == ""
    assert "does not answer" in healed(known, Look({}))
    dead = {"supervisor": {"pid": 1}, "vrrp": {"pid": None}}
    assert healed(known, Look(status(processes=dead))) == "a process of lb1 is down"
    both = facts(peer={"routers": {"front": {"state": "active"}}}).status
    assert healed(known, Look(both)) == "front is active on lb1 and active on lb2"
    new = status(trouble=["split brain"])
    assert healed(known, Look(new)) == "split brain"
    assert healed(replace(known, status=new), Look(new)) == ""  # it was there before


def test_a_client_asks_the_first_service() -> None:
    assert first_url(facts()).startswith("tcp://192.0.2.100:")
