"""The sum of a priority, its sentence, and weights that can never matter."""

import pytest

from vrrp.priority import Reading, add_up, why_without_effect
from vrrp.tracked import Tracker

ETH1 = Tracker(interface="eth1", weight=-50)
UPLINK = Tracker(route="default", weight=-30)
BONUS = Tracker(process="bird", weight=20)
FAULT = Tracker(script=("/bin/well",))
FILE = Tracker(file="/run/load", weight=-2)
DOWN = Reading(True, "eth1 has no carrier")
PAIR = (("lb1", 254), ("lb2", 253))


def test_what_is_well_changes_nothing() -> None:
    assert add_up(150, [(ETH1, Reading(False, "eth1 is up"))]).sentence == "base 150"


def test_a_failure_is_shown_in_the_sum() -> None:
    found = add_up(150, [(ETH1, DOWN), (UPLINK, Reading(True, "no route to default"))])
    assert found.priority == 70
    assert found.sentence == "base 150, -50 eth1 has no carrier, -30 no route to default = 70"
    assert found.fault is None


def test_a_positive_weight_counts_while_it_is_well() -> None:
    assert add_up(100, [(BONUS, Reading(False, "bird runs"))]).sentence == (
        "base 100, +20 bird runs = 120"
    )
    assert add_up(100, [(BONUS, Reading(True, "bird does not run"))]).priority == 100


def test_the_number_of_a_file_is_multiplied() -> None:
    found = add_up(100, [(FILE, Reading(True, "/run/load holds 7", 7))])
    assert found.sentence == "base 100, -14 /run/load holds 7 = 86"


def test_without_a_weight_a_failure_is_a_fault() -> None:
    found = add_up(100, [(FAULT, Reading(True, "/bin/well exit code 1"))])
    assert (found.priority, found.fault) == (100, "/bin/well exit code 1")


@pytest.mark.parametrize(("base", "weight", "priority"), [(10, -50, 1), (250, 50, 254)])
def test_the_sum_stays_within_what_can_be_sent(base: int, weight: int, priority: int) -> None:
    failed = weight < 0
    found = add_up(base, [(Tracker(interface="eth1", weight=weight), Reading(failed, "eth1"))])
    assert found.priority == priority
    assert found.sentence == f"base {base}, {weight:+d} eth1 = {base + weight}, so {priority}"


def test_the_owner_is_not_weighed() -> None:
    found = add_up(255, [(ETH1, DOWN)])
    assert found.priority == 255
    assert found.sentence.endswith("still 255, since the owner of the addresses is not weighed")


# ------------------------------------------------------------------------------ without effect


def test_a_weight_that_crosses_the_peer_matters() -> None:
    assert why_without_effect(ETH1, [ETH1], PAIR) is None


def test_a_weight_that_falls_short_is_shown_with_its_sum() -> None:
    assert why_without_effect(ETH1, [ETH1], (("lb1", 200), ("lb2", 100))) == (
        "lb1: 200 - 50 = 150, still above lb2's 100"
    )
    assert why_without_effect(BONUS, [BONUS], (("lb1", 200), ("lb2", 100))) == (
        "lb2: 100 + 20 = 120, still below lb1's 200"
    )


def test_weights_that_only_matter_together_matter() -> None:
    assert why_without_effect(ETH1, [ETH1, UPLINK], (("lb1", 150), ("lb2", 80))) is None
    assert why_without_effect(UPLINK, [ETH1, UPLINK], (("lb1", 150), ("lb2", 80))) is None


def test_equal_to_the_peer_is_enough_since_the_address_decides_then() -> None:
    assert why_without_effect(ETH1, [ETH1], (("lb1", 150), ("lb2", 100))) is None


def test_an_owner_is_never_outweighed() -> None:
    assert why_without_effect(ETH1, [ETH1], (("lb1", 255), ("lb2", 100))) == (
        "lb1 has priority 255, and the owner of the addresses is not weighed"
    )


def test_nothing_is_said_where_nothing_is_certain() -> None:
    assert why_without_effect(FILE, [FILE], (("lb1", 200), ("lb2", 100))) is None
    assert why_without_effect(ETH1, [ETH1, FILE], (("lb1", 200), ("lb2", 100))) is None
    assert why_without_effect(ETH1, [ETH1], (("lb1", 200),)) is None
    assert why_without_effect(FAULT, [FAULT], (("lb1", 200), ("lb2", 100))) is None
