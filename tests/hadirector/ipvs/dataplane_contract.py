"""What every ``Dataplane`` must do, as tests: run against the memory twin and the kernel alike.

How it works: a test class derives from ``DataplaneContract`` and gives it a fixture ``dataplane``
with an empty table. A refusal is asserted by its errno, because that is what the kernel says; if
the kernel is seen to answer otherwise, the twin is wrong.
"""

import errno
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import HealthCheck, given, settings

from hadirector.ipvs.dataplane import Dataplane
from hadirector.ipvs.model import (
    Destination,
    DestinationKey,
    Entry,
    FirewallMark,
    Forward,
    Persistence,
    Protocol,
    Service,
    ServiceFlag,
    Table,
    Tunnel,
    TunnelType,
    VirtualAddress,
)
from hadirector.ipvs.steps import (
    AddDestination,
    AddService,
    DeleteDestination,
    DeleteService,
    SetDestination,
    SetService,
    Step,
)
from hadirector.plan import Undeclared, plan
from tests.hadirector.ipvs.strategies import tables

WEB = VirtualAddress(Protocol.TCP, ip_address("192.0.2.100"), 80)
WEB6 = VirtualAddress(Protocol.TCP, ip_address("2001:db8::100"), 80)
SERVICE = Service(WEB)
SERVER = Destination(DestinationKey(ip_address("198.51.100.21"), 8080))
SERVER6 = Destination(DestinationKey(ip_address("2001:db8:51::21"), 8080))

SERVICES = [
    Service(WEB, "rr"),
    Service(VirtualAddress(Protocol.UDP, ip_address("192.0.2.100"), 53), "sh"),
    Service(VirtualAddress(Protocol.SCTP, ip_address("192.0.2.100"), 36412), "lc"),
    Service(WEB6, "mh", None, ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2),
    Service(WEB, "none"),
    Service(FirewallMark(7), "wrr", Persistence(300)),
    Service(FirewallMark(2**32 - 1, 6), "sed", Persistence(300, 64)),
    Service(VirtualAddress(Protocol.TCP, ip_address("192.0.2.100"), 0), "nq", Persistence(60)),
    Service(WEB, "wlc", Persistence(3600, 0xFFFFFF00)),
    Service(WEB, "wlc", Persistence(3600, 0xFF00FF00)),
    Service(
        VirtualAddress(Protocol.UDP, ip_address("192.0.2.100"), 5060),
        "wlc",
        Persistence(3600, engine="sip"),
        ServiceFlag.ONE_PACKET,
    ),
]

TUN = replace(SERVER, forward=Forward.TUN)
DESTINATIONS = [
    SERVER,
    replace(SERVER, forward=Forward.DR, weight=0),
    replace(SERVER, forward=Forward.LOCAL, weight=65536),
    replace(SERVER, weight=2**31 - 1),
    replace(SERVER, upper=2**32 - 1, lower=2**31),
    TUN,
    replace(TUN, tunnel=Tunnel(TunnelType.GUE, 6080, 1)),
    replace(TUN, tunnel=Tunnel(TunnelType.GRE, 0, 1)),
    replace(SERVER6, forward=Forward.TUN),
]


def one(service: Service, *destinations: Destination) -> Table:
    return Table.of((service, destinations))


