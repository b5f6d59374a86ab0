"""The models where no kernel need be asked: what they promise for any table, and what they say.

That the kernel chooses the same servers is shown in tests/kernel/test_ipvs_schedulers.py.
"""

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadirector.ipvs.hashing import MH_SLOTS, dh_table, mh_table, sh_table
from hadirector.ipvs.loads import loaded
from hadirector.ipvs.locality import Locality
from hadirector.ipvs.model import (
    Counters,
    Destination,
    DestinationKey,
    Entry,
    FirewallMark,
    Protocol,
    Service,
    ServiceFlag,
    VirtualAddress,
)
from hadirector.ipvs.schedulers import Loss, RoundRobin, choose, lose

VIP = ip_address("192.0.2.100")
WEB = VirtualAddress(Protocol.TCP, VIP, 80)
CLIENT = DestinationKey(ip_address("203.0.113.7"), 50000)
weights = st.lists(st.integers(0, 70000), max_size=6)


def server(last: int, weight: int = 1, **more: int) -> Destination:
    address = ip_address(f"198.51.100.{last}")
    return Destination(DestinationKey(address, 80), weight=weight, **more)  # type: ignore[arg-type]


def entry(scheduler: str, *servers: Destination, active: tuple[int, ...] = ()) -> Entry:
    keys = [each.key for each in servers]
    counters = {key: Counters(active=n) for key, n in zip(keys, active, strict=False)}
    return Entry(Service(WEB, scheduler), dict(zip(keys, servers, strict=True)), counters)


@given(weights)
def test_tables_are_full_or_empty_and_mh_follows_the_weights(chosen: list[int]) -> None:
    keys = tuple(server(index + 1).key for index in range(len(chosen)))
    assert len(sh_table(chosen)) == (256 if chosen else 0)
    assert len(dh_table(len(chosen))) == (256 if chosen else 0)
    table = mh_table(keys, tuple(chosen), 4)
    assert len(table) == (MH_SLOTS if any(chosen) else 0)
    counted = Counter(table)
    assert set(counted) == {index for index, weight in enumerate(chosen) if weight}


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_wrr_is_fair_over_a_round(chosen: list[int]) -> None:
    turns = RoundRobin(chosen, weighted=True)
    rounds = sum(chosen)
    for _ in range(rounds):
        turns.next()  # the first round may begin in the middle
    counted = Counter(turns.next() for _ in range(rounds))
    assert [counted[index] for index in range(len(chosen))] == chosen


def test_a_lost_server_of_mh_moves_few_others_and_of_sh_many() -> None:
    servers = [server(index) for index in range(1, 51)]
    gone = servers[7].key
    mh, sh = lose(entry("mh", *servers), gone), lose(entry("sh", *servers), gone)
    assert mh is not None
    assert sh is not None
    assert 0.015 < mh.lost < 0.025
    assert mh.others < 0.06
    assert sh.others > 0.5
    assert lose(entry("wlc", *servers), gone) is None
    assert lose(entry("mh", servers[0]), servers[0].key) == Loss(1.0, 0.0)


@pytest.mark.parametrize(
    ("scheduler", "active", "expected"),
    [
        ("lc", (3, 2, 2), 22),
        ("wlc", (3, 2, 9), 21),
        ("sed", (3, 2, 9), 21),
        ("nq", (3, 0, 9), 22),
        ("fo", (3, 2, 9), 21),
        ("ovf", (5, 2, 0), 23),
    ],
)
def test_the_least_and_the_heaviest(scheduler: str, active: tuple[int, ...], expected: int) -> None:
    servers = (server(21, 4), server(22, 1), server(23, 2))
    choice = choose(entry(scheduler, *servers, active=active), CLIENT, VIP)
    assert choice.server == server(expected).key
    assert choice.exact


chosen_servers = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 9), st.sampled_from([0, 3])), min_size=1, max_size=4
)


