"""Connection sync as decisions: who sends by the roles in VRRP, and steps that lose nothing."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hadirector.connection_sync import (
    ConnectionSync,
    SyncDuty,
    SyncOfNode,
    by_file_alone,
    decide,
    same,
    steps,
)
from hadirector.ipvs.control import Daemons, SyncDaemon, SyncRole
from vrrp.events import State

PAIR = ConnectionSync(interface="eth1", sync_id=51, follows=("front", "back"))
STATIC = ConnectionSync(
    interface="eth1", sync_id=51, duties={"lb1": SyncDuty.ACTIVE, "lb2": SyncDuty.BACKUP}
)
KINDS = some.builds(
    SyncDaemon,
    role=some.just(SyncRole.ACTIVE),
    interface=some.sampled_from(["eth0", "eth1"]),
    sync_id=some.sampled_from([0, 51]),
    maxlen=some.sampled_from([0, 1472]),
    group=some.sampled_from([ip_address("224.0.0.81"), ip_address("ff02::81")]),
)
DAEMONS = some.dictionaries(some.sampled_from(SyncRole), KINDS).map(
    lambda found: {role: replace(daemon, role=role) for role, daemon in found.items()}
)


@pytest.mark.parametrize(
    ("front", "back", "duty", "because"),
    [
        (State.ACTIVE, State.ACTIVE, SyncDuty.ACTIVE, "sends: front, back active here"),
        (State.BACKUP, State.BACKUP, SyncDuty.BACKUP, "receives: front, back not active here"),
        (State.BACKUP, State.FAULT, SyncDuty.BACKUP, "receives: front, back not active here"),
        (
            State.ACTIVE,
            State.BACKUP,
            SyncDuty.BOTH,
            "sends and receives: front active here, back elsewhere",
        ),
        (State.ACTIVE, State.INIT, None, "left as it is: nothing is known of back"),
        (State.ACTIVE, None, None, "left as it is: nothing is known of back"),
    ],
)
def test_the_duty_follows_the_roles(
    front: State, back: State | None, duty: SyncDuty | None, because: str
) -> None:
    states = {"front": front} | ({} if back is None else {"back": back})
    decision = decide(PAIR, "lb1", states)
    assert (decision.duty, decision.because) == (duty, because)


def test_a_static_duty_is_the_files_word_whatever_vrrp_says() -> None:
    decision = decide(STATIC, "lb2", {"front": State.ACTIVE})
    assert decision.duty is SyncDuty.BACKUP
    assert decision.because == "receives: so the file says for lb2"


def run(wanted: Daemons, actual: Daemons) -> list[Daemons]:
    """Every state on the way, as the kernel would have it: it refuses a second of a role."""
    now, seen = dict(actual), [dict(actual)]
    for step in steps(wanted, actual):
        if step.stop is not None:
            del now[step.stop.role]
            seen.append(dict(now))
        if step.start is not None:
            assert step.start.role not in now
            now[step.start.role] = step.start
            seen.append(dict(now))
    return seen


@given(DAEMONS, DAEMONS)
def test_the_steps_lead_from_any_daemons_to_any(wanted: Daemons, actual: Daemons) -> None:
    *_, end = run(wanted, actual)
    assert end.keys() == wanted.keys()
    assert all(same(wanted[role], end[role]) for role in wanted)
    assert not steps(wanted, end)


@given(DAEMONS, DAEMONS)
def test_between_two_roles_there_is_never_neither(wanted: Daemons, actual: Daemons) -> None:
    if not wanted or not actual or any(wanted[r] != actual[r] for r in wanted.keys() & actual):
        return  # a daemon with other options must stop first
    assert all(run(wanted, actual))


def test_what_the_kernel_chose_itself_is_no_difference() -> None:
    wanted = PAIR.daemons([SyncRole.BACKUP])
    actual = {SyncRole.BACKUP: replace(wanted[SyncRole.BACKUP], maxlen=1472)}
    assert not steps(wanted, actual)
    asked = replace(PAIR, maxlen=1400).daemons([SyncRole.BACKUP])
    [step] = steps(asked, actual)
    assert str(step).startswith("stop the backup sync daemon on eth1, id 51")
    assert str(step).endswith("maxlen 1400")


def test_started_afresh_even_where_nothing_differs() -> None:
    daemons = PAIR.daemons([SyncRole.ACTIVE])
    [step] = steps(daemons, daemons, afresh=True)
    assert (step.stop, step.start) == (daemons[SyncRole.ACTIVE],) * 2
    assert str(step).startswith("stop and start the active sync daemon")


def test_without_vrrp_the_roles_that_run_are_kept_or_the_file_says() -> None:
    running = PAIR.daemons([SyncRole.ACTIVE])
    assert by_file_alone(PAIR, "lb1", running) == {SyncRole.ACTIVE}
    assert by_file_alone(PAIR, None, {}) == set()
    assert by_file_alone(STATIC, "lb2", running) == {SyncRole.BACKUP}
    assert by_file_alone(STATIC, "elsewhere", running) == {SyncRole.ACTIVE}


def test_a_director_may_call_the_interface_otherwise() -> None:
    sync = replace(PAIR, own={"lb2": SyncOfNode(interface="ens5")})
    assert [d.interface for d in sync.on("lb1").daemons(SyncRole).values()] == ["eth1", "eth1"]
    assert [d.interface for d in sync.on("lb2").daemons(SyncRole).values()] == ["ens5", "ens5"]
    assert sync.on("lb2").sync_id == sync.sync_id
