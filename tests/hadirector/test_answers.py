"""`status` and `explain` from plain values: their shapes, as docs/status.md promises them."""

import json
import re
from dataclasses import replace
from ipaddress import IPv4Interface, ip_address
from pathlib import Path
from typing import Any, cast

import pytest

from checkers.base import Advice, Reason, Result, Target
from checkers.check import Check
from checkers.health import State
from checkers.tcp import TcpOptions
from checkers.view import CheckView
from hadirector import pool
from hadirector.answers import Present, explain, status
from hadirector.checks import ServerView
from hadirector.config.model import Config, Node
from hadirector.connection_sync import (
    SETTINGS,
    ConnectionSync,
    Decision,
    SyncDuty,
    SyncView,
)
from hadirector.departures import Leaving
from hadirector.ipvs.control import SyncRole
from hadirector.ipvs.model import Counters, DestinationKey, Entry, Table
from hadirector.reconciler import Turn
from hadirector.router_answers import UnknownSubjectError
from hadirector.told_checks import RESULTS_TOLD
from tests.hadirector.cli.made_up import STATUS
from tests.hadirector.test_pool import DOWN, DRAIN, FIRST, SECOND, UP, WEB, WEIGHT
from vrrp import events
from vrrp.config import VirtualRouter
from vrrp.messages import RouterReport, Timing

GONE = DestinationKey(ip_address("198.51.100.27"), 80)
FALLBACK = "web/198.51.100.29:80"
DOCUMENT = Path(__file__).parents[2] / "docs" / "status.md"
ROUTER = VirtualRouter(
    name="front",
    vrid=51,
    interface="eth0",
    addresses=(IPv4Interface("192.0.2.100/24"),),
    group="web",
)
REPORT = RouterReport(
    name="front",
    vrid=51,
    interface="eth0",
    group="web",
    state=events.State.BACKUP,
    priority=254,
    since=5.0,
    reason="192.0.2.12 has a higher priority",
    active_peer="192.0.2.12",
    addresses=("192.0.2.100/24",),
    held=(),
    counters={"received": 7},
)
TURN = Turn(
    why="audit", at=9.0, steps=(), drift=(), failures=(), kept=(), oddities=(), sentence="audit"
)


def view(number: int) -> CheckView:
    results = tuple(
        Result(healthy=False, reason=Reason.L4_REFUSED, sentence="refused", latency_ms=0.3, at=at)
        for at in map(float, range(number))
    )
    return CheckView(
        check=Check(SECOND, Target(ip_address("198.51.100.22"), 80), TcpOptions()),
        state=State.DOWN,
        since=3.0,
        sentence="connection refused",
        outlook="up after 2 passes in a row, 0 so far",
        passes=0,
        failures=3,
        passed=0,
        failed=3,
        errors=0,
        error=None,
        last=results[-1],
        results=results,
    )


@pytest.fixture
def present() -> Present:
    """One server up, one down, the router in backup."""
    built = pool.build(WEB, {FIRST: UP, SECOND: DOWN})
    entry = pool.desired_table([built])[WEB.listen]
    first = DestinationKey(ip_address("198.51.100.21"), 80)
    counters = {first: Counters(active=3, inactive=4), GONE: Counters(active=1, persistent=2)}
    counted = Entry(entry.service, entry.destinations, counters)
    return Present(
        node="lb1",
        file="/etc/hadirector.yaml",
        config=Config(
            nodes={"lb1": Node(ip_address("192.0.2.11"), 254)},
            virtual_routers=(ROUTER,),
            services=(WEB,),
        ),
        digest="3f2a",
        started_at=1.0,
        loaded_at=2.0,
        pools={"web": built},
        checks={SECOND: ServerView.of_one(view(20))},
        routers={"front": REPORT},
        processes={"vrrp": {"pid": 5, "restarts": 0, "since": 1.0}},
        actual=Table({WEB.listen: counted}),
        turn=TURN,
        leaving=(Leaving(WEB.listen, GONE, 100.0, 130.0),),
        ready=True,
        trouble={"table": "b", "file": "a"},
    )


def test_a_server_that_is_down_says_why_and_what_would_bring_it_back(present: Present) -> None:
    answer = cast("dict[str, Any]", explain(present, SECOND))
    assert (answer["kind"], answer["name"], answer["state"]) == ("server", SECOND, "down")
    assert answer["because"] == [
        "not in the table (its configured weight is 3)",
        "connection refused",
        "layers: by hand: nothing; health: down; by itself: nothing",
        "check: tcp at 198.51.100.22:80",
        "up after 2 passes in a row, 0 so far",
    ]
    assert [result["at"] for result in answer["results"]] == [*range(20 - RESULTS_TOLD, 20)]