@pytest.mark.asyncio
class DataplaneContract:
    async def do(self, dataplane: Dataplane, *steps: Step) -> list[tuple[Step, str]]:
        """Do the steps; those refused, with the error's name."""
        report = await dataplane.apply(steps)
        assert report.applied == len(steps) - len(report.failures)
        assert report.ok == (not report.failures)
        return [(failure.step, failure.name) for failure in report.failures]

    async def test_a_fresh_table_is_empty(self, dataplane: Dataplane) -> None:
        assert await dataplane.read() == Table()

    async def test_doing_nothing_is_allowed(self, dataplane: Dataplane) -> None:
        assert await self.do(dataplane) == []

    @pytest.mark.parametrize("service", SERVICES, ids=str)
    async def test_services_read_back_as_written(
        self, dataplane: Dataplane, service: Service
    ) -> None:
        assert await self.do(dataplane, AddService(service)) == []
        assert await dataplane.read() == one(service)

    @pytest.mark.parametrize("destination", DESTINATIONS, ids=str)
    async def test_servers_read_back_as_written(
        self, dataplane: Dataplane, destination: Destination
    ) -> None:
        steps = (AddService(SERVICE), AddDestination(WEB, destination))
        assert await self.do(dataplane, *steps) == []
        assert await dataplane.read() == one(SERVICE, destination)

    async def test_servers_of_the_other_ip_version_need_a_tunnel(
        self, dataplane: Dataplane
    ) -> None:
        direct = AddDestination(WEB6, SERVER)
        tunnelled = AddDestination(WEB6, TUN)
        refused = await self.do(dataplane, AddService(Service(WEB6)), direct, tunnelled)
        assert refused == [(direct, "EINVAL")]
        assert await dataplane.read() == one(Service(WEB6), TUN)

    async def test_every_change_of_a_service_is_made_in_place(self, dataplane: Dataplane) -> None:
        before = Service(WEB, "rr", Persistence(300, 0xFFFFFF00, "sip"), ServiceFlag.ONE_PACKET)
        after = Service(WEB, "wlc")
        await self.do(dataplane, AddService(before), AddDestination(WEB, SERVER))
        assert await self.do(dataplane, SetService(after, before)) == []
        assert await dataplane.read() == one(after, SERVER)
        assert await self.do(dataplane, SetService(before, after)) == []
        assert await dataplane.read() == one(before, SERVER)

    async def test_every_change_of_a_server_is_made_in_place(self, dataplane: Dataplane) -> None:
        before = SERVER
        await self.do(dataplane, AddService(SERVICE), AddDestination(WEB, before))
        for after in (each for each in DESTINATIONS if each.key == SERVER.key):
            assert await self.do(dataplane, SetDestination(WEB, after, before)) == []
            assert await dataplane.read() == one(SERVICE, after)
            before = after

    async def test_a_service_goes_with_its_servers(self, dataplane: Dataplane) -> None:
        await self.do(dataplane, AddService(SERVICE), AddDestination(WEB, SERVER))
        delete = DeleteService(Entry(SERVICE, {SERVER.key: SERVER}))
        assert await self.do(dataplane, delete, AddService(SERVICE)) == []
        assert await dataplane.read() == one(SERVICE)

    async def test_some_services_are_read_alone(self, dataplane: Dataplane) -> None:
        marked, absent = Service(FirewallMark(7, 6)), FirewallMark(8)
        steps = (AddDestination(WEB, SERVER), AddService(marked), AddService(Service(WEB6)))
        await self.do(dataplane, AddService(SERVICE), *steps)
        assert await dataplane.read_services([WEB, absent]) == one(SERVICE, SERVER)
        assert await dataplane.read_services([marked.key]) == one(marked)
        assert await dataplane.read_services([absent]) == Table()

    async def test_a_server_goes_alone(self, dataplane: Dataplane) -> None:
        other = Destination(DestinationKey(SERVER.key.address, 8081))
        steps = (AddDestination(WEB, SERVER), AddDestination(WEB, other))
        await self.do(dataplane, AddService(SERVICE), *steps)
        assert await self.do(dataplane, DeleteDestination(WEB, SERVER)) == []
        assert await dataplane.read() == one(SERVICE, other)

    async def test_what_is_there_cannot_be_added(self, dataplane: Dataplane) -> None:
        steps: list[Step] = [
            AddService(Service(WEB, "rr")),
            AddDestination(WEB, replace(SERVER, weight=9)),
        ]
        await self.do(dataplane, AddService(SERVICE), AddDestination(WEB, SERVER))
        assert await self.do(dataplane, *steps) == [(step, "EEXIST") for step in steps]
        assert await dataplane.read() == one(SERVICE, SERVER)

    async def test_without_the_service_nothing_can_be_done_to_it(
        self, dataplane: Dataplane
    ) -> None:
        steps: list[Step] = [
            SetService(SERVICE, SERVICE),
            DeleteService(Entry(SERVICE, {})),
            AddDestination(WEB, SERVER),
            SetDestination(WEB, SERVER, SERVER),
            DeleteDestination(WEB, SERVER),
        ]
        assert await self.do(dataplane, *steps) == [(step, "ESRCH") for step in steps]

    async def test_without_the_server_nothing_can_be_done_to_it(self, dataplane: Dataplane) -> None:
        await self.do(dataplane, AddService(SERVICE))
        steps: list[Step] = [SetDestination(WEB, SERVER, SERVER), DeleteDestination(WEB, SERVER)]
        assert await self.do(dataplane, *steps) == [(step, "ENOENT") for step in steps]

    @pytest.mark.parametrize(
        "service",
        [Service(WEB, "absent"), Service(WEB, "wlc", Persistence(300, engine="absent"))],
        ids=["scheduler", "engine"],
    )
    async def test_an_absent_scheduler_or_engine_is_refused(
        self, dataplane: Dataplane, service: Service
    ) -> None:
        add, change = AddService(service), SetService(service, SERVICE)
        assert await self.do(dataplane, add) == [(add, "ENOENT")]
        assert await dataplane.read() == Table()
        assert await self.do(dataplane, AddService(SERVICE), change) == [(change, "ENOENT")]
        assert await dataplane.read() == one(SERVICE)

    @pytest.mark.parametrize("netmask", [0, 129])
    async def test_an_impossible_prefix_is_refused(
        self, dataplane: Dataplane, netmask: int
    ) -> None:
        service = Service(WEB6, "wlc", Persistence(300, netmask))
        steps: list[Step] = [AddService(service), SetService(service, Service(WEB6))]
        assert await self.do(dataplane, steps[0]) == [(steps[0], "EINVAL")]
        await self.do(dataplane, AddService(Service(WEB6)))
        assert await self.do(dataplane, steps[1]) == [(steps[1], "EINVAL")]

    @pytest.mark.parametrize(
        "wrong",
        [
            replace(SERVER, weight=-1),
            replace(SERVER, lower=1),
            replace(SERVER, upper=5, lower=6),
            replace(SERVER6, forward=Forward.NAT),
            replace(SERVER6, forward=Forward.DR),
            replace(TUN, tunnel=Tunnel(TunnelType.GUE)),
        ],
        ids=repr,
    )
    async def test_impossible_properties_are_refused(
        self, dataplane: Dataplane, wrong: Destination
    ) -> None:
        code = "ERANGE" if wrong.weight < 0 or wrong.lower else "EINVAL"
        await self.do(dataplane, AddService(SERVICE))
        add = AddDestination(WEB, wrong)
        assert await self.do(dataplane, add) == [(add, code)]
        right = replace(wrong, forward=Forward.TUN, weight=1, lower=0, tunnel=Tunnel())
        change = SetDestination(WEB, wrong, right)
        assert await self.do(dataplane, AddDestination(WEB, right), change) == [(change, code)]
        assert await dataplane.read() == one(SERVICE, right)

    @pytest.mark.parametrize(
        "address",
        ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "fe80::1"],
    )
    async def test_what_is_no_servers_address_is_refused(
        self, dataplane: Dataplane, address: str
    ) -> None:
        server = Destination(DestinationKey(ip_address(address), 80), Forward.TUN)
        add = AddDestination(WEB, server)
        assert await self.do(dataplane, AddService(SERVICE), add) == [(add, "EINVAL")]

    async def test_a_refusal_does_not_stop_the_later_steps(self, dataplane: Dataplane) -> None:
        wrong = AddService(Service(WEB6, "absent"))
        steps: list[Step] = [AddService(SERVICE)]
        for port in range(1, 301):
            steps += [AddDestination(WEB, Destination(DestinationKey(SERVER.key.address, port)))]
            steps += [wrong] if port % 100 == 0 else []
        report = await dataplane.apply(iter(steps))
        assert [failure.errno for failure in report.failures] == [errno.ENOENT] * 3
        assert report.applied == 301
        assert len((await dataplane.read())[WEB].destinations) == 300

    async def test_counters_come_with_the_table_and_do_not_count_as_difference(
        self, dataplane: Dataplane
    ) -> None:
        await self.do(dataplane, AddService(SERVICE), AddDestination(WEB, SERVER))
        table = await dataplane.read(traffic=True)
        assert table[WEB].counters[SERVER.key].active == 0
        assert table == await dataplane.read()

    @given(start=tables(), goal=tables())
    @settings(
        max_examples=20,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
        ],
    )
    async def test_any_plan_is_carried_out(
        self, dataplane: Dataplane, start: Table, goal: Table
    ) -> None:
        for wanted in (Table(), start, goal):
            made = plan(wanted, await dataplane.read(), undeclared=Undeclared.REMOVE)
            assert (await dataplane.apply(made.steps)).failures == ()
            assert await dataplane.read() == wanted
