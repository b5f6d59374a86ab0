"""Two directors with two virtual routers each, on a virtual clock: the failovers of a NAT pair."""

import pytest

from tests.vrrp.fake_network import FakeNetwork, Node
from tests.vrrp.stories import settings
from vrrp.config import RouterSettings
from vrrp.events import State


def routers(priority: int, *, preempt: bool = True) -> tuple[RouterSettings, RouterSettings]:
    return (
        settings("front", vrid=51, priority=priority, group="web", preempt=preempt),
        settings("back", vrid=52, priority=priority, group="web", preempt=preempt),
    )


@pytest.fixture
def network() -> FakeNetwork:
    """lb1 (254) is active, lb2 (253) is backup."""
    network = FakeNetwork()
    network.add("lb1", 11, *routers(254))
    network.add("lb2", 12, *routers(253))
    network.run(until=10.0)
    assert network.active() == ["lb1"]
    assert network.both_held_s == 0
    return network


def changes(node: Node, since: float) -> list[tuple[str, State]]:
    return [(router, state) for at, router, state, _ in node.history if at > since]


def test_power_loss_costs_three_intervals_and_a_skew(network: FakeNetwork) -> None:
    network.nodes["lb1"].alive = False
    network.run(until=10.0 + 2.9 - 1)  # the last advertisement was up to one interval ago
    assert network.active() == []
    network.run(until=10.0 + 3 + 3 / 256 + 0.001)
    assert network.active() == ["lb2"]


def test_a_graceful_stop_costs_the_skew_of_the_backup(network: FakeNetwork) -> None:
    network.stop("lb1")
    network.run(until=10.0 + 3 / 256 + 0.001)
    assert network.active() == ["lb2"]
    assert changes(network.nodes["lb2"], 10.0) == [
        ("front", State.ACTIVE),
        ("back", State.ACTIVE),
    ]


def test_the_old_active_returns_and_takes_over_once(network: FakeNetwork) -> None:
    network.nodes["lb1"].alive = False
    network.run(until=20.0)
    network.nodes["lb1"] = network.add("lb1", 11, *routers(254))
    network.run(until=60.0)
    assert network.active() == ["lb1"]
    # Make before break: both hold them only while the first advertisement flies.
    assert network.both_held_s <= 2 * network.delay_s
    for node in network.nodes.values():
        assert len(changes(node, 20.0)) == 2
    assert network.nodes["lb1"].history[-1][3] == "priority 253 of 192.0.1.12 is lower than our 254"


def test_without_preemption_the_returned_one_waits() -> None:
    network = FakeNetwork()
    network.add("lb2", 12, *routers(253, preempt=False))
    network.run(until=10.0)
    network.add("lb1", 11, *routers(254, preempt=False))
    network.run(until=60.0)
    assert network.active() == ["lb2"]


def test_both_start_at_the_same_moment() -> None:
    network = FakeNetwork()
    network.add("lb2", 12, *routers(253))
    network.add("lb1", 11, *routers(254))
    network.run(until=30.0)
    assert network.active() == ["lb1"]
    assert network.both_held_s <= 2 * network.delay_s


def test_equal_priorities_settle_although_the_links_disagree_about_the_order() -> None:
    network = FakeNetwork()
    one, two = network.add("one", 1, *routers(100)), network.add("two", 2, *routers(100))
    two.sources = one.sources | {"front": two.sources["front"], "back": one.sources["back"] - 1}
    network.run(until=60.0)
    assert len(network.active()) == 1
    before = len(one.history) + len(two.history)
    network.run(until=120.0)
    assert len(one.history) + len(two.history) == before


def test_one_wire_cut_in_the_middle_changes_nothing(network: FakeNetwork) -> None:
    network.cut = {"back"}
    network.run(until=60.0)
    assert network.active() == ["lb1"]
    assert changes(network.nodes["lb2"], 10.0) == []


def test_a_partition_heals_to_one_active(network: FakeNetwork) -> None:
    network.cut = {"front", "back"}
    network.run(until=30.0)
    assert network.active() == ["lb1", "lb2"]  # at most one in each part
    network.cut = set()
    network.run(until=30.0 + 1.0 + 0.01)
    assert network.active() == ["lb1"]


@pytest.mark.parametrize("wires", [{"front"}, {"back"}, {"front", "back"}])
@pytest.mark.parametrize("tenths", range(11))
def test_neighbors_learn_after_a_partition_whoever_speaks_first(
    network: FakeNetwork, tenths: int, wires: set[str]
) -> None:
    network.cut = {"front", "back"}
    healed_at = 30.0 + tenths / 10
    network.run(until=healed_at)
    network.cut -= wires
    network.run(until=healed_at + 1.01)
    assert network.active() == ["lb1"]
    for router in ("front", "back"):
        assert network.nodes["lb1"].announced[router] >= healed_at
        assert network.nodes["lb2"].announced[router] < healed_at


def test_a_preemption_is_no_rivalry() -> None:
    network = FakeNetwork()
    network.add("lb2", 12, *routers(253))
    network.run(until=10.0)
    network.add("lb1", 11, *routers(254))
    network.run(until=30.0)
    assert network.active() == ["lb1"]
    assert not network.nodes["lb1"].rivals
    assert not network.nodes["lb2"].rivals


def test_an_unplugged_interface_moves_both_addresses(network: FakeNetwork) -> None:
    network.cut = {"back"}
    network.link("lb1", "back", up=False)
    network.run(until=10.0 + 3 / 256 + 0.001)
    assert network.active() == ["lb2"]
    assert network.nodes["lb1"].held == set()
    network.cut = set()
    network.link("lb1", "back", up=True)
    network.run(until=60.0)
    assert network.active() == ["lb1"]
    assert network.both_held_s <= 2 * network.delay_s


def test_a_paused_active_says_nothing_when_it_wakes(network: FakeNetwork) -> None:
    lb1 = network.nodes["lb1"]
    lb1.frozen = True
    network.run(until=20.0)
    assert "lb2" in network.active()
    held_twice = network.both_held_s
    network.thaw("lb1")
    network.run(until=20.0 + 0.001)
    assert network.active() == ["lb2"]
    assert network.both_held_s - held_twice <= 0.001
    network.run(until=40.0)
    assert network.active() == ["lb1"]