def test_the_three_layers_are_told_apart_and_how_each_order_is_taken_back(
    present: Present,
) -> None:
    orders = (DRAIN, WEIGHT)
    asking = replace(UP, advice=Advice(percent=50))
    present.pools = {"web": pool.build(WEB, {FIRST: asking, SECOND: DOWN}, {FIRST: orders})}
    answer = cast("dict[str, Any]", explain(present, FIRST))
    assert answer["because"][2] == (
        "layers: by hand: drained by hand (root), weight 5 by hand (root); health: not checked; "
        "by itself: it asks for 50 % of its weight"
    )
    assert answer["because"][-2:] == [
        f"`hadirector enable {FIRST}` takes back: drained by hand (root)",
        f"`hadirector weight {FIRST} default` takes back: weight 5 by hand (root)",
    ]
    assert answer["advice"] == {"weight": None, "percent": 50, "drain": False}


def test_a_service_and_its_fallback(present: Present) -> None:
    answer = cast("dict[str, Any]", explain(present, "web"))
    assert answer["because"] == [
        "1 of 2 servers up, quorum 1 met",
        "198.51.100.21:80, weight 1: 2 passes in a row",
        "198.51.100.22:80, out: connection refused",
        "198.51.100.29:80, out: not needed: 1 of 2 servers take new connections",
    ]
    fallback = cast("dict[str, Any]", explain(present, FALLBACK))
    assert (fallback["in_table"], fallback["state"], fallback["results"]) == (False, None, [])


def test_a_service_tells_which_verdicts_stay_because_the_check_cannot_be_made(
    present: Present,
) -> None:
    present.checks = {SECOND: ServerView.of_one(replace(view(20), error="no route"))}
    because = cast("list[str]", explain(present, "web")["because"])
    assert because[2] == (
        "198.51.100.22:80, out: connection refused; "
        "the check cannot be made at present, so the verdict stays: no route"
    )


def test_connection_sync_and_what_it_waits_for(present: Present) -> None:
    sync = ConnectionSync(interface="eth1", sync_id=51, follows=("front",))
    assert status(present)["sync"] is None
    present.config = replace(present.config, connection_sync=sync, settings=SETTINGS)
    assert cast("dict[str, Any]", status(present)["sync"])["sentence"] == "not looked at yet"
    present.sync = SyncView(
        decision=Decision(SyncDuty.BACKUP, "receives: front not active here"),
        since=4.0,
        running=sync.daemons([SyncRole.ACTIVE, SyncRole.BACKUP]),
        lingers=True,
        listened_since=4.0,
    )
    present.warming_s = 9.4
    told = cast("dict[str, Any]", status(present)["sync"])
    assert (told["duty"], told["since"], len(told["running"])) == ("backup", 4.0, 2)
    because = cast("list[str]", explain(present, "connection-sync")["because"])
    assert because[0] == "receives: front not active here"
    assert because[3].startswith("sends on for a moment")
    assert because[4:6] == [
        "listens for 9 s more before it takes over from a working peer",
        "who sends is decided by front",
    ]
    assert "sync_threshold 0 0" in because[6]
    with pytest.raises(UnknownSubjectError, match="connection-sync, front, web"):
        explain(present, "nothing")


def test_a_virtual_router(present: Present) -> None:
    answer = cast("dict[str, Any]", explain(present, "front"))
    assert answer["because"] == [
        "192.0.2.12 has a higher priority",
        "vrid 51 on eth0, priority 254",
        "holds no address; configured: 192.0.2.100/24",
        "192.0.2.12 is active",
        "moves together with the others of its group web",
    ]


def test_a_virtual_router_shows_how_its_priority_came_to_be(present: Present) -> None:
    present.routers["front"] = replace(
        REPORT,
        priority=204,
        arithmetic="base 254, -50 eth1 has no carrier = 204",
        trackers=("eth1 has no carrier", "web has its quorum"),
        outlook="preempts in 3.00 s",
    )
    answer = cast("dict[str, Any]", explain(present, "front"))
    assert answer["because"][3:7] == [
        "priority: base 254, -50 eth1 has no carrier = 204",
        "depends on: eth1 has no carrier",
        "depends on: web has its quorum",
        "192.0.2.12 is active",
    ]
    assert "this director preempts in 3.00 s" in answer["because"]


