"""What an active router says again and again is known by its object: a shortcut, and only that.

Two machines hear the same, one of them the same objects, the other one equal copies, which never
take the shortcut. Whatever happens in between, both must decide the same and be in the same state.
"""

import copy
from dataclasses import replace
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from tests.vrrp.stories import OURS, THEIRS, heard, settings
from vrrp.events import Effect, Event, Heard, Lead, PeerLeaving, State, Tick, Up
from vrrp.machine import Machine

OTHER = IPv4Address("192.0.2.200")
SAID = [
    heard(priority, source, interval_cs=interval_cs)
    for priority in (0, 50, 100, 200)
    for source in (THEIRS, OTHER, OURS)
    for interval_cs in (100, 30)
]
SETTINGS = [settings(), settings(priority=220), settings(preempt=False), settings(advertise=0.3)]

steps = st.lists(
    st.tuples(
        st.floats(0.01, 4.0),
        st.one_of(
            st.sampled_from(SAID),
            st.sampled_from([Tick(), Up(OURS), Up(OTHER), Lead("led"), PeerLeaving("left")]),
            st.sampled_from(SETTINGS),
            st.booleans(),
        ),
        st.integers(1, 4),
    ),
    max_size=30,
)


def outcome(machine: Machine, effects: list[Effect], now: float) -> tuple[object, ...]:
    return (
        effects,
        machine.state,
        machine.reason,
        machine.next_deadline(),
        machine.active_peer,
        machine.form,
        machine.outlook(now),
    )


@given(steps)
def test_the_same_object_again_means_what_a_copy_of_it_means(
    happens: list[tuple[float, Heard | Event | object, int]],
) -> None:
    knowing, unknowing = Machine(SETTINGS[0]), Machine(SETTINGS[0])
    for machine in (knowing, unknowing):
        machine.handle(Up(OURS), 0.0)
    now = 0.0
    for wait_s, what, times in happens:
        for _ in range(times):
            now += wait_s
            found = []
            for machine, seen in ((knowing, what), (unknowing, copy.copy(what))):
                effects: list[Effect] = []
                if isinstance(seen, bool):
                    machine.held = seen
                elif isinstance(seen, type(SETTINGS[0])):
                    machine.configure(seen, now)
                else:
                    effects = machine.handle(seen, now)  # type: ignore[arg-type]
                found.append(outcome(machine, effects, now))
            assert found[0] == found[1]


def test_what_is_said_again_takes_the_shortcut() -> None:
    """Else the test above would compare the long way with itself."""
    machine = Machine(settings())
    machine.handle(Up(OURS), 0.0)
    usual = heard(200)
    for now in (1.0, 2.0):
        machine.handle(usual, now)
    assert machine._usual is usual
    assert machine.next_deadline() == 2.0 + machine.active_down_s
    machine.configure(replace(machine.settings, priority=220), 2.5)
    machine.handle(usual, 3.0)
    assert machine.state is State.BACKUP
    assert machine.next_deadline() == 2.0 + 3 + 156 / 256  # a weaker one prolongs nothing
