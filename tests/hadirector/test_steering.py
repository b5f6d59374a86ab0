"""Steered weights: bounded steps, hysteresis, latency, and how pools follow them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.base import Advice
from checkers.health import State
from hadirector import pool
from hadirector.pools import Pools
from hadirector.slow_start import AT_ONCE
from hadirector.steering import Course, Courses, Steering, by_latency, differs, moves_at, steered
from hadirector.turnover import turnover
from tests.hadirector.test_pool import DRAIN, WEIGHT
from tests.hadirector.test_pools import SERVICES, Checks

RULES = Steering(step=20, every=5.0, hysteresis=10)
RULED = st.builds(
    Steering, step=st.integers(1, 100), every=st.floats(0.1, 10.0), hysteresis=st.integers(0, 50)
)


@given(
    rules=RULED,
    configured=st.integers(1, 1000),
    wishes=st.lists(st.tuples(st.integers(0, 1000), st.floats(0.0, 10.0)), min_size=1, max_size=40),
)
def test_a_weight_moves_in_bounded_steps_with_pauses_and_only_towards_its_target(
    rules: Steering, configured: int, wishes: list[tuple[int, float]]
) -> None:
    step = max(1, configured * rules.step // 100)
    course, now = None, 0.0
    for wanted, pause in wishes:
        now += pause
        before, course = course, steered(course, wanted, configured, rules=rules, now=now)
        if wanted == 0:
            assert course.weight == 0  # who asks for no clients gets none, at once
        elif before is None:
            assert course.weight == wanted
        else:
            assert abs(course.weight - before.weight) <= step
            if course.weight != before.weight:
                assert now - before.moved_at >= rules.every
                assert abs(course.target - course.weight) < abs(course.target - before.weight)


@given(
    rules=RULED,
    configured=st.integers(1, 300),
    start=st.integers(0, 300),
    wanted=st.integers(0, 300),
)
def test_a_wish_that_lasts_is_reached_but_for_the_hysteresis(
    rules: Steering, configured: int, start: int, wanted: int
) -> None:
    course, now = Course(start, start, -100.0), 0.0
    for _ in range(301):
        course = steered(course, wanted, configured, rules=rules, now=now)
        if (at := moves_at(course, rules)) is None:
            break
        now = at + 0.001
    assert course.weight == course.target
    assert not differs(course, wanted, configured, rules)


@given(st.lists(st.integers(91, 109), min_size=1))
def test_what_swings_within_the_hysteresis_moves_nothing(wishes: list[int]) -> None:
    course = Course(100, 100, 0.0)
    for second, wanted in enumerate(wishes):
        course = steered(course, wanted, 100, rules=RULES, now=6.0 * second)
        assert course == Course(100, 100, 0.0)


@pytest.mark.parametrize(
    ("mean_ms", "weight"),
    [(None, 100), (10.0, 100), (50.0, 100), (100.0, 50), (200.0, 25), (5000.0, 10)],
)
def test_a_slow_server_has_its_share(mean_ms: float | None, weight: int) -> None:
    rules = Steering(latency=0.05, least=10)
    assert by_latency(100, mean_ms, rules) == weight
    assert by_latency(0, mean_ms, rules) == 0
    assert by_latency(1, mean_ms, rules) == 1


@given(st.integers(1, 65535), st.floats(0.0, 1e7), st.integers(1, 100))
def test_latency_gives_no_more_than_there_is_and_takes_not_all(
    weight: int, mean_ms: float, least: int
) -> None:
    assert 1 <= by_latency(weight, mean_ms, Steering(latency=0.05, least=least)) <= weight


def test_one_odd_answer_counts_a_quarter() -> None:
    courses = Courses()
    for latency_ms in (10.0, 10.0, 50.0):
        courses.measure("web/1", latency_ms)
    assert courses.mean_ms("web/1") == 20.0
    assert courses.leave("web/1", held=False) is None
    courses.enter("web/1")
    assert courses.mean_ms("web/1") is None


def test_who_is_held_by_the_brake_keeps_the_weight_it_had() -> None:
    courses, course = Courses(), Course(60, 60, 0.0)
    courses.keep("web/1", course)
    assert courses.leave("web/1", held=False) is None  # down, before the brake has seen the others
    assert courses.leave("web/1", held=True) == course
    courses.enter("web/1")
    assert courses.course("web/1") == course


SERVICE = replace(SERVICES[1], slow_start=AT_ONCE, steering=Steering(latency=0.05))
KEY = pool.server_key(SERVICE, SERVICE.servers[0])


def ready() -> tuple[Pools, Checks]:
    checks = Checks()
    pools = Pools(checks.view)  # type: ignore[arg-type]
    pools.adopt(turnover({}, [SERVICE]))
    pools.decide({}, 0.0)
    return pools, checks


def member(pools: Pools) -> pool.Member:
    return pools.by_name[SERVICE.name].members[0]


def test_pools_follow_what_a_server_asks_for_step_by_step_and_say_so() -> None:
    pools, _ = ready()
    pools.advice[KEY] = Advice(percent=50)
    pools.touch(KEY)
    found = []
    for now in (10.0, 15.0, 20.0):
        pools.decide({}, now)
        found.append((member(pools).weight, pools.next_growth()))
    assert found == [(80, 15.0), (60, 20.0), (50, None)]
    pools.advice[KEY] = Advice(percent=100)
    pools.touch(KEY)
    pools.decide({}, 30.0)
    assert "steered: weight 70 on its way to 100" in member(pools).reason


def test_a_latency_is_acted_upon_only_when_it_gives_another_weight() -> None:
    pools, _ = ready()
    assert not pools.measured(KEY, 40.0)
    assert not pools.measured(KEY, 80.0)  # the mean is 50 ms
    assert pools.measured(KEY, 90.0)
    pools.decide({}, 10.0)
    assert member(pools).weight == 83
    assert member(pools).reason.endswith(
        "steered: weight 83, answers in 60.0 ms (full weight up to 50 ms)"
    )
    assert not pools.measured("other/1", 500.0)


def test_by_hand_goes_before_and_who_was_down_starts_anew() -> None:
    pools, checks = ready()
    pools.advice[KEY] = Advice(percent=50)
    pools.touch(KEY)
    pools.decide({KEY: (WEIGHT,)}, 10.0)
    assert member(pools).weight == 5
    pools.touch(KEY)
    pools.decide({KEY: (DRAIN,)}, 11.0)
    assert member(pools).weight == 0
    for state in (State.DOWN, State.UP):
        checks.states[KEY] = state
        pools.touch(KEY)
        pools.decide({}, 12.0)
    assert member(pools).weight == 50


def test_another_configured_weight_holds_at_once() -> None:
    pools, _ = ready()
    lighter = replace(SERVICE, servers=(replace(SERVICE.servers[0], weight=10),))
    pools.adopt(turnover(pools.services, [lighter]))
    pools.decide({}, 1.0)
    assert member(pools).weight == 10
