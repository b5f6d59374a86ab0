"""Quorum with hysteresis, fallback servers in order, and what is down kept with weight 0."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadirector import pool
from hadirector.quorum import Quorum, Unit, WhenLost
from tests.hadirector.test_pool import CHECK, DOWN, UP, server, service, weights

ALL = service(server(21), server(22, weight=3), server(23, weight=6))
KEYS = [pool.server_key(ALL, each) for each in ALL.servers]
ONE, TWO, THREE = KEYS


def health(*up: str) -> dict[str, pool.Health]:
    return {key: UP if key in up else DOWN for key in KEYS}


def built(quorum: Quorum, *up: str, before: bool | None = None) -> pool.Pool:
    return pool.build(replace(ALL, quorum=quorum), health(*up), quorum_before=before)


@pytest.mark.parametrize(
    ("quorum", "up", "there", "met"),
    [
        (Quorum(need=2), (ONE, TWO), 2, True),
        (Quorum(need=2), (THREE,), 1, False),
        (Quorum(need=6, unit=Unit.WEIGHT), (THREE,), 6, True),
        (Quorum(need=6, unit=Unit.WEIGHT), (ONE, TWO), 4, False),
        (Quorum(need=60, unit=Unit.SHARE), (ONE, TWO), 66, True),
        (Quorum(need=60, unit=Unit.SHARE), (THREE,), 33, False),
    ],
)
def test_a_quorum_counts_in_its_unit(
    quorum: Quorum, up: tuple[str, ...], there: int, met: bool
) -> None:
    one = built(quorum, *up)
    assert (one.quorum_there, one.quorum_met) == (there, met)


def test_within_its_hysteresis_a_quorum_is_what_it_was_and_says_what_would_change_it() -> None:
    quorum = Quorum(need=6, unit=Unit.WEIGHT, hysteresis=2)
    assert built(quorum, THREE, before=True).quorum_met
    assert not built(quorum, THREE, before=False).quorum_met
    assert built(quorum, ONE, TWO, before=True).sentence == (
        "2 of 3 servers up, quorum weight 6 +/- 2 met (weight 4 now, lost below weight 4)"
    )
    assert built(quorum, THREE, before=False).sentence == (
        "1 of 3 servers up, quorum weight 6 +/- 2 not met (weight 6 now, met again at weight 8)"
    )
    assert built(quorum, TWO, THREE, before=False).quorum_met


def test_a_share_tells_percent() -> None:
    one = built(Quorum(need=50, unit=Unit.SHARE, hysteresis=10), ONE)
    assert "quorum 50 +/- 10 % not met (33 % now, met again at 60 %)" in one.sentence


@given(
    need=st.integers(1, 100),
    slack=st.integers(0, 99),
    there=st.lists(st.integers(0, 120), min_size=1, max_size=60),
)
def test_a_quorum_swings_no_oftener_than_what_is_there_crosses_its_band(
    need: int, slack: int, there: list[int]
) -> None:
    quorum = Quorum(need=need, hysteresis=min(slack, need - 1))
    met: bool | None = None
    for count in there:
        before, met = met, quorum.is_met(count, met)
        if before is None:
            assert met == (count >= need)
        elif met and not before:
            assert count >= need + quorum.hysteresis
        elif before and not met:
            assert count < need - quorum.hysteresis
        if count >= need + quorum.hysteresis:
            assert met
        if count < need - quorum.hysteresis:
            assert not met


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.sampled_from(Unit), st.data())
def test_no_fewer_servers_than_needed_meet_a_quorum(
    of: list[int], unit: Unit, data: st.DataObject
) -> None:
    most = {Unit.SERVERS: len(of), Unit.WEIGHT: max(sum(of), 1), Unit.SHARE: 100}[unit]
    quorum = Quorum(need=data.draw(st.integers(1, most)), unit=unit)
    asked = service(*(server(20 + n, weight=w) for n, w in enumerate(of)))
    asked = replace(asked, quorum=quorum)
    up = data.draw(st.sets(st.sampled_from(asked.servers)))
    one = pool.build(asked, {pool.server_key(asked, each): UP for each in up})
    assert not one.quorum_met or len(up) >= quorum.servers_needed(
        [server.weight for server in asked.servers]
    )


SPARES = (replace(server(28), check=CHECK), replace(server(29), check=None))


def test_the_first_fallback_server_that_is_up_serves() -> None:
    asked = replace(ALL, fallbacks=SPARES)
    checked = pool.server_key(asked, SPARES[0])
    first = pool.build(asked, {**health(), checked: UP})
    assert weights(first) == {"198.51.100.28:80": 1}
    assert [one.reason for one in first.fallbacks] == [
        "serves: no server takes new connections; its check: 2 passes in a row",
        "not needed: one before it in the file serves",
    ]
    second = pool.build(asked, {**health(), checked: DOWN})
    assert weights(second) == {"198.51.100.29:80": 1}
    assert second.fallbacks[0].reason == "cannot serve; its check: connection refused"
    nobody = pool.build(replace(asked, fallbacks=SPARES[:1]), {**health(), checked: DOWN})
    assert weights(nobody) == {}


def test_a_lost_quorum_may_hand_the_clients_to_the_fallback_and_drain_the_rest() -> None:
    quorum = Quorum(need=2, when_lost=WhenLost.FALLBACK)
    asked = replace(ALL, quorum=quorum, fallbacks=SPARES[:1])
    spare = pool.server_key(asked, SPARES[0])
    lost = pool.build(asked, {**health(TWO), spare: UP})
    assert weights(lost) == {"198.51.100.22:80": 0, "198.51.100.28:80": 1}
    assert lost.members[1].reason == (
        "2 passes in a row; drained: the quorum is lost, 198.51.100.28:80 serves instead"
    )
    assert (lost.up, lost.quorum_met) == (1, False)
    back = pool.build(asked, {**health(TWO, THREE), spare: UP}, quorum_before=False)
    assert weights(back) == {"198.51.100.22:80": 3, "198.51.100.23:80": 6}


def test_what_the_brake_holds_is_as_it_was_when_the_fallback_served_already() -> None:
    """One of three was up, so the fallback server served; then that one failed, and is held."""
    quorum = Quorum(need=2, when_lost=WhenLost.FALLBACK)
    asked = replace(ALL, quorum=quorum, fallbacks=SPARES[:1])
    spare = pool.server_key(asked, SPARES[0])
    lost = pool.build(asked, {**health(TWO), spare: UP})
    held = {**health(TWO), spare: UP, TWO: replace(DOWN, held="held")}
    now = pool.build(asked, held, quorum_before=False, given_up_before=lost.given_up)
    assert weights(now) == weights(lost) == {"198.51.100.22:80": 0, "198.51.100.28:80": 1}
    assert now.given_up
    # Met until all failed: they keep their weights, and the fallback server stays out.
    all_held = {**dict.fromkeys((ONE, TWO, THREE), replace(DOWN, held="held")), spare: UP}
    before = pool.build(asked, {**health(ONE, TWO, THREE), spare: UP})
    collapsed = pool.build(
        asked, all_held, quorum_before=before.quorum_met, given_up_before=before.given_up
    )
    assert weights(collapsed) == weights(before)


def test_who_is_up_goes_on_serving_where_no_fallback_server_can() -> None:
    quorum = Quorum(need=2, when_lost=WhenLost.FALLBACK)
    asked = replace(ALL, quorum=quorum, fallbacks=SPARES[:1])
    spare = pool.server_key(asked, SPARES[0])
    lost = pool.build(asked, {**health(TWO), spare: DOWN})
    assert weights(lost) == {"198.51.100.22:80": 3}
    assert lost.fallbacks[0].reason.startswith("not needed: 1 of 3 servers take new connections")


def test_a_quorum_that_is_not_there_yet_waits_for_the_first_results() -> None:
    quorum = Quorum(need=2, when_lost=WhenLost.FALLBACK)
    asked = replace(ALL, quorum=quorum, fallbacks=SPARES[1:])
    assert weights(pool.build(asked, {ONE: UP})) == {"198.51.100.21:80": 1}
