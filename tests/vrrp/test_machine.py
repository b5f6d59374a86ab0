"""Stories of one virtual router: who speaks, who yields, how long is waited, and what is said."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from tests.vrrp.stories import OURS, THEIRS, heard, kinds, reasons, sent, settings
from vrrp.config import RouterSettings
from vrrp.events import (
    Announce,
    Changed,
    Differs,
    Down,
    Event,
    Follow,
    Heard,
    Lead,
    LocalProtocolError,
    PeerLeaving,
    Send,
    State,
    Stop,
    Tick,
    Up,
)
from vrrp.machine import Machine
from vrrp.packet import ChecksumForm
from vrrp.transitions import TRANSITIONS, Trigger

HIGHER = IPv4Address("192.0.2.200")
SKEW_100 = 156 / 256  # of priority 100 at one second


def backup(of: RouterSettings | None = None, now: float = 0.0) -> Machine:
    machine = Machine(of or settings())
    machine.handle(Up(OURS), now)
    return machine


def active(of: RouterSettings | None = None, now: float = 0.0) -> Machine:
    """A machine that has just become active at time `now`."""
    machine = backup(of, now - 100)
    machine.handle(Tick(), now)
    assert machine.state is State.ACTIVE
    return machine


# ------------------------------------------------------------------------------ start and takeover


def test_starts_as_backup_and_waits_three_intervals_and_a_skew() -> None:
    machine = Machine(settings())
    assert machine.next_deadline() is None
    assert kinds(machine.handle(Up(OURS), 10.0)) == ["Release", "Changed"]
    assert machine.state is State.BACKUP
    assert machine.next_deadline() == pytest.approx(10 + 3 + SKEW_100)


def test_nobody_there_becomes_active_in_the_right_order() -> None:
    machine = backup()
    assert machine.handle(Tick(), 3.6) == []
    effects = machine.handle(Tick(), 3.61)
    assert kinds(effects) == ["Send", "Take", "Announce", "Changed"]
    assert sent(effects) == [100]
    assert reasons(effects) == ["eth0 can be used; no other router for 3.61 s"]
    assert machine.next_deadline() == pytest.approx(4.61)


def test_announces_again_as_configured() -> None:
    machine = active(replace(settings(), announce_repeat=2.0, announce_refresh=10.0))
    announced = []
    while (deadline := machine.next_deadline()) is not None and deadline < 30:
        if any(isinstance(effect, Announce) for effect in machine.handle(Tick(), deadline)):
            announced.append(deadline)
    assert announced == pytest.approx([2.0, 12.0, 22.0])


def test_announces_only_once_if_so_configured() -> None:
    machine = active(replace(settings(), announce_repeat=0.0))
    while (deadline := machine.next_deadline()) is not None and deadline < 30:
        assert kinds(machine.handle(Tick(), deadline)) == ["Send"]
    machine.configure(replace(settings(), announce_refresh=3.0), 30.0)
    assert [
        e
        for at in (31.0, 32.0, 33.0)
        for e in machine.handle(Tick(), at)
        if isinstance(e, Announce)
    ] == [Announce("front")]


def test_the_owner_starts_active() -> None:
    machine = Machine(settings(priority=255))
    effects = machine.handle(Up(OURS), 0.0)
    assert kinds(effects) == ["Send", "Take", "Announce", "Changed"]
    assert reasons(effects) == ["priority 255: this router owns the addresses"]


def test_active_advertises_every_interval_and_announces_once_more() -> None:
    machine = active(settings(advertise=2.0), 0.0)
    kinds_seen = []
    for _ in range(4):
        now = machine.next_deadline()
        assert now is not None
        kinds_seen.append((now, kinds(machine.handle(Tick(), now))))
    assert kinds_seen == [(2, ["Send"]), (4, ["Send"]), (5, ["Announce"]), (6, ["Send"])]


# ------------------------------------------------------------------------------ as backup


@pytest.mark.parametrize("priority", [100, 101, 255])
def test_backup_waits_for_its_equals_and_betters(priority: int) -> None:
    machine = backup()
    machine.handle(heard(priority), 2.0)
    assert machine.next_deadline() == pytest.approx(2 + 3 + SKEW_100)
    assert machine.active_peer == THEIRS


def test_backup_lives_by_the_interval_of_the_active_router() -> None:
    machine = backup()
    effects = machine.handle(heard(200, interval_cs=10), 2.0)
    assert machine.next_deadline() == pytest.approx(2 + 0.3 + SKEW_100 / 10)
    assert [e.kind for e in effects if isinstance(e, Differs)] == ["interval-differs"]
    taken_over = machine.handle(Tick(), 2.5)
    assert reasons(taken_over) == ["no advertisement from 192.0.2.12 for 500 ms"]
    # Now its own interval counts again.
    assert machine.next_deadline() == pytest.approx(3.5)


def test_goodbye_shortens_the_wait_to_the_skew() -> None:
    machine = backup(settings(priority=253))
    machine.handle(heard(254), 2.0)
    machine.handle(heard(0), 2.5)
    due = machine.next_deadline()
    assert due == pytest.approx(2.5 + 3 / 256)
    effects = machine.handle(Tick(), due or 0)
    assert reasons(effects) == ["heard priority 0 from 192.0.2.12; no other router for 12 ms"]


def test_a_second_goodbye_does_not_lengthen_the_wait() -> None:
    machine = backup()
    machine.handle(heard(0), 1.0)
    machine.handle(heard(0), 1.2)
    assert machine.next_deadline() == pytest.approx(1 + SKEW_100)


def test_a_goodbye_of_somebody_else_is_no_reason_to_replace_the_active_router() -> None:
    machine = backup()
    machine.handle(heard(200), 1.0)
    machine.handle(heard(0, HIGHER), 1.5)
    assert machine.next_deadline() == pytest.approx(4 + SKEW_100)
    machine.handle(heard(0), 1.6)
    assert machine.next_deadline() == pytest.approx(1.6 + SKEW_100)


def test_a_goodbye_counts_for_a_weaker_active_router_that_was_not_followed() -> None:
    machine = backup()
    machine.handle(heard(200), 1.0)
    machine.handle(heard(50, HIGHER), 2.0)
    machine.handle(heard(0, HIGHER), 2.1)
    assert machine.next_deadline() == pytest.approx(2.1 + SKEW_100)


def test_backup_preempts_a_weaker_active_router() -> None:
    machine = backup()
    assert machine.handle(heard(50), 2.0) == []
    assert machine.next_deadline() == pytest.approx(3 + SKEW_100)
    effects = machine.handle(Tick(), 3.7)
    assert reasons(effects) == ["priority 50 of 192.0.2.12 is lower than our 100"]


def test_without_preemption_a_weaker_active_router_is_left_alone() -> None:
    machine = backup(settings(preempt=False))
    machine.handle(heard(50), 2.0)
    assert machine.next_deadline() == pytest.approx(5 + SKEW_100)


def test_with_a_preempt_delay_a_weaker_active_router_is_left_in_office_for_that_long() -> None:
    machine = backup(replace(settings(), preempt_delay=10.0))
    for second in range(10):  # the delay counts from the first one heard
        machine.handle(heard(50), 2.0 + second)
        assert machine.next_deadline() == pytest.approx(2 + second + 3 + SKEW_100)
    assert machine.outlook(11.0) == "preempts in 1.00 s"
    machine.handle(heard(50), 12.0)
    assert machine.outlook(12.0) == "preempts"
    machine.handle(Tick(), 15.0)
    assert machine.state is State.ACTIVE
    assert machine.outlook(15.0) == ""


def test_a_preempt_delay_starts_anew_when_a_better_router_was_active_in_between() -> None:
    machine = backup(replace(settings(), preempt_delay=10.0))
    machine.handle(heard(50), 0.0)
    machine.handle(heard(200), 9.0)
    machine.handle(heard(50), 10.5)
    assert machine.outlook(10.5) == "preempts in 10.00 s"


def test_a_preempt_delay_does_not_delay_the_takeover_from_silence() -> None:
    machine = backup(replace(settings(), preempt_delay=10.0))
    machine.handle(heard(50), 0.0)
    machine.handle(Tick(), 3.7)
    assert machine.state is State.ACTIVE


# ------------------------------------------------------------------------------ as active


def test_a_held_backup_leaves_a_working_active_router_alone_until_it_is_released() -> None:
    machine = backup(settings(priority=200))
    machine.held = True
    machine.handle(heard(priority=100), 1.0)
    assert machine.handle(Tick(), 4.0) == []
    machine.handle(heard(priority=100), 4.0)
    machine.held = False
    assert machine.handle(heard(priority=100), 5.0) == []
    machine.handle(Tick(), 10.0)
    assert machine.state is State.ACTIVE


def test_a_held_backup_takes_over_from_silence() -> None:
    machine = backup(settings(priority=200))
    machine.held = True
    machine.handle(heard(priority=100), 1.0)
    machine.handle(Tick(), 10.0)
    assert machine.state is State.ACTIVE


def test_active_yields_to_a_higher_priority_with_a_last_word() -> None:
    machine = active()
    effects = machine.handle(heard(101, interval_cs=50), 0.5)
    assert kinds(effects) == ["Differs", "Send", "Release", "Changed"]
    assert sent(effects) == [100]
    assert reasons(effects) == ["heard priority 101 from 192.0.2.12; ours is 100"]
    assert machine.next_deadline() == pytest.approx(0.5 + 1.5 + SKEW_100 / 2)


@pytest.mark.parametrize(("source", "state"), [(HIGHER, State.BACKUP), ("192.0.2.2", State.ACTIVE)])
def test_a_tie_is_decided_by_the_higher_address(source: str, state: State) -> None:
    machine = active()
    machine.handle(heard(100, IPv4Address(source)), 0.5)
    assert machine.state is state


def test_active_answers_a_weaker_one_at_once_and_announces_at_most_every_second() -> None:
    machine = active()
    assert kinds(machine.handle(heard(99), 0.5)) == ["Send"]
    assert machine.next_deadline() == pytest.approx(1.5)
    assert kinds(machine.handle(heard(99), 1.2)) == ["Send", "Announce", "Rival"]
    assert kinds(machine.handle(heard(99), 1.3)) == ["Send"]


def test_active_answers_a_goodbye_at_once() -> None:
    assert sent(active().handle(heard(0), 0.5)) == [100]


def test_fault_says_goodbye_and_releases_at_once() -> None:
    machine = active()
    effects = machine.handle(Down("link eth0 has no carrier"), 0.5)
    assert kinds(effects) == ["Send", "Release", "Changed"]
    assert sent(effects) == [0]
    assert machine.next_deadline() is None
    assert machine.handle(heard(0), 0.6) == []
    machine.handle(Down("interface eth0 is missing"), 0.7)
    assert machine.reason == "interface eth0 is missing"
    assert kinds(machine.handle(Up(OURS), 1.0)) == ["Release", "Changed"]


def test_stop_hands_over_when_active_and_is_silent_otherwise() -> None:
    assert kinds(active().handle(Stop("stopped by hand"), 0.5)) == ["HandOver", "Changed"]
    assert kinds(backup().handle(Stop("stopped by hand"), 0.5)) == ["Changed"]


def test_late_goes_to_backup_before_it_says_anything() -> None:
    for event in (Tick(), heard(50), heard(0), Up(OURS)):
        machine = active()
        effects = machine.handle(event, 3.1)
        assert sent(effects) == []
        assert machine.state is State.BACKUP
        assert reasons(effects) == ["this process was 3.10 s late, so a peer must have taken over"]
        due = machine.next_deadline()
        assert due is not None
        assert due > 3.1


def test_a_little_late_is_not_late() -> None:
    machine = active()
    assert sent(machine.handle(Tick(), 2.9)) == [100]


# ------------------------------------------------------------------------------ peers that differ


def test_our_own_address_in_a_foreign_packet_is_reported_and_ignored() -> None:
    machine = active()
    effects = machine.handle(heard(200, OURS), 0.5)
    assert [e.kind for e in effects if isinstance(e, Differs)] == ["own-address"]
    assert machine.state is State.ACTIVE


def test_other_addresses_are_reported_and_the_election_goes_on() -> None:
    machine = active()
    effects = machine.handle(heard(200, address="192.0.2.99"), 0.5)
    assert [e.kind for e in effects if isinstance(e, Differs)] == ["addresses-differ"]
    assert machine.state is State.BACKUP


def test_the_checksum_form_follows_the_peer() -> None:
    machine = backup()
    packet = heard(200).advertisement
    machine.handle(Heard(packet, THEIRS, ChecksumForm.PLAIN), 1.0)
    [first, *_] = machine.handle(Tick(), 10.0)
    assert isinstance(first, Send)
    assert first.form is ChecksumForm.PLAIN


# ------------------------------------------------------------------------------ other settings


def test_new_settings_leave_the_state_alone() -> None:
    machine = active()
    machine.configure(settings(advertise=0.1), 0.5)
    assert machine.next_deadline() == pytest.approx(0.6)
    [advert] = machine.handle(Tick(), 0.6)
    assert isinstance(advert, Send)
    assert (advert.advertisement.priority, advert.advertisement.interval_cs) == (100, 10)


def test_another_priority_is_said_at_once_so_that_a_better_router_need_not_wait() -> None:
    machine = active()
    machine.configure(settings(priority=50), 0.5)
    assert machine.next_deadline() == 0.5
    assert sent(machine.handle(Tick(), 0.5)) == [50]


def test_another_vrid_is_another_router() -> None:
    machine = active()
    with pytest.raises(LocalProtocolError):
        machine.configure(settings(vrid=52), 0.5)
    assert machine.settings.vrid == 51


# ------------------------------------------------------------------------------ the table


def faulty() -> Machine:
    machine = Machine(settings())
    machine.handle(Down("no link"), 0.0)
    return machine


LEADING_TO: dict[State, Callable[[], Machine]] = {
    State.INIT: lambda: Machine(settings()),
    State.FAULT: faulty,
    State.BACKUP: backup,
    State.ACTIVE: active,
}


@pytest.mark.parametrize("state", [State.INIT, State.FAULT])
def test_illegal_moves_raise_and_change_nothing(state: State) -> None:
    machine = LEADING_TO[state]()
    before = (machine.state, machine.reason, machine.next_deadline())
    with pytest.raises(LocalProtocolError):
        machine.handle(Lead("a member leads"), 0.1)
    assert (machine.state, machine.reason, machine.next_deadline()) == before


def test_every_event_in_every_state_is_legal_but_those() -> None:
    events: tuple[Event, ...] = (
        Up(OURS), Down("x"), heard(0), heard(50), heard(100), heard(200), Tick(), Stop("x"),
        Follow("x"), PeerLeaving("x"),
    )  # fmt: skip
    for state, event in itertools.product(State, events):
        machine = LEADING_TO[state]()
        for effect in machine.handle(event, 0.1):
            if isinstance(effect, Changed):
                assert (effect.old, effect.new) == (state, machine.state)
                assert effect.reason


def test_the_table_is_complete_for_the_states_that_take_part() -> None:
    for state in (State.BACKUP, State.ACTIVE):
        for trigger in (Trigger.LEAVING, Trigger.SUPERIOR, Trigger.INFERIOR, Trigger.FAULT):
            assert (state, trigger) in TRANSITIONS
    assert {state for state, _ in TRANSITIONS} == set(State)


def test_release_cancels_the_second_announcement() -> None:
    machine = active()
    machine.handle(heard(200), 4.9)
    assert not any(isinstance(e, Announce) for e in machine.handle(Tick(), 5.1))