@given(chosen_servers)
def test_the_chances_of_twos_are_those_of_all_draws(chosen: list[tuple[int, int, int]]) -> None:
    """Every pair of numbers that ip_vs_twos.c can draw, one by one, as it walks its list."""
    servers = [server(index, weight, upper=up) for index, (weight, _, up) in enumerate(chosen, 1)]
    busy = entry("twos", *servers, active=tuple(active for _, active, _ in chosen))
    able = [
        (server.key, server.weight, active * 256)
        for server, (_, active, up) in zip(servers, chosen, strict=True)
        if server.weight and not (up and active >= up)
    ]
    draws = range(sum(weight for _, weight, _ in able) + 1)

    def picked(number: int) -> tuple[DestinationKey, int, int]:
        for one in able:
            number -= one[1]
            if number <= 0:
                return one
        raise AssertionError

    counted: Counter[DestinationKey] = Counter()
    for first in map(picked, draws if able else ()):
        for second in map(picked, draws):
            counted[(second if second[1] * first[2] > first[1] * second[2] else first)[0]] += 1
    assert dict(choose(busy, CLIENT, VIP).chances) == pytest.approx(
        {key: counted[key] / len(draws) ** 2 for key, _, _ in able}
    )


def test_lblc_stays_until_its_server_is_overloaded_and_another_idles() -> None:
    lblc, lblcr = Locality(replicated=False), Locality(replicated=True)
    servers = server(21, 2), server(22, 2)
    story = [
        ((0, 0), 21, 21),
        ((2, 0), 21, 21),
        ((3, 1), 21, 21),  # overloaded, but the other has half as many as its weight
        ((3, 0), 22, 22),
        ((3, 2), 22, 22),  # of the two that lblcr remembers, the less loaded
        ((0, 2), 22, 21),
    ]
    for active, one, several in story:
        now = loaded(entry("lblc", *servers, active=active))
        for model, expected in ((lblc, one), (lblcr, several)):
            chosen, why = model.next(now, VIP)
            assert chosen is not None
            assert chosen.destination.key == server(expected).key, (active, why)
    drained = loaded(entry("lblc", server(21, 2), server(22, 0), active=(9, 0)))
    for model in (lblc, lblcr):
        chosen, _ = model.next(drained, VIP)
        assert chosen is not None
        assert chosen.destination.key == server(21).key
    assert lblc.next([], VIP)[0] is None


def test_what_is_not_known_is_said() -> None:
    between = server(21, upper=10)
    assert not choose(entry("lc", between, active=(8,)), CLIENT, VIP).exact
    assert choose(entry("lc", between, active=(7,)), CLIENT, VIP).exact
    assert choose(entry("lc", between, active=(10,)), CLIENT, VIP).server is None
    assert not choose(entry("lc", replace(between, lower=2), active=(2,)), CLIENT, VIP).exact
    assert not choose(entry("mh", server(21), server(22, 0)), CLIENT, VIP).exact
    two = server(21), server(22)
    for scheduler in ("rr", "wrr", "lblc", "lblcr", "twos"):
        assert not choose(entry(scheduler, *two), CLIENT, VIP).exact
        only = choose(entry(scheduler, server(21), server(22, 0)), CLIENT, VIP)
        assert (only.server, only.exact) == (server(21).key, True)
    choice = choose(entry("none", server(21)), CLIENT, VIP)
    assert (choice.server, choice.exact) == (None, False)
    full = entry("lblc", server(21, upper=1), active=(1,))
    assert not choose(full, CLIENT, VIP).exact  # it may be remembered, and is taken then
    marked = replace(entry("dh", server(21)), service=Service(FirewallMark(7), "dh"))
    assert choose(marked, CLIENT, None).server is None


@pytest.mark.parametrize(
    "scheduler", ["sh", "mh", "dh", "rr", "wrr", "lc", "nq", "fo", "ovf", "lblcr", "twos"]
)
def test_without_a_server_there_is_no_choice(scheduler: str) -> None:
    assert choose(entry(scheduler), CLIENT, VIP).server is None
    assert choose(entry(scheduler, server(21, 0)), CLIENT, VIP).server is None
    full = entry(scheduler, server(21, upper=1), active=(1,))
    fallback = replace(full, service=replace(full.service, flags=ServiceFlag.SCHEDULER_1))
    assert choose(fallback, CLIENT, VIP).server is None