def test_a_virtual_mac_and_what_is_not_in_force_are_told(present: Present) -> None:
    [router] = present.config.virtual_routers
    shown = replace(present.config, virtual_routers=(replace(router, virtual_mac=True),))
    present.config = shown
    present.routers["front"] = replace(REPORT, remark="accept: false is not in force: no")
    answer = cast("dict[str, Any]", explain(present, "front"))
    assert "virtual MAC 00:00:5e:00:01:33, on vrrp4-51" in answer["because"]
    assert "accept: false is not in force: no" in answer["because"]


def test_how_punctual_the_vrrp_worker_is(present: Present) -> None:
    assert status(present)["timing"] is None
    told = Timing(wakes=7, within_ms={"1": 7}, worst_ms=0.5, lately_ms=0.4, refused=("no",))
    present.timing = told
    timing = cast("dict[str, Any]", status(present)["timing"])
    assert (timing["wakes"], timing["lately_ms"], list(timing["refused"])) == (7, 0.4, ["no"])


def test_a_second_active_router_is_trouble(present: Present) -> None:
    present.routers["front"] = replace(REPORT, rival="192.0.2.12")
    assert "front: 192.0.2.12 is active as well (split brain)" in cast(
        "list[str]", status(present)["trouble"]
    )


def test_a_router_of_which_nothing_was_heard_is_unknown(present: Present) -> None:
    present.routers.clear()
    answer = cast("dict[str, Any]", explain(present, "front"))
    assert (answer["state"], answer["since"], answer["held"]) == ("unknown", None, [])


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("wbe", 'nothing here is called "wbe"; there is: front, web'),
        ("", 'nothing here is called ""; there is: front, web'),
        (
            "web/198.51.100.99:80",
            f'"web" has no server "198.51.100.99:80"; it has: {FIRST}, {SECOND}, {FALLBACK}',
        ),
    ],
)
def test_an_unknown_subject_names_the_known(present: Present, what: str, sentence: str) -> None:
    with pytest.raises(UnknownSubjectError) as error:
        explain(present, what)
    assert str(error.value) == sentence


def test_where_nothing_is_configured_that_is_said(present: Present) -> None:
    empty = Present(
        node="lb1",
        file="",
        config=replace(present.config, services=(), virtual_routers=()),
        digest="",
        started_at=0.0,
        loaded_at=0.0,
    )
    with pytest.raises(UnknownSubjectError, match=r"there is: nothing$"):
        explain(empty, "web")
    assert cast("dict[str, Any]", status(empty))["table"]["sentence"] == "not read yet"


def test_counters_of_the_kernel_and_trouble_in_order(present: Present) -> None:
    answer = cast("dict[str, Any]", status(present))
    assert answer.keys() == STATUS.keys()  # what shows it is tested with that one
    first, second = answer["services"][0]["servers"]
    assert first["connections"] == {"active": 3, "inactive": 4}
    assert second["connections"] is None
    assert first["overrides"] == []
    assert answer["trouble"] == ["a", "b"]
    assert answer["services"][0]["quorum"] == {
        "needed": 1,
        "unit": "servers",
        "hysteresis": 0,
        "there": 1,
        "met": True,
        "since": None,
    }


def test_what_left_the_file_is_told_until_it_is_gone(present: Present) -> None:
    [told] = cast("list[dict[str, Any]]", status(present)["leaving"])
    assert (told["service"], told["server"]) == ("web", "198.51.100.27:80")
    assert (told["since"], told["until"]) == (100.0, 130.0)
    assert told["connections"] == {"active": 1, "inactive": 0, "persistent": 2}
    explained = cast("dict[str, Any]", explain(present, "web/198.51.100.27:80"))
    assert explained["because"][-1] == "at the latest 30 s after that, by drain_removed of the file"
    present.pools = {}
    [told] = cast("list[dict[str, Any]]", status(present)["leaving"])
    assert told["name"] == f"{WEB.listen}/198.51.100.27:80"
    present.actual = Table()
    [told] = cast("list[dict[str, Any]]", status(present)["leaving"])
    assert told["connections"] == {"active": 0, "inactive": 0, "persistent": 0}


def keys_of(value: object) -> set[str]:
    """Every key of a JSON value, at any depth; names chosen by users excepted."""
    if isinstance(value, list):
        return set().union(*map(keys_of, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    inner = {key: item for key, item in value.items() if key not in ("processes", "counters")}
    return set(value) | set().union(*map(keys_of, inner.values()))


@pytest.mark.parametrize("what", [None, "web", SECOND, "front", f"web/{GONE}"])
def test_every_field_is_json_and_documented(present: Present, what: str | None) -> None:
    answer = status(present) if what is None else explain(present, what)
    documented = set(re.findall(r"`(\w+)`", DOCUMENT.read_text()))
    assert keys_of(json.loads(json.dumps(answer))) <= documented
