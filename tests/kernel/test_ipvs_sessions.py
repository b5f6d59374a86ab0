"""Traffic whose course depends on what went before, and NAT of IPv6.

Calls of SIP stay with their server from whatever port their messages come; a full server comes back
once enough of its connections have ended; connections of IPv6 clients are translated both ways.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from hadirector.ipvs.control import Timeouts
from hadirector.ipvs.settings import KernelSettings
from hadirector.lab.forked import Forked, Ready
from hadirector.lab.namespaces import inside
from tests.kernel.traffic import BACK6, BOUND_S, HEAD, VIP, VIP6, Stage, standing, talk

SIP_SERVERS = ("198.51.100.21", "198.51.100.22")
NAT6_SERVERS = ("2001:db8:2::21", "2001:db8:2::22")
DR6_SERVERS = ("2001:db8::31", "2001:db8::32")
DR_SERVERS = ("192.0.2.31", "192.0.2.32")
SIP_PORT, COUNTED_PORT = 5060, 56
UDP_TIMEOUT_S = 2


def servers(addresses: tuple[str, ...], port: int) -> str:
    written = (f"'[{one}]:{port}'" if ":" in one else f"'{one}:{port}'" for one in addresses)
    return f"servers: [{', '.join(written)}]"


SIP = (
    f"name: sip, listen: 'udp://{VIP}:{SIP_PORT}', scheduler: rr, forward: nat, "
    f"persistence: {{timeout: 1m, engine: sip}}, {servers(SIP_SERVERS, SIP_PORT + 1)}"
)
WEB6 = f"name: web6, listen: 'tcp://[{VIP6}]:8606', scheduler: rr, forward: nat, " + servers(
    NAT6_SERVERS, 8080
)
DIRECT6 = f"name: direct6, listen: 'tcp://[{VIP6}]:8607', scheduler: rr, forward: dr, " + servers(
    DR6_SERVERS, 8607
)
COUNTED = (
    f"name: counted, listen: 'udp://{VIP}:{COUNTED_PORT}', scheduler: rr, forward: dr, servers: "
    f"[{{address: '{DR_SERVERS[0]}:{COUNTED_PORT}', upper: 3, lower: 2}}, "
    f"'{DR_SERVERS[1]}:{COUNTED_PORT}']"
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("sessions")
    # The SIP servers are this file's own, so the lab's are on another port.
    world = [SIP.replace(f":{SIP_PORT + 1}", ":9"), WEB6, DIRECT6, COUNTED]
    with standing(directory, world, prefix="ts-", head=HEAD + BACK6) as stage:
        yield stage


def register(call: str, *, compact: bool = False) -> bytes:
    """A request as a telephone sends it (RFC 3261 10.2, compact forms 7.3.3)."""
    name = "i" if compact else "Call-ID"
    lines = (
        f"REGISTER sip:{VIP} SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.50:5060;branch=z9hG4bK776asdhds",
        "Max-Forwards: 70",
        f"To: <sip:bob@{VIP}>",
        f"From: <sip:bob@{VIP}>;tag=456248",
        f"{name}: {call}",
        "CSeq: 1826 REGISTER",
        "Contact: <sip:bob@192.0.2.50>",
        "Content-Length: 0",
    )
    return "\r\n".join((*lines, "", "")).encode()


@contextmanager
def sip_servers(stage: Stage) -> Iterator[None]:
    """Two servers that answer every request with 200 and their name."""

    def serve_as(name: str) -> Forked:
        def serve(ready: Ready) -> None:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((name, SIP_PORT + 1))
            ready()
            while True:
                request, sender = sock.recvfrom(2048)
                kept = re.findall(rb"^(?:Via|From|To|Call-ID|i|CSeq): .*\r\n", request, re.M)
                head = b"SIP/2.0 200 OK\r\n" + b"".join(kept)
                answer = head + b"Server: " + name.encode() + b"\r\nContent-Length: 0\r\n\r\n"
                sock.sendto(answer, sender)

        return Forked(f"SIP on {name}", stage.built.world.servers[name].machine.namespace, serve)

    with ExitStack() as running:
        for name in SIP_SERVERS:
            server = serve_as(name)
            server.start()
            running.callback(server.kill)
            server.await_ready()
        yield


def datagram(stage: Stage) -> socket.socket:
    """A socket of the client with a port of its own."""
    with inside(stage.client):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(BOUND_S)
    return sock


def ask_sip(stage: Stage, request: bytes) -> str:
    """Which server answers a request from a port that was not used before."""
    with datagram(stage) as sock:
        sock.connect((VIP, SIP_PORT))
        sock.send(request)
        answer = sock.recv(2048).decode()
    assert answer.startswith("SIP/2.0 200 OK\r\n")
    return answer.partition("\r\nServer: ")[2].partition("\r\n")[0]


def test_a_call_stays_with_its_server_from_whatever_port(stage: Stage) -> None:
    stage.program(SIP)
    calls = ["a84b4c76e66710@pc33", "843817637684230@998sdasdh09", "f81d4fae@foo.bar", "4"]
    with sip_servers(stage):
        first = {call: ask_sip(stage, register(call)) for call in calls}
        assert Counter(first.values()) == dict.fromkeys(SIP_SERVERS, 2)  # rr: call by call
        for _ in range(2):
            assert {call: ask_sip(stage, register(call)) for call in calls} == first
        assert {call: ask_sip(stage, register(call, compact=True)) for call in calls} == first
    templates = [one for one in stage.connections() if one.is_template and one.engine == "sip"]
    assert sorted(one.data for one in templates) == sorted(calls)
    assert {str(one.server.address) for one in templates} == set(SIP_SERVERS)


def test_ipv6_clients_are_translated_both_ways(stage: Stage) -> None:
    stage.program(WEB6)
    with ExitStack() as kept:
        open_ones: list[tuple[str, http.client.HTTPConnection]] = []
        for _ in range(4):
            connection = kept.enter_context(closing(stage.connect(8606, VIP6)))
            open_ones.append((talk(connection), connection))
        names = Counter(name for name, _ in open_ones)
        assert names == dict.fromkeys(NAT6_SERVERS, 2)
        assert [talk(connection) for _, connection in open_ones] == [name for name, _ in open_ones]
        assert stage.proc()[0] == "TCP [2001:0db8:0000:0000:0000:0000:0000:0100]:219E rr"
        assert sorted(stage.proc()[1:]) == [
            f"-> [2001:0db8:0002:0000:0000:0000:0000:00{last}]:1F90 Masq 1 2 0"
            for last in ("21", "22")
        ]


def test_ipv6_clients_are_answered_directly(stage: Stage) -> None:
    stage.program(DIRECT6)
    assert Counter(stage.ask(8607, VIP6) for _ in range(4)) == dict.fromkeys(DR6_SERVERS, 2)
    assert all(" Route 1 " in line for line in stage.proc()[1:])


@contextmanager
def short_udp_timeout(stage: Stage) -> Iterator[None]:
    async def set_to(seconds: int) -> int:
        with closing(KernelSettings()) as settings:
            before = await settings.timeouts()
            await settings.set_timeouts(Timeouts(udp_s=seconds))
        return before.udp_s

    with inside(stage.director):
        before = asyncio.run(set_to(UDP_TIMEOUT_S))
        try:
            yield
        finally:
            asyncio.run(set_to(before))


def test_a_full_server_comes_back_below_its_lower_threshold(stage: Stage) -> None:
    """Of its 3 connections the kernel must forget 2: at 2 it is not below the threshold of 2."""
    stage.program(COUNTED)
    full, other = DR_SERVERS

    def ask(sock: socket.socket) -> str:
        sock.send(b"who")
        return sock.recv(100).decode().rpartition(" ")[2]

    with short_udp_timeout(stage), ExitStack() as kept:

        def opened(count: int) -> list[tuple[str, socket.socket]]:
            result = []
            for _ in range(count):
                sock = kept.enter_context(datagram(stage))
                sock.connect((VIP, COUNTED_PORT))
                result.append((ask(sock), sock))
            return result

        def await_connections(count: int, alive: list[socket.socket]) -> None:
            """Until the server has so many, of which these are kept in use; bounded."""
            deadline = time.monotonic() + UDP_TIMEOUT_S + BOUND_S
            while f"-> C000021F:{COUNTED_PORT:04X} Route 1 0 {count}" not in stage.proc():
                assert time.monotonic() < deadline, stage.proc()
                assert {ask(sock) for sock in alive} == {full}
                time.sleep(0.1)

        mine = [sock for name, sock in opened(8) if name == full]
        assert len(mine) == 3
        await_connections(2, mine[:2])
        assert {name for name, _ in opened(2)} == {other}
        await_connections(1, mine[:1])
        assert {name for name, _ in opened(2)} == {full, other}
