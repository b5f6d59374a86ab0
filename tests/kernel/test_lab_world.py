"""The lab's world on a real kernel: do its addresses and routes carry every forwarding method?

One world serves all tests of this file, since building it costs a second. IPVS is programmed by
hand with `ipvsadm`, so that nothing but the world is tested; lb1 has all virtual addresses.
"""

from __future__ import annotations

import http.client
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from hadirector.config.model import Service
from hadirector.ipvs.model import Forward, Protocol, VirtualAddress
from hadirector.lab.actors import Actor, start_actors
from hadirector.lab.certificates import CERTIFICATE
from hadirector.lab.client_loop import ProbeTarget
from hadirector.lab.commands import Batch
from hadirector.lab.errors import CommandFailed, LabError
from hadirector.lab.forked import Forked, Ready
from hadirector.lab.namespaces import (
    NAMESPACES,
    BuiltWorld,
    inside,
    processes_in,
    run_batch,
)
from hadirector.lab.observe import Observer, spans
from hadirector.lab.probes import Client, Kept
from hadirector.lab.samples import Sample, Summary, summarise
from hadirector.lab.world import Route, World, build_world
from tests.lab.configurations import DR, EVERYTHING, NAT, VIP, config_of
from tests.prerequisites import require

FLAGS = {Forward.NAT: "-m", Forward.DR: "-g", Forward.TUN: "-i"}
BOUND_S = 10.0
VIP6 = ip_address("2001:db8::1")


@dataclass
class Standing:
    """A world that stands, with servers that answer and lb1 active."""

    built: BuiltWorld
    actors: dict[str, Actor]
    certificate: Path

    @property
    def world(self) -> World:
        return self.built.world


def make_active(built: BuiltWorld, name: str, services: tuple[Service, ...]) -> None:
    """Give a director the virtual addresses and an IPVS table, as hadirector would."""
    director = built.world.directors[name]
    run_batch(
        Batch(
            director.namespace,
            tuple(
                f"address add {address} dev {network.interface}"
                for network in built.world.networks
                for address in network.virtual
            ),
        )
    )
    for service in services:
        assert isinstance(service.listen, VirtualAddress)
        kind = "-u" if service.listen.protocol is Protocol.UDP else "-t"
        listen = f"{service.listen.address}:{service.listen.port}"
        built.run(director, ["ipvsadm", "-A", kind, listen, "-s", service.scheduler])
        for server in service.servers:
            how = FLAGS[service.forward]
            built.run(director, ["ipvsadm", "-a", kind, listen, "-r", str(server), how])


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    require("ipvsadm", "openssl", "ip")
    world = build_world(EVERYTHING, prefix="tw-")
    directory = tmp_path_factory.mktemp("tls")
    with BuiltWorld(world) as built:
        actors = start_actors(world.servers, directory)
        try:
            make_active(built, "lb1", EVERYTHING.services)
            yield Standing(built, actors, directory / CERTIFICATE)
        finally:
            for actor in actors.values():
                actor.kill()


def target_of(service: Service) -> ProbeTarget:
    assert isinstance(service.listen, VirtualAddress)
    return ProbeTarget(service.listen.protocol, str(service.listen.address), service.listen.port)


def collect_until(client: Client, enough: Callable[[list[Sample]], bool]) -> list[Sample]:
    """The client's samples, collected until there are enough of them; bounded."""
    samples: list[Sample] = []
    deadline = time.monotonic() + BOUND_S
    while not enough(samples):
        assert time.monotonic() < deadline, f"not enough after {BOUND_S} s: {samples[-5:]}"
        time.sleep(0.02)
        samples += client.collect()
    return samples


def total(samples: list[Sample]) -> Summary:
    times = [sample.sent_at for sample in samples]
    return summarise(samples, since=min(times), until=max(times))


@pytest.mark.parametrize("service", EVERYTHING.services, ids=lambda service: service.name)
def test_the_client_reaches_every_server(standing: Standing, service: Service) -> None:
    client = Client(standing.world.client, [target_of(service)])
    client.start()
    try:
        samples = collect_until(client, lambda found: len(found) >= 20)
    finally:
        client.stop()
    summary = total(samples)
    assert summary.lost == 0, summary
    assert set(summary.answers) == {str(server.address) for server in service.servers}


def test_the_director_reaches_every_server_by_its_own_address(standing: Standing) -> None:
    """Health checks go there, whatever way the clients' packets take."""
    director = standing.world.directors["lb2"]
    targets = [
        ProbeTarget(listener.protocol, str(server.address), listener.port)
        for server in standing.world.servers.values()
        for listener in server.listeners
    ]
    client = Client(director, targets, interval_s=0.1)
    client.start()
    try:
        samples = collect_until(
            client, lambda found: len({s.target for s in found}) == len(targets)
        )
    finally:
        client.stop()
    assert {sample.failure for sample in samples} == {""}


