"""Between configuration and checks: what is checked, what is up at first, what a view says."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from checkers.base import Target
from checkers.check import Check
from checkers.health import State
from checkers.tcp import TcpOptions
from checkers.timing import Timing
from checkers.view import CheckView
from hadirector.checks import ServerView, checks_after, checks_of, health_of, quiet, serving
from hadirector.config.model import HealthCheck
from hadirector.ipvs.model import Destination, DestinationKey, Table
from hadirector.pool import desired_table, everything_up
from hadirector.turnover import turnover
from tests.hadirector.test_pool import FIRST, SECOND, WEB

OTHER = HealthCheck(kind="tcp", options=TcpOptions(port=9), timing=Timing(interval=9.0))
SERVED = desired_table([everything_up(WEB)])


def test_every_server_is_checked_where_it_serves_and_the_fallback_is_not() -> None:
    checks = checks_of([WEB])
    assert set(checks) == {FIRST, SECOND}
    (check,) = checks[FIRST].checks
    assert check.key == FIRST
    assert check.target == Target(ip_address("198.51.100.21"), 80, service="web")


def test_a_servers_own_check_goes_before_its_services() -> None:
    first, second = WEB.servers
    service = replace(WEB, servers=(replace(first, check=OTHER), replace(second, check=None)))
    checks = checks_of([service])
    (first_check,), (second_check,) = checks[FIRST].checks, checks[SECOND].checks
    assert (first_check.options, first_check.timing) == (OTHER.options, OTHER.timing)
    assert second_check.timing == WEB.check.timing


def test_what_the_kernel_serves_already_counts_as_up() -> None:
    assert serving([WEB], SERVED) == {FIRST, SECOND}
    assert serving([WEB], Table()) == set()


def test_what_the_kernel_has_with_weight_zero_is_quiet() -> None:
    first = DestinationKey(ip_address("198.51.100.21"), 80)
    drained = Table.of((SERVED[WEB.listen].service, [Destination(first, weight=0)]))
    assert quiet([WEB], drained) == {FIRST}
    assert quiet([WEB], SERVED) == quiet([WEB], Table()) == set()


def test_a_server_of_weight_zero_or_of_another_service_does_not() -> None:
    first = DestinationKey(ip_address("198.51.100.21"), 80)
    drained = Table.of((SERVED[WEB.listen].service, [Destination(first, weight=0)]))
    assert serving([WEB], drained) == set()
    assert serving([WEB], drained, {FIRST, SECOND}) == {FIRST}  # by order: it was up before
    foreign = replace(WEB, name="other", servers=WEB.servers[:1])
    assert serving([foreign], SERVED) == {"other/198.51.100.21:80"}


@pytest.mark.parametrize(
    ("state", "up"), [(State.UNKNOWN, None), (State.UP, True), (State.DOWN, False)]
)
def test_a_verdict_in_the_words_of_the_pool(state: State, up: bool | None) -> None:
    view = CheckView(
        check=Check(FIRST, Target(ip_address("198.51.100.21"), 80), TcpOptions()),
        state=state,
        since=0.0,
        sentence="the reason",
        outlook="",
        passes=0,
        failures=0,
        passed=0,
        failed=0,
        errors=0,
        error=None,
        last=None,
        results=(),
    )
    health = health_of(ServerView.of_one(view))
    assert (health.up, health.reason) == (up, "the reason")


def test_what_stays_the_same_object_is_not_made_anew() -> None:
    other = replace(WEB, name="other")
    both = turnover({}, [WEB, other])
    before = checks_after({}, both)
    assert before == checks_of([WEB, other])
    changed = replace(other, servers=other.servers[:1])
    after = checks_after(before, turnover(both.services, [WEB, changed]))
    assert after == checks_of([WEB, changed])
    assert after[FIRST] is before[FIRST]
