"""Two directors side by side, and what is known of one that comes and goes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hadirector import limits
from hadirector.peer import compare
from hadirector.peer.compare import DISAGREE_S, Disagreements
from hadirector.peer.link import Cause
from hadirector.peer.messages import HealthState
from hadirector.peer.standing import Standing
from tests.hadirector.peer.samples import hello, state

A, B = "web/198.51.100.21:80", "web/198.51.100.22:80"
SERVER_STATES = st.dictionaries(
    st.sampled_from([A, B, "x/1"]), st.sampled_from(["down", "unknown"])
)


def test_they_disagree_where_one_says_up_and_the_other_down() -> None:
    ours, theirs = state(not_up={A: "down", B: "unknown"}), state(not_up={B: "down"})
    assert compare.disagreements(ours, theirs) == {A: ("down", "up")}
    assert compare.disagreements(theirs, ours) == {A: ("up", "down")}
    assert not compare.disagreements(ours, state(digest="d2", not_up={}))


@given(SERVER_STATES, SERVER_STATES)
def test_both_see_the_same_disagreements(mine: dict[str, str], other: dict[str, str]) -> None:
    seen = compare.disagreements(state(not_up=mine), state(not_up=other))
    from_there = compare.disagreements(state(not_up=other), state(not_up=mine))
    assert from_there == {key: (theirs, ours) for key, (ours, theirs) in seen.items()}


def test_of_servers_that_were_not_told_of_nothing_is_known() -> None:
    many = HealthState(up=0, down=2, unknown=0, not_up={A: "down"})
    theirs = replace(state(), health=many)
    assert compare.disagreements(state(not_up={B: "down"}), theirs) == {A: ("up", "down")}


def test_what_lasts_is_told_once_and_its_end_too() -> None:
    one = Disagreements("lb1", "lb2")
    found = {A: ("down", "up")}
    assert one.look(found, 0.0) == ([], [])
    assert one.look(found, DISAGREE_S - 0.1) == ([], [])
    new, over = one.look(found, DISAGREE_S)
    assert new == [f"{A}: lb1 says down, lb2 says up: look at the path from lb1 to it"]
    assert not over
    assert one.look(found, DISAGREE_S + 1) == ([], [])
    assert one.look({A: ("up", "down")}, DISAGREE_S + 2) == ([], [f"{A}: both say the same again"])
    assert one.look({}, DISAGREE_S + 3) == ([], [])


def test_another_file_is_told_with_both_digests() -> None:
    assert not compare.file_sentence(state(), state(), "lb2")
    told = compare.file_sentence(state(digest="aaa"), state(digest="bbb"), "lb2")
    assert told.startswith("lb2 runs another configuration (bbb, here aaa)")


def test_a_peer_that_comes_goes_and_stays_away() -> None:
    one = Standing("lb2", now=0.0)
    assert not one.absence(limits.PEER_ABSENT_AFTER_S - 1)
    assert one.absence(limits.PEER_ABSENT_AFTER_S).startswith("lb2 is not heard")

    def ended(cause: Cause, sentence: str, *, met: bool = False) -> str:
        return one.ended(cause, sentence, met=met, now=11.0, wall=1.0)

    assert "unreachable" in ended(Cause.UNREACHABLE, "no route")
    assert not ended(Cause.UNREACHABLE, "no route")  # the same again is no news
    assert "no route" in one.absence(20.0)
    assert one.met(hello("lb2"), 21.0, 2.0).endswith("is there")
    assert not one.absence(30.0)
    one.heard(state())
    assert ended(Cause.CERTIFICATE, "a stranger")
    assert one.connected  # somebody else knocked
    assert "is lost (silent)" in ended(Cause.SILENT, "hangs", met=True)
    assert one.state is None
    assert one.refused == {Cause.UNREACHABLE: 2, Cause.CERTIFICATE: 1, Cause.SILENT: 1}


def test_a_thousand_who_knock_fill_no_journal() -> None:
    one = Standing("lb2", now=0.0)
    told = [
        one.ended(Cause.CERTIFICATE, f"from port {n}", met=False, now=1.0, wall=1.0)
        for n in range(1000)
    ]
    assert sum(map(bool, told)) == limits.PEER_CAUSES_TOLD_MAX
    assert one.refused[Cause.CERTIFICATE] == 1000


def test_a_channel_that_comes_and_goes_flaps() -> None:
    one = Standing("lb2", now=0.0)
    for n in range(limits.PEER_FLAPS_MAX + 1):
        assert not one.flapping(10.0 * n)
        one.met(hello("lb2"), 10.0 * n, 0.0)
        one.ended(Cause.LOST, "gone", met=True, now=10.0 * n + 5, wall=0.0)
    assert "6 connections in 60 s" in one.flapping(60.0)
    assert not one.flapping(limits.PEER_FLAPS_WITHIN_S + 10)
