"""The health-collapse brake: stories, and what holds in every story."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from hadirector.brake import FAILURES_MIN, Brake, Limits, Phase

LIMITS = Limits(share=50, window=10.0, hold=60.0, settle=5.0)


def armed(at: float = 0.0) -> Brake:
    """A brake whose control probe has passed."""
    brake = Brake(LIMITS)
    brake.control(passed=True, began=at, now=at)
    return brake


def collapsed() -> Brake:
    """Two of three servers have failed, at 1 and 2 s."""
    brake = armed()
    assert brake.failed("a", 1.0, serving=2) is None
    assert brake.failed("b", 2.0, serving=1) is not None
    return brake


def held_by_link() -> Brake:
    """The same, and the control probe failed at 3 s."""
    brake = collapsed()
    assert "our own link" in str(brake.control(passed=False, began=2.0, now=3.0))
    return brake


def test_a_single_failure_is_believed_at_once_even_of_one_server() -> None:
    brake = armed()
    assert brake.failed("a", 1.0, serving=0) is None
    assert not brake.held


def test_failures_within_the_share_are_believed() -> None:
    brake = armed()
    for number in range(5):
        assert brake.failed(f"s{number}", 1.0, serving=9 - number) is None
    assert "6 of 10 servers failed within 10 s" in str(brake.failed("s5", 1.0, serving=4))


def test_failures_that_are_far_apart_are_believed() -> None:
    brake = armed()
    for number, at in enumerate((1.0, 11.0, 21.0)):
        assert brake.failed(f"s{number}", at, serving=2 - number) is None
    assert brake.phase is Phase.READY


def test_a_collapse_holds_also_the_first_that_failed() -> None:
    assert list(collapsed().held) == ["a", "b"]


def test_servers_that_really_died_are_believed_when_the_control_passes() -> None:
    brake = collapsed()
    assert "are believed" in str(brake.control(passed=True, began=2.5, now=2.6))
    assert not brake.held


def test_a_control_probe_from_before_the_collapse_says_nothing() -> None:
    brake = collapsed()
    assert brake.control(passed=True, began=1.9, now=2.6) is None
    assert brake.phase is Phase.ASKING


def test_what_fails_while_it_is_on_is_held() -> None:
    brake = held_by_link()
    assert brake.failed("c", 30.0, serving=0) is None
    assert list(brake.held) == ["a", "b", "c"]


def test_the_link_comes_back_and_the_servers_with_it() -> None:
    brake = held_by_link()
    assert "5 s to come back" in str(brake.control(passed=True, began=20.0, now=20.1))
    assert list(brake.held) == ["a", "b"]
    assert brake.recovered("b") is None
    assert "come back" in str(brake.recovered("a"))
    assert brake.phase is Phase.READY


def test_who_does_not_come_back_with_the_link_is_believed() -> None:
    brake = held_by_link()
    brake.control(passed=True, began=20.0, now=20.1)
    brake.recovered("b")
    assert brake.tick(25.0) is None
    assert "1 servers have not come back" in str(brake.tick(25.1))
    assert not brake.held


def test_the_link_goes_again_while_servers_settle() -> None:
    brake = held_by_link()
    brake.control(passed=True, began=20.0, now=20.1)
    assert brake.control(passed=False, began=21.0, now=22.0) is not None
    assert brake.tick(25.2) is None
    assert brake.due == 2.0 + LIMITS.hold


def test_it_ends_by_time_and_does_not_come_on_again_by_the_same_control() -> None:
    brake = held_by_link()
    assert "which is the most" in str(brake.tick(62.0))
    brake.failed("a", 62.0, serving=1)
    assert brake.failed("b", 62.0, serving=0) is None
    assert not brake.held


@pytest.mark.parametrize("passed", [None, False])
def test_a_control_that_never_passed_proves_nothing(passed: bool | None) -> None:
    brake = Brake(LIMITS)
    if passed is not None:
        brake.control(passed=passed, began=0.0, now=0.1)
    brake.failed("a", 1.0, serving=1)
    assert brake.failed("b", 1.0, serving=0) is None
    assert not brake.held


def test_an_operator_is_believed_until_the_control_passes_again() -> None:
    brake = held_by_link()
    assert brake.believe() is not None
    assert brake.believe() is None
    brake.failed("a", 4.0, serving=1)
    assert brake.failed("b", 4.0, serving=0) is None
    brake.control(passed=True, began=20.0, now=20.0)
    assert brake.failed("a", 21.0, serving=1) is None
    assert brake.failed("b", 21.0, serving=0) is not None


def test_a_hold_goes_on_over_a_restart_until_its_own_end() -> None:
    brake = Brake(LIMITS)
    assert "2 servers are held as before the restart, for 40 s" in str(
        brake.resume(["a", "b"], since=100.0, now=120.0)
    )
    assert list(brake.held) == ["a", "b"]
    assert brake.due == 160.0
    assert brake.failed("a", 121.0, serving=0) is None
    assert brake.control(passed=False, began=121.0, now=121.1) is None
    assert "5 s to come back" in str(brake.control(passed=True, began=122.0, now=122.1))
    brake.recovered("a")
    assert "come back" in str(brake.recovered("b"))


@pytest.mark.parametrize(
    ("held", "since"),
    [
        ([], 100.0),  # none of them is in the table any more
        (["a"], 60.0),  # it would have ended
        (["a"], 121.0),  # the clock was set
    ],
)
def test_a_hold_that_is_over_is_not_resumed(held: list[str], since: float) -> None:
    brake = Brake(LIMITS)
    assert brake.resume(held, since=since, now=120.0) is None
    assert brake.phase is Phase.READY


def test_a_reload_without_them_forgets_them() -> None:
    brake = held_by_link()
    assert brake.keep_only({"a", "c"}) is None
    assert list(brake.held) == ["a"]
    assert brake.keep_only({"c"}) is not None
    assert brake.phase is Phase.READY


class AnyStory(RuleBasedStateMachine):
    """A pool whose servers fail and come back in any order, with a control of its own mind."""

    @initialize(
        share=st.integers(0, 100),
        window=st.floats(0.5, 20),
        hold=st.floats(1, 100),
        settle=st.floats(0, 30),
        servers=st.integers(1, 6),
    )
    def begin(self, share: int, window: float, hold: float, settle: float, servers: int) -> None:
        limits = Limits(share=share, window=window, hold=hold, settle=settle)
        self.brake, self.now = Brake(limits), 1000.0
        self.up = {f"s{number}" for number in range(servers)}
        self.down_at: dict[str, float] = {}
        self.passed_at: float | None = None
        self.on_since: float | None = None

    @rule(seconds=st.floats(0, 40))
    def time_goes_by(self, seconds: float) -> None:
        until = self.now + seconds
        while (due := self.brake.due) is not None and due <= until:
            self.now = max(due, self.now)
            self.brake.tick(self.now)
            assert self.brake.due is None or self.brake.due > self.now
        self.now = until

    @precondition(lambda self: self.up)
    @rule(data=st.data())
    def one_fails(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.up)))
        self.up.remove(key)
        self.down_at[key] = self.now
        was = self.brake.phase
        news = self.brake.failed(key, self.now, serving=len(self.up))
        assert (news is not None) == (was is Phase.READY and self.brake.phase is Phase.ASKING)
        if news is None:
            return
        window, held = self.brake.limits.window, self.brake.held
        recent = {one for one, at in self.down_at.items() if self.now - at < window}
        assert set(held) <= recent
        assert len(held) >= FAILURES_MIN
        assert 100 * len(held) > self.brake.limits.share * (len(held) + len(self.up))
        assert self.passed_at is not None
        assert self.now - self.passed_at < self.brake.limits.hold
        self.on_since = self.now

    @precondition(lambda self: self.down_at)
    @rule(data=st.data())
    def one_comes_back(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.down_at)))
        del self.down_at[key]
        self.up.add(key)
        self.brake.recovered(key)

    @rule(passed=st.booleans(), took=st.floats(0, 2))
    def the_control_answers(self, passed: bool, took: float) -> None:
        began, was = self.now - took, self.brake.phase
        self.brake.control(passed=passed, began=began, now=self.now)
        if passed:
            self.passed_at = began
        if was is Phase.ASKING and passed and began >= self.brake.since:
            assert not self.brake.held
        if was is not Phase.READY and not passed:
            assert self.brake.phase is not Phase.READY

    @rule()
    def an_operator_believes(self) -> None:
        if self.brake.believe() is not None:
            self.passed_at = None
        assert not self.brake.held

    @invariant()
    def only_what_failed_is_held_and_not_for_long(self) -> None:
        brake = self.brake
        assert set(brake.held) <= self.down_at.keys()
        assert bool(brake.held) == (brake.phase is not Phase.READY)
        if brake.held:
            assert self.on_since is not None
            assert self.now <= self.on_since + brake.limits.hold
            assert brake.due is not None


TestAnyStory = AnyStory.TestCase


@given(st.floats(0, 1e9), st.integers(2, 50))
def test_a_whole_pool_at_once_is_always_held_whatever_the_clock(now: float, servers: int) -> None:
    brake = armed(now)
    for number in range(servers):
        brake.failed(str(number), now, serving=servers - 1 - number)
    assert brake.phase is Phase.ASKING
    assert len(brake.held) == servers
