"""What a check worker and its director say to each other: nothing is lost, nothing is believed."""

import json
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers import wire
from checkers.base import Advice, ProbeError, Reason, Result, Target, Way
from checkers.check import Check
from checkers.http import HttpOptions
from checkers.options import CheckOptions
from checkers.registry import KINDS, NAMES
from checkers.tcp import TcpOptions
from checkers.timing import Timing

NEEDED: dict[str, dict[str, Any]] = {
    "agent": {"port": 8000},
    "dns": {"name": "a.example"},
    "file": {"file": "/run/a"},
    "radius": {"secret": "x"},
    "script": {"command": ("/bin/true",)},
    "udp": {"send": "a"},
}
"""Of kinds that cannot do without, by kind."""
TARGET = Target(ip_address("10.0.0.1"), 80)


def there(message: wire.Message) -> wire.Message:
    """As it comes out on the other side."""
    line = wire.encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    return wire.decode(line)


def taken(check: Check, interval_s: float = 2.0) -> wire.Assigned:
    """A check as its worker has it."""
    sent = wire.Assigned(7, check.digest, check, interval_s)
    message = there(wire.Take([sent]))
    assert isinstance(message, wire.Take)
    (came,) = message.probes
    assert (came.number, came.digest, came.interval_s) == (7, check.digest, interval_s)
    return came


@pytest.mark.parametrize("kind", NAMES)
def test_every_kind_can_be_told_to_a_worker_if_it_needs_no_more_than_defaults(kind: str) -> None:
    options = KINDS[kind](**NEEDED.get(kind, {}))
    assert wire.travels(options)
    assert taken(Check("a", TARGET, options)).check.options == options


def test_where_a_probe_goes_arrives_whole() -> None:
    way = Way(ip_address("192.0.2.1"), "eth1", 7, ip_address("10.0.0.9"))
    via = Target(ip_address("fe80::1%eth0"), 8080, way, "web")
    assert taken(Check("a", TARGET, TcpOptions(), via=via)).check.endpoint == via
    moved = TcpOptions(address=ip_address("10.0.0.5"), port=81, source=ip_address("10.0.0.6"))
    check = Check("a", TARGET, moved)
    assert taken(check).check.endpoint == check.endpoint


def test_many_checks_that_ask_the_same_send_that_once() -> None:
    options, timing = HttpOptions(headers={"X-Long": "y" * 100}), Timing(interval=5.0)
    probes = [
        wire.Assigned(number, f"{number:032x}", Check("", TARGET, options, timing), 5.0)
        for number in range(50)
    ]
    line = wire.encode(wire.Take(probes))
    assert line.count(b"X-Long") == 1
    message = wire.decode(line)
    assert isinstance(message, wire.Take)
    assert len({id(one.check.options) for one in message.probes}) == 1


RESULT = Result(
    healthy=False, reason=Reason.L4_REFUSED, sentence="refused\n", latency_ms=0.25, at=17.5
)


@pytest.mark.parametrize(
    "outcome",
    [
        RESULT,
        replace(RESULT, decisive=True, transcript=("connects", "is refused")),
        replace(RESULT, healthy=True, reason=Reason.OK, advice=Advice(percent=75)),
        replace(RESULT, healthy=True, reason=Reason.OK, advice=Advice(weight=0, drain=True)),
    ],
)
def test_a_result_arrives_as_it_was_sent(outcome: Result) -> None:
    message = there(wire.Found([(3, outcome), (4, ProbeError("no route"))]))
    assert isinstance(message, wire.Found)
    (first, came), (second, error) = message.outcomes
    assert (first, came) == (3, outcome)
    assert isinstance(came, Result)
    assert came.transcript == outcome.transcript
    assert second == 4
    assert isinstance(error, ProbeError)
    assert str(error) == "no route"


@pytest.mark.parametrize(
    "message",
    [
        wire.Begin(),
        wire.Refused(9),
        wire.Stop(),
        wire.Pace({3: 0.5, 4: 2.0}),
        wire.Drop([1, 2]),
        wire.Heartbeat(0.125, 17),
    ],
)
def test_the_small_messages_arrive_as_they_were_sent(message: wire.Message) -> None:
    assert there(message) == message


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign(CheckOptions):
    """Options of another package, that hold what JSON has not."""

    kind = "tcp"
    what: frozenset[str] = frozenset({"a"})


def test_options_that_cannot_be_passed_on_are_told_apart() -> None:
    assert not wire.travels(Foreign())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b'["Shout"]',
        b'["Begin"]',
        b'["Begin",true]',
        b'["Begin",1,2]',
        b'["Heartbeat",NaN,3]',
        b'["Heartbeat",0.1,-3]',
        b'["Found",[1,true,"ok","",1.0]]',
        b'["Found",[1,1,"ok","",1.0,2.0]]',
        b'["Found",[1,true,"splendid","",1.0,2.0]]',
        b'["Found",[1,true,"ok",5,1.0,2.0]]',
        b'["Found",[true,"no route"]]',
        b'["Pace",[1,"soon"]]',
        b'["Take",[],[[1,"00",0,2.0,"10.0.0.1",80,""]]]',
        b'["Take",[["shell",{},{}]],[]]',
        b'["Take",[["tcp",{"port":{"module":"os"}},{}]],[]]',
        b'["Take",[["tcp",{"__class__":1},{}]],[]]',
        b"[" * 100_000,
    ],
)
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(line)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner),
)


@pytest.mark.timeout(60)  # of a second on a machine that is not busy
@settings(max_examples=50)
@given(name=st.sampled_from(["Take", "Found", "Pace", "Drop", "Heartbeat", "Begin"]), body=_JSON)
def test_nothing_but_a_wire_error_comes_of_any_line(name: str, body: object) -> None:
    rest = body if isinstance(body, list) else [body]
    try:
        message = wire.decode(json.dumps([name, *rest]).encode())
    except wire.WireError:
        return
    assert type(message).__name__ == name
