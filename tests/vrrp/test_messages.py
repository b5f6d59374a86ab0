"""Every message survives the wire; nothing else is taken for one."""

from ipaddress import IPv4Address, IPv4Interface

import pytest

from tests.vrrp.stories import settings
from vrrp.events import State
from vrrp.messages import (
    Configure,
    Event,
    Goodbye,
    Heartbeat,
    Hold,
    LastWill,
    Message,
    MessageError,
    RouterReport,
    RouterWill,
    Stop,
    decode,
    encode,
)

WILL = RouterWill(
    name="front",
    vrid=51,
    interface="eth0",
    source=IPv4Address("192.0.2.11"),
    goodbyes=(Goodbye(destination=IPv4Address("224.0.0.18"), packet="3133"),),
    addresses=(IPv4Interface("192.0.2.100/24"), IPv4Interface("192.0.2.101/32")),
    linger_s=1.0078125,
)
REPORT = RouterReport(
    name="front",
    vrid=51,
    interface="eth0",
    group=None,
    state=State.ACTIVE,
    priority=254,
    since=1_700_000_000.5,
    reason="heard priority 0 from 192.0.2.12; no other router for 11 ms",
    active_peer=None,
    addresses=("192.0.2.100/24",),
    held=(),
    counters={"sent": 3, "rejected-ttl": 1},
    peers={"fe80::12": {"rejected-ttl": 1}},
)
MESSAGES: list[Message] = [
    Configure(routers=(settings(), settings("back", vrid=52, group="web")), heartbeat_s=2.0),
    Configure(routers=(), heartbeat_s=1.0),
    Stop(reason="the unit was stopped"),
    Hold(held=True, reason="first round of checks"),
    Heartbeat(lateness_ms=0.25),
    LastWill(routers=(WILL, WILL)),
    LastWill(routers=()),
    REPORT,
    Event(kind="address-lost", router=None, sentence="line\nfeeds and “quotes” stay inside"),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_round_trip(message: Message) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode(line) == message


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "type: None is none of configure"),
        (b'{"type": ["stop"]}', "is none of"),
        (b'{"type": "stop"}', "stop: .*missing.*reason"),
        (b'{"type": "stop", "reason": 5}', "stop.reason: 5 is not of type str"),
        (b'{"type": "stop", "reason": "x", "why": 1}', "stop: unknown field 'why'"),
        (b'{"type": "heartbeat", "lateness_ms": true}', "not of type float"),
        (b'{"type": "last-will", "routers": 5}', "not what belongs here"),
        (b'{"type": "last-will", "routers": [5]}', r"routers\[0\]: not an object"),
        (encode(LastWill(routers=(WILL,))).replace(b"192.0.2.11", b"host"), "'host'"),
        (encode(REPORT).replace(b'"active"', b'"master"'), "'master' is not a valid State"),
        (
            encode(MESSAGES[0]).replace(b'"advertise": 1.0', b'"advertise": 0.015'),
            "VRRP counts in 10ms steps",
        ),
    ],
)
def test_anything_else_is_refused(line: bytes, expected: str) -> None:
    with pytest.raises(MessageError, match=expected):
        decode(line)
