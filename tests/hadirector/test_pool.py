"""From health to the table: each rule of the pool, and what must hold for any health at all."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.base import Advice
from checkers.tcp import TcpOptions
from checkers.timing import Timing
from hadirector import pool
from hadirector.config import model as config
from hadirector.ipvs import model as ipvs
from hadirector.on_fail import OnFail
from hadirector.quorum import Quorum, WhenLost

CHECK = config.HealthCheck(kind="tcp", options=TcpOptions(), timing=Timing())
UP = pool.Health(True, "2 passes in a row")
DOWN = pool.Health(False, "connection refused")
UNKNOWN = pool.Health(None, "no result yet")


def server(last: int, weight: int = 1) -> config.Server:
    return config.Server(
        address=ip_address(f"198.51.100.{last}"), port=80, weight=weight, check=CHECK
    )


def service(
    *servers: config.Server, fallback: config.Server | None = None, quorum: int = 1
) -> config.Service:
    listen = ipvs.VirtualAddress(ipvs.Protocol.TCP, ip_address("192.0.2.100"), 80)
    return config.Service(
        name="web",
        listen=listen,
        scheduler="wlc",
        forward=ipvs.Forward.NAT,
        check=CHECK,
        servers=servers,
        fallbacks=() if fallback is None else (replace(fallback, check=None),),
        quorum=Quorum(need=quorum),
    )


DRAIN = pool.Override(order=pool.Order.DRAIN, by="root", since=1.0)
DISABLE = pool.Override(order=pool.Order.DISABLE, by="root", since=1.0)
WEIGHT = pool.Override(order=pool.Order.WEIGHT, weight=5, by="root", since=1.0)

WEB = service(server(21), server(22, weight=3), fallback=server(29))
FIRST, SECOND = "web/198.51.100.21:80", "web/198.51.100.22:80"


def weights(built: pool.Pool) -> dict[str, int]:
    table = pool.desired_table([built])
    entry = table[built.service.listen]
    return {str(key): destination.weight for key, destination in entry.destinations.items()}


def test_servers_that_are_up_have_their_configured_weight() -> None:
    built = pool.build(WEB, {FIRST: UP, SECOND: UP})
    assert weights(built) == {"198.51.100.21:80": 1, "198.51.100.22:80": 3}
    assert built.sentence == "2 of 2 servers up, quorum 1 met"


def test_a_server_that_is_down_leaves_the_table_and_keeps_its_reason() -> None:
    built = pool.build(WEB, {FIRST: DOWN, SECOND: UP})
    assert weights(built) == {"198.51.100.22:80": 3}
    assert built.members[0].reason == "connection refused"
    assert not built.members[0].in_table


def stays(last: int) -> config.Server:
    return replace(server(last), on_fail=OnFail.WEIGHT_0)


@pytest.mark.parametrize("state", [DOWN, UNKNOWN])
def test_a_server_that_is_not_up_may_stay_with_weight_0(state: pool.Health) -> None:
    asked = service(stays(21), server(22), fallback=server(29), quorum=2)
    built = pool.build(asked, {FIRST: state, SECOND: UP})
    assert weights(built) == {"198.51.100.21:80": 0, "198.51.100.22:80": 1}
    assert built.members[0].reason == f"{state.reason}; stays with weight 0 (on_fail)"
    assert (built.up, built.quorum_met, built.members[0].up) == (1, False, False)


def test_what_was_found_with_weight_0_stays_so_until_its_checks_have_spoken() -> None:
    built = pool.build(WEB, {FIRST: replace(UNKNOWN, quiet=True), SECOND: UP})
    assert weights(built) == {"198.51.100.21:80": 0, "198.51.100.22:80": 3}
    assert built.members[0].reason == "no result yet; stays with weight 0 (as it was found)"
    assert built.up == 1
    down = pool.build(WEB, {FIRST: replace(DOWN, quiet=True), SECOND: UP})
    assert weights(down) == {"198.51.100.22:80": 3}
    up = pool.build(WEB, {FIRST: replace(UP, quiet=True), SECOND: UP})
    assert weights(up) == {"198.51.100.21:80": 1, "198.51.100.22:80": 3}


def test_a_server_that_stays_keeps_no_fallback_out_and_nobody_from_disabling_it() -> None:
    asked = service(stays(21), fallback=server(29))
    assert weights(pool.build(asked, {FIRST: DOWN})) == {
        "198.51.100.21:80": 0,
        "198.51.100.29:80": 1,
    }
    assert weights(pool.build(asked, {FIRST: DOWN}, {FIRST: (DISABLE,)})) == {"198.51.100.29:80": 1}


def test_the_fallback_serves_when_all_are_down() -> None:
    built = pool.build(WEB, {FIRST: DOWN, SECOND: DOWN})
    assert weights(built) == {"198.51.100.29:80": 1}
    assert not built.quorum_met
    assert built.sentence == (
        "0 of 2 servers up, quorum 1 not met, fallback server 198.51.100.29:80 serves"
    )


def test_the_fallback_waits_while_a_server_is_unknown() -> None:
    built = pool.build(WEB, {FIRST: DOWN})
    assert weights(built) == {}
    assert built.fallbacks[0].reason == "waits: 1 servers have not been checked yet"


def test_without_a_fallback_an_empty_service_stays() -> None:
    built = pool.build(service(server(21)), {FIRST: DOWN})
    assert weights(built) == {}
    assert built.fallbacks == ()


def test_the_quorum_counts_servers() -> None:
    asked = service(server(21), server(22), quorum=2)
    assert pool.build(asked, {FIRST: UP, SECOND: UP}).quorum_met
    assert not pool.build(asked, {FIRST: UP, SECOND: DOWN}).quorum_met


def test_a_firewall_mark_takes_the_family_of_its_servers() -> None:
    six = config.Server(address=ip_address("2001:db8::21"), port=80, check=CHECK)
    marked = config.Service(
        name="marked",
        listen=ipvs.FirewallMark(7, 6),
        scheduler="rr",
        forward=ipvs.Forward.DR,
        check=CHECK,
        servers=(six,),
        persistence=ipvs.Persistence(300),
    )
    table = pool.desired_table([pool.everything_up(marked)])
    entry = table[ipvs.FirewallMark(7, 6)]
    assert entry.service.persistence == ipvs.Persistence(300)
    assert [str(destination) for destination in entry.destinations.values()] == [
        "[2001:db8::21]:80, weight 1, dr"
    ]


@given(st.lists(st.sampled_from([UP, DOWN, UNKNOWN]), min_size=2, max_size=2))
def test_whatever_the_health_only_servers_that_are_up_serve(states: list[pool.Health]) -> None:
    built = pool.build(WEB, dict(zip([FIRST, SECOND], states, strict=True)))
    up = {str(member.server) for member in built.members if member.in_table}
    expected = {
        name.partition("/")[2]
        for name, state in zip([FIRST, SECOND], states, strict=True)
        if state is UP
    }
    assert up == expected
    serves = {"198.51.100.29:80"} if states == [DOWN, DOWN] else set()
    assert set(weights(built)) == expected | serves


@pytest.mark.parametrize(
    ("advice", "weight"),
    [
        (None, 8),
        (Advice(), 8),
        (Advice(percent=75), 6),
        (Advice(percent=1), 1),
        (Advice(percent=0), 0),
        (Advice(weight=100), 100),
        (Advice(weight=0), 0),
        (Advice(percent=75, drain=True), 0),
    ],
)
def test_a_server_that_is_up_may_ask_for_a_weight(advice: Advice | None, weight: int) -> None:
    assert pool.advised_weight(8, advice) == weight
    assert pool.advised_weight(0, advice) == 0


def test_what_a_server_asks_for_is_part_of_the_reason() -> None:
    asks = pool.Health(True, "2 passes in a row", Advice(percent=50))
    built = pool.build(WEB, {FIRST: UP, SECOND: asks})
    assert weights(built) == {"198.51.100.21:80": 1, "198.51.100.22:80": 2}
    assert built.members[1].reason == (
        "2 passes in a row; it asks for 50 % of its weight: weight 2, configured 3"
    )


def test_drained_servers_stay_in_the_table_and_the_fallback_serves() -> None:
    drains = pool.Health(True, "ready", Advice(drain=True))
    built = pool.build(WEB, {FIRST: drains, SECOND: drains})
    assert weights(built) == {
        "198.51.100.21:80": 0,
        "198.51.100.22:80": 0,
        "198.51.100.29:80": 1,
    }
    assert built.quorum_met


@pytest.mark.parametrize(
    ("orders", "reason", "weight"),
    [
        ((DRAIN,), "drained by hand (root)", 0),
        ((DISABLE,), "disabled by hand (root)", None),
        ((WEIGHT,), "weight 5 by hand (root)", 5),
        ((DRAIN, WEIGHT), "drained by hand (root), weight 5 by hand (root)", 0),
    ],
)
def test_an_override_is_a_layer_of_its_own(
    orders: pool.Overrides, reason: str, weight: int | None
) -> None:
    built = pool.build(WEB, {FIRST: UP, SECOND: UP}, {SECOND: orders})
    there = {} if weight is None else {"198.51.100.22:80": weight}
    assert weights(built) == {"198.51.100.21:80": 1, **there}
    assert built.members[1].reason == f"{reason}; its check: 2 passes in a row"
    assert built.sentence.endswith(", 1 overridden by hand")


@given(
    st.sampled_from([DOWN, UNKNOWN]),
    st.sampled_from([(), (DRAIN,), (DISABLE,), (WEIGHT,), (DRAIN, WEIGHT), (DISABLE, WEIGHT)]),
)
def test_no_override_brings_in_a_server_that_is_not_up(
    state: pool.Health, orders: pool.Overrides
) -> None:
    built = pool.build(WEB, {FIRST: UP, SECOND: state}, {SECOND: orders})
    assert weights(built) == {"198.51.100.21:80": 1}


@pytest.mark.parametrize(
    ("advice", "weight"),
    [
        (None, 5),
        (Advice(percent=50), 5),
        (Advice(weight=9), 5),
        (Advice(percent=0), 0),
        (Advice(weight=0), 0),
        (Advice(drain=True), 0),
    ],
)
def test_a_weight_by_hand_goes_before_numbers_but_not_before_a_wish_to_be_spared(
    advice: Advice | None, weight: int
) -> None:
    assert pool.ordered_weight(3, advice, (WEIGHT,)) == weight
    assert pool.ordered_weight(0, advice, (WEIGHT,)) == weight
    assert pool.ordered_weight(3, advice, (DRAIN, WEIGHT)) == 0


def test_the_fallback_does_not_wait_for_who_is_drained_or_disabled() -> None:
    built = pool.build(WEB, {FIRST: DOWN}, {SECOND: (DISABLE,)})
    assert weights(built) == {"198.51.100.29:80": 1}
    assert weights(pool.build(WEB, {FIRST: DOWN}, {SECOND: (WEIGHT,)})) == {}


def test_a_service_without_active_servers_has_its_fallback() -> None:
    built = pool.build(WEB, {FIRST: UP, SECOND: UP}, {FIRST: (DRAIN,), SECOND: (DISABLE,)})
    assert weights(built) == {"198.51.100.21:80": 0, "198.51.100.29:80": 1}


def test_what_the_brake_holds_keeps_its_weight_and_counts_for_no_quorum() -> None:
    web = service(server(21, 3), server(22), fallback=server(29))
    web = replace(web, quorum=Quorum(need=1, when_lost=WhenLost.FALLBACK))
    held = replace(DOWN, held="its weight is held", advice=Advice(percent=200 // 3))
    built = pool.build(web, {"web/198.51.100.21:80": held, "web/198.51.100.22:80": DOWN})
    first, second = built.members
    assert (first.held, first.in_table, first.weight, first.up) == (True, True, 2, False)
    assert first.reason.startswith("its weight is held; its check: connection refused")
    assert not second.in_table
    assert not built.quorum_met
    assert not built.fallbacks[0].in_table
    assert "the weights of 1 held by the brake" in built.sentence


def test_an_order_by_hand_goes_before_the_brake() -> None:
    web, held = service(server(21)), replace(DOWN, held="its weight is held")
    order = pool.Override(order=pool.Order.DISABLE, by="root", since=1.0)
    [member] = pool.build(
        web, {"web/198.51.100.21:80": held}, {"web/198.51.100.21:80": (order,)}
    ).members
    assert (member.in_table, member.held) == (False, False)
