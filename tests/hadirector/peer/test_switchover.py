"""What speaks against a switchover, and how it goes at each step: pure, and with made-up hands."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadirector.peer import mover
from hadirector.peer.messages import Answer, State
from hadirector.peer.mover import PeerGoneError, switch
from hadirector.peer.switchover import Move, Obstacle, caps, direction, not_synced, obstacles
from tests.hadirector.peer.samples import router, state

A = {"front": router("active", 254)}
B = {"front": router("backup", 253)}
MOVE = Move("lb2", "lb1", ("front",))


def pair(**of_lb2: object) -> dict[str, State]:
    """lb1 is active, lb2 backup and otherwise as said."""
    return {"lb1": state(routers=A), "lb2": replace(state(routers=B), **of_lb2)}  # type: ignore[arg-type]


def test_which_way_is_meant() -> None:
    both = pair()
    assert direction(both, "") == MOVE
    assert direction(both, "lb2") == MOVE
    assert direction(both, "lb1") == Move("lb1", "lb2", ())
    wrong = direction(both, "lb3")
    assert isinstance(wrong, Obstacle)
    assert wrong.sentence == 'no director is called "lb3"; there is: lb1, lb2'
    mixed = {
        "lb1": state(routers={"a": router("active"), "b": router("backup")}),
        "lb2": state(routers={"a": router("backup"), "b": router("active")}),
    }
    assert isinstance(direction(mixed, ""), Obstacle)
    assert direction(mixed, "lb2") == Move("lb2", "lb1", ("a",))


def test_a_healthy_pair_has_no_obstacle_and_the_cap_is_just_below() -> None:
    assert not obstacles(MOVE, pair())
    assert caps(MOVE, pair()) == {"front": 252}


@pytest.mark.parametrize(
    ("of_lb2", "told"),
    [
        ({"ready": False}, "lb2 is not ready: its first round of checks goes on"),
        ({"paused": True}, "lb2 is paused"),
        ({"digest": "other"}, "lb2 and lb1 run different configurations"),
        ({"health": state(up=1).health}, "lb2 reaches 1 servers, lb1 2"),
        ({"trouble": ("the disk is full",)}, "lb2: the disk is full"),
        (
            {"routers": {"front": router("backup", 203, configured=253)}},
            "the priority of lb2 for front is lowered from 253 to 203 by what it tracks",
        ),
    ],
)
def test_what_is_missing_is_named_and_may_be_overridden(
    of_lb2: dict[str, object], told: str
) -> None:
    assert obstacles(MOVE, pair(**of_lb2)) == [Obstacle(told)]


@pytest.mark.parametrize(
    ("lb1", "lb2", "told"),
    [
        (A, {}, "front is unknown on lb2, not backup"),
        (A, {"front": router("fault")}, "front is fault on lb2, not backup"),
        (B, B, "front is backup on lb1, not active"),
        (A, {"front": router("backup", hears="")}, "lb2 hears no advertisement of front"),
        ({"front": router("active", 255)}, B, "lb1 owns the addresses of front"),
        (A, {"front": router("backup", 1)}, "nothing is below it"),
    ],
)
def test_what_would_make_two_active_or_none_is_final(
    lb1: dict[str, object], lb2: dict[str, object], told: str
) -> None:
    states = {"lb1": state(routers=lb1), "lb2": state(routers=lb2)}  # type: ignore[arg-type]
    [found] = obstacles(MOVE, states)
    assert found.final
    assert told in found.sentence


def test_connection_sync_must_be_up_where_it_is_configured() -> None:
    lb1 = state(routers=A, daemons=("active",))
    lb1 = replace(lb1, sync=replace(lb1.sync, duty="active"))

    def against(*daemons: str) -> list[str]:
        lb2 = state(routers=B, daemons=daemons)
        return [one.sentence for one in obstacles(MOVE, {"lb1": lb1, "lb2": lb2})]

    assert against() == ["the kernel of lb2 does not receive connections"]
    assert not against("backup")
    lb1 = replace(lb1, sync=replace(lb1.sync, daemons=()))
    assert against("backup") == ["the kernel of lb1 does not send its connections"]
    assert not not_synced(MOVE, 95, 100)
    [found] = not_synced(MOVE, 94, 100)
    assert found == Obstacle("lb2 holds 94 of 100 connections that stand on lb1")


@given(st.dictionaries(st.sampled_from("abc"), st.sampled_from(["active", "backup", "fault"])))
def test_nobody_takes_what_is_active_nowhere(roles: dict[str, str]) -> None:
    opposite = {"active": "backup", "backup": "active", "fault": "fault"}
    states = {
        "lb1": state(routers={name: router(role) for name, role in roles.items()}),
        "lb2": state(routers={name: router(opposite[role]) for name, role in roles.items()}),
    }
    move = direction(states, "lb2")
    if isinstance(move, Move) and not any(one.final for one in obstacles(move, states)):
        assert all(states["lb1"].routers[name].state == "active" for name in move.routers)


class Hands:
    """Both directors as one would see them; `fails` is the step that is interrupted."""

    def __init__(self, *, fails: str = "", refuses: str = "") -> None:
        self.node = "lb2"
        self.both = pair()
        self.fails = fails
        self.refuses = refuses
        self.done: list[str] = []
        self.notes: list[str] = []

    def now(self) -> float:
        return float(len(self.done))

    def states(self) -> dict[str, State]:
        if self.fails == "states":
            raise PeerGoneError("lb1 is not heard")
        return self.both

    async def until(self, true: Callable[[], bool], bound_s: float) -> bool:
        return true()

    async def held(self, connections: Collection[str]) -> int:
        return 0 if self.fails == "held" else len(connections)

    async def look_again(self) -> None:
        self.done.append("look here")

    async def ask(
        self, verb: str, *, text: str = "", routers: Mapping[str, int] | None = None, bound_s: float
    ) -> Answer:
        self.done.append(f"{verb} {dict(routers)}" if routers else verb)
        if verb == self.fails:
            raise PeerGoneError(f"lb1 did not {verb}")
        stand = ("one", "another") if verb == "flush" else ()
        done = verb != self.refuses
        return Answer(number=1, done=done, sentence="so it says", notes=stand)

    def take_back(self, routers: Iterable[str]) -> None:
        self.done.append("take back")

    def promote(self, routers: Iterable[str], reason: str) -> None:
        self.done.append("promote")
        if self.fails != "promote":
            active = {"front": router("active", 253, holds=True)}
            backup = {"front": router("backup", 252, holds=False)}
            self.both = {"lb1": state(routers=backup), "lb2": state(routers=active)}

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


async def switched(hands: Hands, to: str = "lb2", *, force: bool = False) -> mover.Outcome:
    return await switch(hands, to, force=force, by="root")


@pytest.mark.asyncio
async def test_each_step_in_its_order() -> None:
    hands = Hands()
    outcome = await switched(hands)
    assert outcome.done
    assert hands.done == [
        "look here", "look", "flush", "yield {'front': 252}", "take back", "promote",
    ]  # fmt: skip
    assert set(outcome.phases) == {"prepared_s", "taken_ms", "given_ms"}
    assert (await switched(hands)).sentence == "lb2 is active already"


@pytest.mark.asyncio
@pytest.mark.parametrize("step", ["states", "look", "flush", "yield"])
async def test_a_peer_that_goes_at_any_step_before_the_last_is_never_replaced(step: str) -> None:
    hands = Hands(fails=step)
    outcome = await switched(hands)
    assert not outcome.done
    assert "promote" not in hands.done


@pytest.mark.asyncio
@pytest.mark.parametrize("step", ["flush", "yield"])
async def test_a_peer_that_will_not_is_left_active(step: str) -> None:
    hands = Hands(refuses=step)
    assert not (await switched(hands)).done
    assert "promote" not in hands.done


@pytest.mark.asyncio
async def test_a_director_out_of_step_is_refused_after_the_sample_and_nothing_has_changed() -> None:
    hands = Hands(fails="held")
    outcome = await switched(hands)
    assert outcome.missing == ("lb2 holds 0 of 2 connections that stand on lb1",)
    assert hands.done[-1] == "flush"
    assert (await switched(hands, force=True)).done


@pytest.mark.asyncio
async def test_where_nothing_follows_the_cap_is_taken_back() -> None:
    hands = Hands(fails="promote")
    outcome = await switched(hands)
    assert not outcome.done
    assert "failed: lb2 is not where it should be after 10 s" in outcome.sentence
    assert hands.done[-1] == "keep {'front': 0}"


@pytest.mark.asyncio
async def test_force_overrides_what_may_be_overridden_only() -> None:
    hands = Hands()
    hands.both = pair(ready=False)
    refused = await switched(hands)
    assert refused.missing == ("lb2 is not ready: its first round of checks goes on",)
    assert refused.forcible
    assert (await switched(hands, force=True)).done
    hands = Hands()
    hands.both = pair(routers={"front": router("fault")})
    assert not (await switched(hands, force=True)).forcible
    assert "promote" not in hands.done


@pytest.mark.asyncio
async def test_asked_on_the_active_director_the_other_one_does_it() -> None:
    hands = Hands()
    hands.node = "lb1"
    await switched(hands, force=True)
    assert hands.done == ["switchover-forced"]
