"""Two active routers: who says so, when, and what the survivor does in the end."""

from dataclasses import replace

import pytest

from tests.vrrp.stories import OURS, THEIRS, heard, kinds, settings
from vrrp.events import Effect, Rival, RivalGone, State, Tick, Up
from vrrp.ledger import Ledger
from vrrp.machine import Machine


def active() -> Machine:
    """Priority 100, active since long before time 0."""
    machine = Machine(settings())
    machine.handle(Up(OURS), -100.0)
    for second in range(-90, 1):
        machine.handle(Tick(), float(second))
    return machine


def rivals(effects: list[Effect]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, Rival | RivalGone)]


def test_the_first_advertisement_tells_that_there_were_two() -> None:
    machine = active()
    assert rivals(machine.handle(heard(50), 0.5)) == [
        Rival("front", THEIRS, 50, 0.0, persists=False)
    ]
    assert machine.rivalry.source is None


def test_one_that_goes_on_for_longer_than_an_interval_is_a_split_brain_told_once() -> None:
    machine = active()
    machine.handle(heard(50), 0.5)
    assert rivals(machine.handle(heard(50), 1.5)) == []
    [told] = rivals(machine.handle(heard(50), 2.5))
    assert told == Rival("front", THEIRS, 50, 2.0, persists=True)
    assert rivals(machine.handle(heard(50), 3.5)) == []
    assert machine.rivalry.source == THEIRS


def test_the_survivor_announces_again_when_the_other_is_silent() -> None:
    machine = active()
    for at in (0.5, 1.6, 2.7):
        machine.handle(heard(50), at)
    while (deadline := machine.next_deadline()) is not None and deadline < 6.7 - 1e-9:
        assert rivals(machine.handle(Tick(), deadline)) == []
    assert deadline == pytest.approx(6.7)
    effects = machine.handle(Tick(), 6.7)
    assert kinds(effects)[-2:] == ["Announce", "RivalGone"]
    [gone] = rivals(effects)
    assert isinstance(gone, RivalGone)
    assert gone.lasted_s == pytest.approx(6.2)
    assert gone.persisted


def test_or_when_the_other_says_goodbye() -> None:
    machine = active()
    machine.handle(heard(50), 0.5)
    effects = machine.handle(heard(0), 0.6)
    assert kinds(effects) == ["Send", "Announce", "RivalGone"]
    assert rivals(machine.handle(heard(0), 0.7)) == []


def test_the_last_word_of_the_one_replaced_is_no_evidence() -> None:
    machine = Machine(settings())
    machine.handle(Up(OURS), -100.0)
    machine.handle(Tick(), 0.0)
    assert rivals(machine.handle(heard(50), 0.01)) == []
    assert machine.rivalry.next_deadline() is None
    assert kinds(rivals(machine.handle(heard(50), 1.01))) == ["Rival"]


def test_who_steps_back_has_no_rival_any_more() -> None:
    machine = active()
    machine.handle(heard(50), 0.5)
    machine.handle(heard(50), 2.0)
    machine.handle(heard(200), 2.1)
    assert machine.state is State.BACKUP
    assert machine.rivalry.source is None
    assert machine.rivalry.next_deadline() is None


def test_a_third_one_waits_its_turn() -> None:
    machine = active()
    machine.handle(heard(50), 0.5)
    assert rivals(machine.handle(replace(heard(50), source=THEIRS + 1), 0.6)) == []


def test_counters_that_tell_of_a_disagreement_are_the_likely_cause() -> None:
    ledger = Ledger()
    for kind in ("received", "interval-differs", "rejected-checksum", "interval-differs"):
        ledger.count(kind, "192.0.2.12")
    assert ledger.causes("192.0.2.12") == "interval-differs 2, rejected-checksum 1"
    assert ledger.causes("192.0.2.13") == ""
