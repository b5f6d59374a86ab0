"""One connection between two directors, without sockets: what is taken and what ends it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadirector.peer import link as link_module
from hadirector.peer import messages
from hadirector.peer.link import Cause, Link, LinkError
from hadirector.peer.messages import Answer, Ask, Bye, HealthState, RouterState, State, SyncState
from tests.hadirector.peer.samples import hello, link, state

WORDS = st.text(max_size=20)
STATES = st.builds(
    State,
    digest=WORDS,
    ready=st.booleans(),
    paused=st.booleans(),
    software=WORDS,
    routers=st.dictionaries(
        WORDS,
        st.builds(
            RouterState,
            state=WORDS,
            priority=st.integers(0, 255),
            configured=st.integers(0, 255),
            weighed=st.integers(0, 255),
            hears=WORDS,
            holds=st.booleans(),
        ),
        max_size=3,
    ),
    health=st.builds(
        HealthState,
        up=st.integers(0),
        down=st.integers(0),
        unknown=st.integers(0),
        not_up=st.dictionaries(WORDS, WORDS, max_size=3),
    ),
    sync=st.builds(SyncState, duty=WORDS, daemons=st.tuples(WORDS), connections=st.integers(-1)),
    trouble=st.tuples(WORDS),
)
BODIES = st.one_of(
    STATES,
    st.builds(Ask, number=st.integers(), verb=WORDS, text=WORDS),
    st.builds(Answer, number=st.integers(), done=st.booleans(), sentence=WORDS),
    st.builds(Bye, reason=WORDS),
)


def met() -> tuple[Link, Link]:
    """Two ends that have greeted each other."""
    lb1, lb2 = link("lb1"), link("lb2")
    assert lb1.hear(lb2.greeting(), 0.0) is None
    assert lb2.hear(lb1.greeting(), 0.0) is None
    return lb1, lb2


@given(st.lists(BODIES, max_size=5))
def test_what_one_side_says_the_other_hears(bodies: list[messages.Body]) -> None:
    lb1, lb2 = met()
    assert [lb2.hear(lb1.say(body), 1.0) for body in bodies] == bodies


@pytest.mark.parametrize(
    ("theirs", "cause"),
    [
        (hello("lb2", protocol=2), Cause.VERSION),
        (hello("lb2", pair="another"), Cause.OTHER_PAIR),
        (hello("lb3"), Cause.OTHER_PAIR),
        (hello("lb1"), Cause.OTHER_PAIR),  # our own name
        (hello("lb2", nonce="nonce of lb1"), Cause.REPLAYED),
    ],
)
def test_a_stranger_is_not_met(theirs: messages.Hello, cause: Cause) -> None:
    one = link("lb1")
    with pytest.raises(LinkError) as refused:
        one.hear(messages.encode_hello(theirs), 0.0)
    assert refused.value.cause is cause
    assert one.theirs is None


def test_a_later_version_may_say_hello_otherwise() -> None:
    line = json.dumps({"type": "hello", "protocol": 7, "software": "9.0", "how": "new"}).encode()
    with pytest.raises(LinkError, match=r"protocol 7 \(version 9\.0\), this one 1") as refused:
        link("lb1").hear(line + b"\n", 0.0)
    assert refused.value.cause is Cause.VERSION


def test_nothing_is_heard_twice_nor_on_another_connection() -> None:
    lb1, lb2 = met()
    line = lb1.say(state())
    lb2.hear(line, 1.0)
    with pytest.raises(LinkError) as twice:
        lb2.hear(line, 1.1)
    later = Link(hello("lb2", nonce="a later one"), "lb1", 2.0)
    later.hear(link("lb1").greeting(), 2.0)
    with pytest.raises(LinkError) as elsewhere:
        later.hear(line, 2.0)
    _, lost = met()
    lb1.say(state())
    with pytest.raises(LinkError) as gap:
        lost.hear(lb1.say(state()), 1.0)
    causes = {error.value.cause for error in (twice, elsewhere, gap)}
    assert causes == {Cause.REPLAYED}


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"[]\n",
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b'{"type": "state"}\n',
        b'{"type": "reboot", "seq": 1, "to": "nonce of lb2"}\n',
        b'{"type": ["state"]}\n',
        b'{"type": "bye", "seq": "1", "to": "nonce of lb2", "reason": ""}\n',
        b'{"type": "bye", "seq": 1, "to": "nonce of lb2", "reason": 7}\n',
        b'{"type": "bye", "seq": 1, "to": "nonce of lb2", "reason": "", "more": 1}\n',
    ],
)
def test_malformed_lines_end_the_connection(line: bytes) -> None:
    for one in (link("lb2"), met()[1]):
        with pytest.raises(LinkError) as refused:
            one.hear(line, 0.0)
        assert refused.value.cause is Cause.MALFORMED


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_end_the_connection(line: bytes) -> None:
    lb2 = met()[1]
    with pytest.raises(LinkError):
        lb2.hear(line, 0.0)


def test_lines_and_rates_are_bounded() -> None:
    lb1, lb2 = met()
    with pytest.raises(LinkError) as too_long:
        lb2.hear(b" " * (messages.LINE_BYTES_MAX + 1), 0.0)
    assert too_long.value.cause is Cause.TOO_LONG
    lb1, lb2 = met()
    for _ in range(link_module.MESSAGES_AT_ONCE - 1):  # the hello was one
        lb2.hear(lb1.say(state()), 0.0)
    with pytest.raises(LinkError) as flood:
        lb2.hear(lb1.say(state()), 0.0)
    assert flood.value.cause is Cause.FLOOD
    lb1, lb2 = met()
    for second in range(10):  # a state a second, and some more, is no flood
        for _ in range(10):
            lb2.hear(lb1.say(state()), float(second))


def test_silence_ends_the_connection_after_its_bound() -> None:
    one = link("lb1", now=100.0)
    assert one.deadline == 100.0 + link_module.HELLO_S
    one.hear(link("lb2").greeting(), 101.0)
    assert one.deadline == 101.0 + link_module.SILENCE_S
    one.check(one.deadline - 0.01)
    with pytest.raises(LinkError) as silent:
        one.check(one.deadline)
    assert silent.value.cause is Cause.SILENT


def test_nothing_is_said_to_a_stranger() -> None:
    with pytest.raises(ValueError, match="stranger"):
        link("lb1").say(state())


def test_the_largest_health_fits_into_a_line() -> None:
    key = f"{'s' * 64}/[2001:db8:1111:2222:3333:4444:5555:6666]:65535"
    away = {f"{key}{number}": "down" for number in range(messages.SERVERS_TOLD_MAX)}
    assert len(messages.encode(state(not_up=away), seq=1, to="x")) < messages.LINE_BYTES_MAX / 4
