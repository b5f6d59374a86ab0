"""Pools are decided anew where something changed, and only there."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.base import Target
from checkers.check import Check
from checkers.health import State
from checkers.tcp import TcpOptions
from checkers.view import CheckView
from hadirector.checks import ServerView
from hadirector.ipvs.model import Protocol, VirtualAddress
from hadirector.pool import server_key
from hadirector.pools import Pools
from hadirector.quorum import Quorum
from hadirector.service_memory import Standing
from hadirector.slow_start import SlowStart
from hadirector.turnover import turnover
from tests.hadirector.test_pool import WEB, server

SERVICES = [
    replace(
        WEB,
        name=f"w{port}",
        listen=VirtualAddress(Protocol.TCP, ip_address("192.0.2.100"), port),
        servers=(server(21, weight=100),),
        slow_start=SlowStart(20.0),
    )
    for port in (1, 2, 3)
]


class Checks:
    """What the checks say, and who was asked for it."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.asked: list[str] = []

    def view(self, key: str) -> CheckView:
        self.asked.append(key.partition("/")[0])
        return CheckView(
            check=Check(key, Target(ip_address("198.51.100.21"), 80), TcpOptions()),
            state=self.states.get(key, State.UP),
            since=0.0,
            sentence="",
            outlook="",
            passes=1,
            failures=0,
            passed=1,
            failed=0,
            errors=0,
            error=None,
            last=None,
            results=(),
        )


def key_of(number: int) -> str:
    return server_key(SERVICES[number], SERVICES[number].servers[0])


def make() -> tuple[Pools, Checks]:
    checks = Checks()
    pools = Pools(lambda key: ServerView.of_one(checks.view(key)))
    pools.adopt(turnover({}, SERVICES))
    assert len(pools.decide({}, 0.0).pools) == 3
    checks.asked.clear()
    return pools, checks


def test_only_what_was_touched_is_decided_anew() -> None:
    pools, checks = make()
    assert pools.decide({}, 0.0).pools == ()
    checks.states[key_of(1)] = State.DOWN
    pools.touch(key_of(1))
    [decided] = pools.decide({}, 0.0).pools
    assert (decided.service.name, decided.up, checks.asked) == ("w2", 0, ["w2"])
    assert (pools.swung, pools.quorums) == ([decided], {"w1": True, "w2": False, "w3": True})
    pools.touch(key_of(1))
    pools.decide({}, 0.0)
    assert pools.swung == []


def test_another_configuration_touches_what_differs_and_names_what_is_gone() -> None:
    pools, checks = make()
    elsewhere = VirtualAddress(Protocol.TCP, ip_address("192.0.2.100"), 9)
    moved = replace(SERVICES[1], listen=elsewhere)
    added = replace(SERVICES[2], name="w0", listen=SERVICES[1].listen)
    pools.adopt(turnover(pools.services, [added, SERVICES[0], moved]))
    changes = pools.decide({}, 0.0)
    assert set(checks.asked) == {"w0", "w2"}
    assert list(pools.by_name) == ["w0", "w1", "w2"]
    # The address that moved away from one service is another's now, and so it is not gone.
    assert changes.gone == {SERVICES[2].listen}
    pools.touch("w3/198.51.100.21:80")  # the last word of a check that was taken away
    assert pools.decide({}, 0.0).pools == ()


def test_a_server_in_its_slow_start_is_looked_at_when_its_weight_grows() -> None:
    pools, checks = make()
    pools.returns.note(key_of(0), came_back=True, now=10.0)
    pools.touch(key_of(0))
    [first] = pools.decide({}, 10.0).pools
    assert (first.members[0].weight, pools.next_growth()) == (5, 11.0)
    assert pools.decide({}, 10.5).pools == ()
    [second] = pools.decide({}, 11.0).pools
    assert second.members[0].weight == 10
    [last] = pools.decide({}, 40.0).pools
    assert (last.members[0].weight, pools.next_growth()) == (100, None)
    assert set(checks.asked) == {"w1"}


def test_a_slow_start_by_passes_grows_with_what_is_passed_and_by_no_time() -> None:
    pools, _ = make()
    asked = replace(SERVICES[0], slow_start=SlowStart(passes=4))
    pools.adopt(turnover(pools.services, [asked]))
    pools.returns.note(key_of(0), came_back=True, now=10.0)
    pools.touch(key_of(0))
    pools.decide({}, 10.0)
    seen = []
    for _ in range(4):
        assert pools.measured(key_of(0), 1.0)
        [decided] = pools.decide({}, 99.0).pools
        seen.append(decided.members[0].weight)
    assert seen == [30, 55, 80, 100]
    assert pools.next_growth() is None
    assert not pools.measured(key_of(0), 1.0)