def ask(standing: Standing, address: str, port: int, path: str) -> http.client.HTTPResponse:
    """One request from lb1, as a health check makes it; over TLS on port 443."""
    with inside(standing.world.directors["lb1"].namespace):
        sock = socket.create_connection((address, port), timeout=BOUND_S)
    if port == 443:
        context = ssl.create_default_context(cafile=standing.certificate)
        sock = context.wrap_socket(sock, server_hostname="www.example.org")
    connection = http.client.HTTPConnection(address, port)
    connection.sock = sock
    connection.request("GET", path, headers={"Connection": "close"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def test_a_check_gets_the_answer_it_expects(standing: Standing) -> None:
    response = ask(standing, "198.51.100.21", 8080, "/healthz")
    assert response.status == 204
    assert response.headers["Server-Name"] == "198.51.100.21"


def test_a_tls_port_proves_the_name_that_the_check_asks_for(standing: Standing) -> None:
    assert ask(standing, "198.51.100.50", 443, "/healthz").status == 200


def test_a_killed_server_refuses_and_a_started_one_answers(standing: Standing) -> None:
    actor = standing.actors["198.51.100.21"]
    client = Client(standing.world.client, [target_of(NAT)])
    client.start()
    try:
        actor.kill()
        assert not actor.runs
        collect_until(client, lambda found: any(each.failure == "refused" for each in found))
        actor.start()
        client.collect()
        samples = collect_until(client, lambda found: len(found) >= 10)
    finally:
        client.stop()
    assert total(samples[-5:]).lost == 0


def test_a_frozen_server_accepts_and_does_not_answer(standing: Standing) -> None:
    actor = standing.actors["198.51.100.22"]
    client = Client(standing.world.client, [target_of(NAT)], bound_s=0.3)
    client.start()
    try:
        actor.freeze()
        samples = collect_until(client, lambda found: any(s.failure == "timeout" for s in found))
        # The other server is not waited for: the probes go on every 10 ms meanwhile.
        assert total(samples).longest_gap_ms < 250
    finally:
        actor.thaw()
        client.stop()


def test_a_misbehaving_server_answers_wrongly(standing: Standing) -> None:
    actor = standing.actors["198.51.100.22"]
    client = Client(standing.world.client, [target_of(NAT)])
    client.start()
    try:
        actor.misbehave()
        collect_until(client, lambda found: any(s.failure == "status 503" for s in found))
    finally:
        actor.misbehave()
        client.stop()


def test_long_lived_connections_are_kept_or_not(standing: Standing) -> None:
    client = Client(standing.world.client, [target_of(DR)])
    client.start()
    try:
        assert client.open_connections(10) == 10
        standing.actors["192.0.2.31"].kill()
        assert client.count_connections() == Kept(opened=10, kept=5)
        assert client.count_connections() == Kept(opened=0, kept=0)
    finally:
        client.stop()
        standing.actors["192.0.2.31"].start()


def test_a_director_without_cables_is_silent_until_they_are_back(standing: Standing) -> None:
    director = standing.world.directors["lb1"]
    client = Client(standing.world.client, [target_of(NAT)], bound_s=0.2)
    client.start()
    try:
        collect_until(client, lambda found: len(found) >= 5)
        standing.built.cut_cables(director)
        collect_until(client, lambda found: any(s.failure == "timeout" for s in found))
        client.collect()
        assert {s.answered_at for s in collect_until(client, lambda f: len(f) >= 10)} == {None}
        standing.built.plug_cables(director)
        collect_until(client, lambda found: any(s.answered_at is not None for s in found))
    finally:
        client.stop()


def test_the_observer_sees_who_holds_an_address_and_when(standing: Standing) -> None:
    director = standing.world.directors["lb2"]
    observer = Observer({"lb2": director.namespace})
    observer.start()
    try:
        before = time.monotonic()
        run_batch(Batch(director.namespace, (f"address add {VIP}/24 dev eth0",)))
        # It notes the time at which it reads, and it has read whatever it hands over.
        changes = observer.collect()
        between = time.monotonic()
        standing.built.forget_addresses(director)
        changes += observer.collect()
        after = time.monotonic()
        (span,) = spans(changes)[ip_address(VIP)]
    finally:
        observer.stop()
    assert span.machine == "lb2"
    assert span.until is not None
    assert before <= span.since <= between <= span.until <= after


def test_a_machine_forgets_all_but_what_it_boots_with(standing: Standing) -> None:
    director = standing.world.directors["lb2"]
    run_batch(Batch(director.namespace, ("address add 192.0.2.77/24 dev eth0",)))
    standing.built.forget_addresses(director)
    shown = standing.built.run(director, ["ip", "-brief", "address", "show", "dev", "eth0"])
    assert "192.0.2.12/24" in shown
    assert "192.0.2.77" not in shown


def test_processes_belong_to_their_machine_and_die_with_it(standing: Standing) -> None:
    machine = standing.world.client
    process = standing.built.spawn(machine, ["sleep", "60"])
    assert process.pid in processes_in([machine.namespace])
    standing.built.kill_processes(machine)
    assert process.wait(timeout=BOUND_S) == -signal.SIGKILL


def test_a_failed_world_names_the_command_and_leaves_nothing(standing: Standing) -> None:
    world = build_world(config_of(NAT), prefix="tw2-")
    broken = replace(world, client=replace(world.client, routes=(Route("default", VIP6, "eth7"),)))
    with pytest.raises(CommandFailed, match="`ip -n tw2-client route add default via 2001:db8::1"):
        BuiltWorld(broken).build()
    assert not list(NAMESPACES.glob("tw2-*"))


def test_a_command_that_fails_on_a_machine_is_named(standing: Standing) -> None:
    with pytest.raises(CommandFailed, match=r"`ls /nowhere` on client ended with status 2: .*such"):
        standing.built.run(standing.world.client, ["ls", "/nowhere"])
    with pytest.raises(CommandFailed, match="`no-such-program` on client"):
        standing.built.spawn(standing.world.client, ["no-such-program"])


def test_a_forked_process_that_fails_says_why(standing: Standing) -> None:
    def fail(ready: Ready) -> None:
        raise ValueError("port 80 is taken")

    forked = Forked("a server", standing.world.client.namespace, fail)
    forked.start()
    with pytest.raises(LabError, match=r"a server did not start: (?s:.*)port 80 is taken"):
        forked.await_ready()
