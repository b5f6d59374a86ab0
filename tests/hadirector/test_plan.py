"""The planner's promises, for any two tables: it arrives, it never drops a service, it can stop.

How it works: every plan is carried out step by step on the memory twin, which answers as the
kernel does. After each step the table is looked at as a client would, and the plan is abandoned
there and made anew from what the kernel then holds.
"""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from hadirector.ipvs.memory import MemoryTable
from hadirector.ipvs.model import (
    Destination,
    DestinationKey,
    Forward,
    Protocol,
    Service,
    ServiceKey,
    Table,
    VirtualAddress,
)
from hadirector.ipvs.steps import Step
from hadirector.plan import Plan, Undeclared, after, plan
from tests.hadirector.ipvs.strategies import SERVERS, VIPS, service_keys, tables

WEB = VirtualAddress(Protocol.TCP, VIPS[0], 80)
MAIL = VirtualAddress(Protocol.TCP, VIPS[0], 25)


def server(last: int, weight: int = 1, forward: Forward = Forward.NAT) -> Destination:
    return Destination(DestinationKey(SERVERS[0] + last, 8080), forward, weight)


def web(*servers: Destination, scheduler: str = "wlc") -> Table:
    return Table.of((Service(WEB, scheduler), servers))


def sentences(made: Plan) -> list[str]:
    return [str(step) for step in made.steps]


def states(start: Table, steps: tuple[Step, ...]) -> Iterator[Table]:
    """The tables before the first step, between the steps, and after the last."""
    kernel = MemoryTable(start)
    yield kernel.table
    for step in steps:
        assert kernel.step(step) == 0, f"the kernel refuses to {step}"
        yield kernel.table


def usable(table: Table) -> set[ServiceKey]:
    return {key for key, entry in table.items() if entry.usable}


@given(tables(), tables())
def test_a_plan_leads_from_any_table_to_any_other(start: Table, goal: Table) -> None:
    made = plan(goal, start, undeclared=Undeclared.REMOVE)
    *_, end = states(start, made.steps)
    assert end == goal
    assert not plan(goal, end, undeclared=Undeclared.REMOVE)


@given(tables(), tables())
def test_no_service_with_servers_before_and_after_is_ever_without(
    start: Table, goal: Table
) -> None:
    always = usable(start) & usable(goal)
    for between in states(start, plan(goal, start, undeclared=Undeclared.REMOVE).steps):
        assert always <= usable(between)


@given(tables(), tables())
def test_interrupted_after_any_step_a_new_plan_arrives_without_a_gap(
    start: Table, goal: Table
) -> None:
    always = usable(start) & usable(goal)
    for interrupted in states(start, plan(goal, start, undeclared=Undeclared.REMOVE).steps):
        again = plan(goal, interrupted, undeclared=Undeclared.REMOVE)
        *between, end = states(interrupted, again.steps)
        assert end == goal
        assert all(always <= usable(table) for table in between)


@given(tables(), tables())
def test_the_table_after_the_steps_is_known_without_reading(start: Table, goal: Table) -> None:
    made = plan(goal, start, undeclared=Undeclared.REMOVE)
    for count, between in enumerate(states(start, made.steps)):
        assert after(start, made.steps[:count]) == between


@given(tables(), tables(), st.sets(service_keys))
def test_services_of_others_are_kept_and_named(
    start: Table, goal: Table, ours: set[ServiceKey]
) -> None:
    made = plan(goal, start, declared_before=ours)
    *_, end = states(start, made.steps)
    others = start.keys() - goal.keys() - ours
    assert set(made.kept) == others
    assert end == Table({**goal.entries, **{key: start[key] for key in others}})


@given(tables(), tables())
def test_steps_are_no_more_than_the_differences(start: Table, goal: Table) -> None:
    things = {
        *((key, None) for key in (*start, *goal)),
        *(
            (key, name)
            for table in (start, goal)
            for key in table
            for name in table[key].destinations
        ),
    }
    assert len(plan(goal, start, undeclared=Undeclared.REMOVE).steps) <= len(things)


def test_what_matches_is_adopted_in_silence() -> None:
    made = plan(web(server(1), server(2)), web(server(2), server(1)))
    assert made == Plan()
    assert made.summary == "the table matches"


def test_the_new_server_comes_before_the_old_one_goes() -> None:
    made = plan(web(server(2)), web(server(1)))
    assert sentences(made) == [
        "add server 198.51.100.23:8080, weight 1, nat to tcp 192.0.2.100:80",
        "remove server 198.51.100.22:8080 from tcp 192.0.2.100:80",
    ]
    assert made.summary == "add 1 server, remove 1 server"


def test_weights_rise_before_others_fall() -> None:
    made = plan(web(server(1, 0), server(2, 3)), web(server(1, 3), server(2, 0)))
    assert sentences(made) == [
        "change server 198.51.100.23:8080 of tcp 192.0.2.100:80: weight 0 to 3",
        "change server 198.51.100.22:8080 of tcp 192.0.2.100:80: weight 3 to 0",
    ]


def test_a_new_service_gets_its_usable_servers_first() -> None:
    made = plan(web(server(1, 0), server(2), scheduler="rr"), Table())
    assert sentences(made) == [
        "add service tcp 192.0.2.100:80, scheduler rr",
        "add server 198.51.100.23:8080, weight 1, nat to tcp 192.0.2.100:80",
        "add server 198.51.100.22:8080, weight 0, nat to tcp 192.0.2.100:80",
    ]
    assert made.summary == "add 1 service and 2 servers"


def test_properties_change_in_place() -> None:
    made = plan(web(server(1, forward=Forward.DR), scheduler="mh"), web(server(1)))
    assert sentences(made) == [
        "change service tcp 192.0.2.100:80: scheduler wlc to mh",
        "change server 198.51.100.22:8080 of tcp 192.0.2.100:80: forward nat to dr",
    ]


def test_a_service_declared_no_longer_goes_last() -> None:
    old = Table.of((Service(MAIL), [server(1)]))
    made = plan(web(server(1)), old, declared_before={MAIL})
    assert sentences(made)[-1] == "remove service tcp 192.0.2.100:25 with its 1 server"
    assert made.kept == ()
    assert plan(web(server(1)), old).kept == (MAIL,)
