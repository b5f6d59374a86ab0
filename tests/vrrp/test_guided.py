"""What two directors agree beside the elections: caps, a promotion, a bar. On a virtual clock."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.vrrp.fake_network import FakeNetwork
from tests.vrrp.test_pair import routers
from vrrp import priority
from vrrp.guided import Guided
from vrrp.messages import Cap, Guidance


def pair(*, preempt: bool = True) -> FakeNetwork:
    """lb1 (254) is active, lb2 (253) is backup."""
    network = FakeNetwork()
    network.add("lb1", 11, *routers(254, preempt=preempt))
    network.add("lb2", 12, *routers(253, preempt=preempt))
    network.run(until=10.0)
    assert network.active() == ["lb1"]
    return network


def cap(network: FakeNetwork, name: str, at_most: int) -> None:
    group = network.nodes[name].group
    for machine in group.members.values():
        group.configure(replace(machine.settings, priority=at_most), network.now)


@pytest.mark.parametrize("preempt", [True, False])
def test_a_switchover_moves_both_sides_at_once_and_lasts(preempt: bool) -> None:
    network = pair(preempt=preempt)
    cap(network, "lb1", 252)
    network.promote("lb2")
    network.run(until=network.now + 3 * network.delay_s)
    assert network.active() == ["lb2"]
    network.run(until=network.now + 100.0)
    assert network.active() == ["lb2"]
    assert network.both_held_s <= 2 * network.delay_s  # make before break, and no longer
    network.nodes["lb2"].alive = False
    network.run(until=network.now + 4.0)
    assert network.active() == ["lb1"]  # capped, it takes over from silence as ever


def test_a_promotion_without_a_cap_is_undone_by_the_next_advertisement() -> None:
    network = pair()
    network.promote("lb2")
    network.run(until=network.now + 1.1)
    assert network.active() == ["lb1"]


def test_a_cap_without_a_promotion_is_vrrp_as_ever() -> None:
    network = pair()
    cap(network, "lb1", 252)
    network.run(until=network.now + 5.0)
    assert network.active() == ["lb2"]
    network = pair(preempt=False)
    cap(network, "lb1", 252)
    network.run(until=network.now + 50.0)
    assert network.active() == ["lb1"]


def test_who_cannot_take_part_is_not_promoted() -> None:
    network = pair()
    network.link("lb2", "back", up=False)
    network.promote("lb2")
    assert network.active() == ["lb1"]
    assert not network.nodes["lb2"].held
    network.link("lb2", "back", up=True)
    network.bar("lb2", "the other one is active")
    network.promote("lb2")
    assert not network.nodes["lb2"].held


def test_a_bar_ends_a_split_brain_and_its_end_is_a_plain_election() -> None:
    network = pair()
    network.cut = {"front", "back"}
    network.run(until=network.now + 5.0)
    assert network.active() == ["lb1", "lb2"]
    network.bar("lb2", "lb1 is active as well")
    assert network.active() == ["lb1"]
    network.run(until=network.now + 100.0)
    assert network.active() == ["lb1"]
    machine = network.nodes["lb2"].group.members["front"]
    assert machine.outlook(network.now) == "does not take over: lb1 is active as well"
    network.bar("lb2", "")
    network.run(until=network.now + 4.0)
    assert network.active() == ["lb1", "lb2"]  # still cut, and nobody says otherwise
    network.cut = set()
    network.run(until=network.now + 2.0)
    assert network.active() == ["lb1"]


def test_whoever_stays_is_told_to_announce_again_and_nobody_else_does() -> None:
    network = pair()
    network.cut = {"front", "back"}
    network.run(until=network.now + 8.0)
    network.bar("lb2", "lb1 is active as well")
    told_at = network.now
    network.peer_yielded("lb1")
    assert network.nodes["lb1"].announced == {"front": told_at, "back": told_at}
    before = dict(network.nodes["lb2"].announced)
    network.peer_yielded("lb2")
    assert network.nodes["lb2"].announced == before
    network.run(until=network.now + 0.5)
    network.peer_yielded("lb1")  # so often nobody is told
    assert network.nodes["lb1"].announced == {"front": told_at, "back": told_at}


def test_the_end_of_a_bar_finds_a_peer_that_has_left_in_time() -> None:
    network = pair()
    network.bar("lb2", "lb1 is active as well")
    network.nodes["lb1"].alive = False
    network.run(until=network.now + 60.0)
    assert network.active() == []
    network.bar("lb2", "")
    network.run(until=network.now + 4.0)
    assert network.active() == ["lb2"]


def test_a_cap_shows_in_the_sum_and_an_owner_has_none() -> None:
    found = priority.capped(priority.add_up(254, ()), 252, "lb2 was given the role")
    assert found.priority == 252
    assert found.weighed == 254
    assert found.sentence == "base 254, 252 at most: lb2 was given the role"
    plain = priority.add_up(200, ())
    assert priority.capped(plain, 252, "no matter") is plain
    owner = priority.add_up(255, ())
    assert priority.capped(owner, 252, "no matter") is owner
    assert priority.capped(priority.add_up(9, ()), -5, "nonsense").priority == 1


@pytest.mark.asyncio
async def test_a_bar_that_is_not_said_again_ends_with_its_lease() -> None:
    said: list[str] = []
    ended = asyncio.Event()

    def bar(sentence: str) -> None:
        said.append(sentence)
        if not sentence:
            ended.set()

    guided = Guided(bar)
    guided.take(Guidance(), ["front"])
    assert said == []  # nothing was barred
    barred = Guidance(bars={"front": "a peer is active"}, lease_s=0.05)
    guided.take(barred, ["front"])
    guided.take(barred, ["front"])
    guided.take(Guidance(bars={"other": "not ours"}, lease_s=0.05), ["front"])
    assert said == ["a peer is active", "a peer is active", ""]
    ended.clear()
    guided.take(barred, ["front"])
    async with asyncio.timeout(5.0):
        await ended.wait()
    caps = Guidance(caps={"back": Cap(at_most=7, because="agreed")})
    guided.take(caps, ["front", "back"])
    assert guided.capped(priority.add_up(9, ()), ["front", "back"]).priority == 7
