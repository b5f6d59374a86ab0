"""A held connection beside a real IVPS table: what it sees, what it costs, what leaves it alone.

How it works: a director process whose table is this kernel's, and one server on a host (network
namespace) of its own behind a veth pair, so that the process can die and the host can vanish
without a word. Where only the held connection can have seen it, probes come a minute apart.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from hadirector import messages
from hadirector.ipvs.memory import MemoryTable
from hadirector.ipvs.model import Counters
from hadirector.ipvs.table import KernelTable
from tests.hadirector.test_director import Daemon, Status
from tests.kernel.ipvs_namespace import fresh_network

HOST = f"held-{os.getpid()}"
VIP, OURS, SERVER = "192.0.2.100", "198.51.100.1", "198.51.100.21"
RARELY = "interval: 60s, timeout: 1s, rise: 1, fall: 3"
OFTEN = "interval: 300ms, timeout: 300ms, rise: 1, fall: 2"
FILE = """\
nodes: {{lb1: {{address: 192.0.2.11, priority: 254}}}}
virtual_routers: []
services:
  - name: web
    listen: tcp://192.0.2.100:80
    scheduler: {scheduler}
    forward: nat
    on_fail: {on_fail}
    check: {{type: tcp, hold: true, {timing}}}
    servers: ["198.51.100.21:8080"]
"""
PROGRAM = """\
import socket, threading
def talk(connection):
    while data := connection.recv(64):
        connection.sendall(data)
    connection.close()
with socket.create_server(("", 8080)) as server:
    print("listens", flush=True)
    while True:
        threading.Thread(target=talk, args=(server.accept()[0],), daemon=True).start()
"""


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    """This host, with the virtual address, and the server's, which answers by way of this one."""
    with fresh_network():
        run("ip", "netns", "add", HOST)
        try:
            run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", HOST)
            for address, device in ((VIP, "lo"), (OURS, "near")):
                run("ip", "address", "add", f"{address}/24", "dev", device)
            run("ip", "link", "set", "near", "up")
            run("ip", "-n", HOST, "address", "add", f"{SERVER}/24", "dev", "far")
            run("ip", "-n", HOST, "link", "set", "far", "up")
            run("ip", "-n", HOST, "route", "add", "default", "via", OURS)
            yield
        finally:
            run("ip", "netns", "del", HOST)


class Server:
    """The server's process."""

    def __init__(self) -> None:
        command = ["ip", "netns", "exec", HOST, sys.executable, "-IS", "-c", PROGRAM]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        with self._process.stdout as output:
            assert output.readline() == b"listens\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def server(network: None) -> Iterator[Server]:
    one = Server()
    yield one
    one.kill()


@asynccontextmanager
async def director(
    directory: Path, timing: str, *, on_fail: str = "weight-0"
) -> AsyncIterator[Daemon]:
    file = directory / "pair.yaml"
    file.write_text(FILE.format(timing=timing, on_fail=on_fail, scheduler="wlc"))
    with closing(KernelTable()) as table:
        one = Daemon(directory, MemoryTable(), table)
        await one.start()
        try:
            await one.hears(messages.Ready)
            await in_kernel(" -w 1")
            await one.until(lambda _: len(held()) == 1)
            yield one
        finally:
            await one.stop()


async def in_kernel(word: str) -> None:
    """Wait until ipvsadm tells of the server with this word; nothing: until it tells of none."""
    async with asyncio.timeout(15):
        while True:
            rules = [rule for rule in run("ipvsadm", "-S", "-n").splitlines() if SERVER in rule]
            if any(word in rule for rule in rules) if word else not rules:
                return
            await asyncio.sleep(0.02)


def held() -> list[str]:
    """The connections of this host to the server, each by its ends."""
    found = run("ss", "-Htn", "state", "established", "dst", SERVER).splitlines()
    return [" ".join(line.split()[2:4]) for line in found]


def first_of(status: Status) -> Status:
    first: Status = status["services"][0]["servers"][0]
    return first


@pytest.mark.asyncio
@pytest.mark.parametrize(("on_fail", "word"), [("weight-0", " -w 0"), ("remove", "")])
async def test_a_killed_server_leaves_the_kernel_long_before_its_next_probe(
    tmp_path: Path, server: Server, on_fail: str, word: str
) -> None:
    async with director(tmp_path, RARELY, on_fail=on_fail) as one:
        server.kill()
        await in_kernel(word)
        status = await one.until(lambda status: first_of(status)["state"] == "down")
        assert "held connection lost, new one: connection refused" in first_of(status)["reason"]


@pytest.mark.asyncio
async def test_a_host_that_vanishes_is_found_by_the_probe_in_turn_and_held_again_when_it_is_back(
    tmp_path: Path, server: Server
) -> None:
    async with director(tmp_path, OFTEN) as one:
        run("tc", "qdisc", "add", "dev", "near", "root", "netem", "loss", "100%")
        await in_kernel(" -w 0")
        assert "l4-timeout" in str(await one.asked(f"/explain?what=web/{SERVER}:8080"))
        run("tc", "qdisc", "del", "dev", "near", "root")
        await in_kernel(" -w 1")
        await one.until(lambda _: bool(held()))
        server.kill()
        await in_kernel(" -w 0")


@pytest.mark.asyncio
async def test_a_reload_leaves_the_held_connection_of_an_unchanged_check_alone(
    tmp_path: Path, server: Server
) -> None:
    async with director(tmp_path, RARELY) as one:
        before = held()
        one.file.write_text(FILE.format(timing=RARELY, on_fail="remove", scheduler="rr"))
        assert (await one.asked("/reload", "POST"))["changed"]
        assert "-s rr" in run("ipvsadm", "-S", "-n")
        assert held() == before
        # The check itself is another one: it begins anew, with a connection of its own.
        other = RARELY.replace("60s", "50s")
        one.file.write_text(FILE.format(timing=other, on_fail="remove", scheduler="rr"))
        assert (await one.asked("/reload", "POST"))["changed"]
        await one.until(lambda _: len(held()) == 1 and held() != before)
        await in_kernel(" -w 1")


@pytest.mark.asyncio
async def test_held_connections_count_for_nobody_and_a_clients_does(
    tmp_path: Path, server: Server
) -> None:
    async with director(tmp_path, OFTEN) as one:
        seen = set(held())
        while len(seen) < 4:  # it is made anew with every probe
            await one.until(lambda _: not seen.issuperset(held()))
            seen.update(held())
        reader, writer = await asyncio.wait_for(asyncio.open_connection(VIP, 80), 5)
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.readexactly(5), 5) == b"hello"
        while True:  # the kernel adds up every two seconds
            found = await counters()
            assert found.traffic is not None
            if found.traffic.connections > 0:
                break
            await asyncio.sleep(0.1)
        assert (found.traffic.connections, found.active, found.inactive) == (1, 1, 0)
        writer.close()
        await writer.wait_closed()


async def counters() -> Counters:
    """What the kernel has counted for the server."""
    with closing(KernelTable()) as table:
        (entry,) = (await table.read(traffic=True)).values()
        (found,) = entry.counters.values()
        return found