def test_a_start_asks_for_no_hysteresis_and_a_loss_does() -> None:
    pools, checks = make()
    two = tuple(server(last) for last in (21, 22, 23))
    asked = replace(SERVICES[0], servers=two, quorum=Quorum(need=2, hysteresis=1))
    names = [server_key(asked, one) for one in two]
    checks.states = dict.fromkeys(names, State.UNKNOWN)
    pools.adopt(turnover(pools.services, []))
    pools.decide({}, 0.0)
    pools.adopt(turnover(pools.services, [asked]))

    def met(*states: State) -> bool:
        checks.states = dict(zip(names, states, strict=True))
        pools.touch(names[0])
        [decided] = pools.decide({}, 0.0).pools
        return decided.quorum_met

    up, down, unknown = State.UP, State.DOWN, State.UNKNOWN
    assert not met(unknown, unknown, unknown)
    assert not met(up, unknown, unknown)
    assert met(up, up, unknown)
    assert not met(down, down, down)
    assert not met(up, up, down)
    assert met(up, up, up)


NEEDS_TWO = Quorum(need=2, hysteresis=1)


def restarted(
    before: Standing | None, quorum: Quorum = NEEDS_TWO
) -> tuple[Pools, Checks, list[str]]:
    """Pools of a new process, which remembers this of its only service; nothing is checked yet."""
    checks = Checks()
    servers = tuple(server(last) for last in (21, 22, 23))
    asked = replace(SERVICES[0], servers=servers, quorum=quorum)
    names = [server_key(asked, one) for one in servers]
    checks.states = dict.fromkeys(names, State.UNKNOWN)
    pools = Pools(lambda key: ServerView.of_one(checks.view(key)), wall=lambda: 1000.0)
    pools.adopt(turnover(pools.services, [asked]))
    pools.recall({"gone": Standing(False, 1.0)} | ({asked.name: before} if before else {}))
    return pools, checks, names


@pytest.mark.parametrize(
    ("before", "up", "met", "told"),
    [
        (None, 2, True, True),  # as ever: its own figure
        (Standing(False, 5.0), 2, False, False),  # within the hysteresis it stays as it was
        (Standing(False, 5.0), 3, True, True),
        (Standing(True, 5.0), 1, True, False),
        (Standing(True, 5.0), 0, False, True),
        (None, 0, False, False),  # nothing was lost
    ],
)
def test_a_quorum_goes_on_over_a_restart_with_its_age(
    before: Standing | None, up: int, met: bool, told: bool
) -> None:
    pools, checks, names = restarted(before)
    [first] = pools.decide({}, 0.0).pools
    assert (first.quorum_met, first.quorum_since, pools.swung) == (False, None, [])
    states = [State.UP] * up + [State.DOWN] * (3 - up)
    for name, state in zip(names, states, strict=True):
        checks.states[name] = state
    pools.touch(names[0])
    [decided] = pools.decide({}, 0.0).pools
    assert decided.quorum_met is met
    assert (pools.swung == [decided]) is told
    as_it_was = before is not None and before.met is met
    assert decided.quorum_since == (5.0 if as_it_was else 1000.0)
    assert pools.standings == {"w1": Standing(met, 5.0 if as_it_was else 1000.0)}


def test_what_the_kernel_serves_after_a_restart_meets_no_quorum_that_was_lost() -> None:
    """Adopted, two of three count as up at once; three would be needed."""
    pools, checks, names = restarted(Standing(False, 5.0))
    checks.states.update(dict.fromkeys(names[:2], State.UP))
    [first] = pools.decide({}, 0.0).pools
    assert not first.quorum_met
    pools.adopt(turnover(pools.services, []))
    assert pools.standings == {}


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.lists(st.booleans(), min_size=3, max_size=3), st.booleans()), min_size=1),
    st.integers(1, 3),
    st.integers(0, 2),
)
def test_restarts_at_any_moment_change_no_quorum(
    story: list[tuple[list[bool], bool]], need: int, hysteresis: int
) -> None:
    """The same story told to pools that go on, and to ones that begin anew now and then."""
    pools, checks, names = restarted(None, Quorum(need=need, hysteresis=hysteresis))
    fresh, others = pools, checks
    for ups, restarts in story:
        states = [State.UP if up else State.DOWN for up in ups]
        if restarts:
            fresh, others, _ = restarted(None, Quorum(need=need, hysteresis=hysteresis))
            fresh.recall(pools.standings)
        checks.states = others.states = dict(zip(names, states, strict=True))
        met = set()
        for each in {pools, fresh}:
            each.touch(names[0])
            [decided] = each.decide({}, 0.0).pools
            met.add((decided.quorum_met, decided.quorum_since))
        assert len(met) == 1
