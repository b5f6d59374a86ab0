"""A drain that ends by itself, a server that left the file, and a stop that flushes, on a real
kernel with real clients.

How it works: a director process whose table is this kernel's runs in a namespace that has clients,
virtual address and servers on its loopback interface.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from hadirector import messages
from hadirector.ipvs.memory import MemoryTable
from hadirector.ipvs.model import (
    Destination,
    DestinationKey,
    Forward,
    Protocol,
    Service,
    Table,
    VirtualAddress,
)
from hadirector.ipvs.steps import AddDestination, AddService, Step
from hadirector.ipvs.table import KernelTable
from hadirector.leaving import OnStop, leave
from hadirector.plan import Undeclared
from tests.hadirector.ipvs.dataplane_contract import WEB
from tests.hadirector.test_director import Daemon, Status
from tests.kernel.ipvs_namespace import fresh_network

VIP, FIRST, SECOND = "192.0.2.100", "192.0.2.21", "192.0.2.22"
FILE = f"""\
nodes: {{lb1: {{address: 192.0.2.11, priority: 254}}}}
virtual_routers: []
on_stop: flush
services:
  - name: web
    listen: tcp://{VIP}:80
    scheduler: rr
    forward: nat
    check: {{type: tcp, interval: 2s, timeout: 2s, rise: 1, fall: 3}}
    servers: ["{FIRST}:8080", "{SECOND}:8080"]
"""
MANY = 5000


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with fresh_network():
        for address in ("192.0.2.1", FIRST, SECOND, VIP):
            subprocess.run(["ip", "address", "add", f"{address}/24", "dev", "lo"], check=True)
        yield
        # A connection that was cut off closes for a minute, and keeps the namespace that long: it
        # shall not keep the scheduler, which other tests unload.
        subprocess.run(["ipvsadm", "-C"], check=True)


def rules() -> list[str]:
    done = subprocess.run(["ipvsadm", "-S", "-n"], check=True, capture_output=True, text=True)
    return done.stdout.split("\n")[:-1]


class Speaker(asyncio.Protocol):
    """Says its address to whoever connects or says anything, until the client goes."""

    def __init__(self, address: str, present: dict[asyncio.Transport, asyncio.Event]) -> None:
        self._address = address
        self._present = present
        self._gone = asyncio.Event()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._present[transport] = self._gone
        self._speak()

    def data_received(self, _: bytes) -> None:
        self._speak()

    def _speak(self) -> None:
        self._transport.write(self._address.encode() + b"\n")

    def connection_lost(self, _: Exception | None) -> None:
        self._gone.set()


@asynccontextmanager
async def server(address: str) -> AsyncIterator[None]:
    """Serve, and leave no connection open at the end."""
    loop = asyncio.get_running_loop()
    present: dict[asyncio.Transport, asyncio.Event] = {}
    async with await loop.create_server(lambda: Speaker(address, present), address, 8080):
        yield
    for transport, gone in present.items():
        transport.abort()
        await asyncio.wait_for(gone.wait(), 5)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):  # the other side may be gone already
        await writer.wait_closed()


async def hear(reader: asyncio.StreamReader) -> str:
    return (await asyncio.wait_for(reader.readline(), 5)).decode().strip()


async def open_to_web(
    stack: AsyncExitStack,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.wait_for(asyncio.open_connection(VIP, 80), 5)
    stack.push_async_callback(hang_up, writer)
    return reader, writer


async def connect(stack: AsyncExitStack) -> tuple[str, asyncio.StreamWriter]:
    reader, writer = await open_to_web(stack)
    return await hear(reader), writer


def first_of(status: Status) -> Status:
    return next(each for each in status["services"][0]["servers"] if FIRST in each["server"])


@pytest.mark.asyncio
async def test_a_drain_waits_for_the_last_client_and_the_stop_flushes(tmp_path: Path) -> None:
    (tmp_path / "pair.yaml").write_text(FILE)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server(FIRST))
        await stack.enter_async_context(server(SECOND))
        with closing(KernelTable()) as table:
            one = Daemon(tmp_path, MemoryTable(), table)
            await one.start()
            await one.hears(messages.Ready)
            clients = [await connect(stack) for _ in range(4)]
            assert sorted(name for name, _ in clients) == [FIRST, FIRST, SECOND, SECOND]
            what = f"what=web/{FIRST}:8080&order=drain&connections=0&timeout=60"
            reply = await one.asked(f"/override?{what}", "POST")
            assert "until 0 connections are left, for 60 s at most" in reply["sentence"]
            status = await one.until(lambda status: first_of(status)["weight"] == 0)
            assert {(await connect(stack))[0] for _ in range(3)} == {SECOND}
            # Several readings of the table later, its clients are still there, and so is it.
            at = status["table"]["at"]
            await one.until(lambda status: status["table"]["at"] > at + 2)
            assert any(f"{FIRST}:8080 -m -w 0" in rule for rule in rules())
            for name, writer in clients:
                if name == FIRST:
                    writer.close()
            status = await one.until(lambda status: not first_of(status)["in_table"])
            assert "0 connections left" in first_of(status)["reason"]
            assert not any(f"{FIRST}:8080" in rule for rule in rules())
            await one.stop()
            assert rules() == []
            journal = (tmp_path / "journal.ndjson").read_text()
            assert "stop: 1 services removed, and the table is empty" in journal


@pytest.mark.asyncio
@pytest.mark.parametrize("waits", [True, False])
async def test_a_server_that_left_the_file_keeps_its_client(tmp_path: Path, waits: bool) -> None:
    """It goes when the client has gone; where nobody is to be waited for, at once."""
    settings = FILE + f"drain_removed: {'60s' if waits else '0s'}\n"
    file = tmp_path / "pair.yaml"
    file.write_text(settings)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server(FIRST))
        await stack.enter_async_context(server(SECOND))
        with closing(KernelTable()) as table:
            one = Daemon(tmp_path, MemoryTable(), table)
            await one.start()
            await one.hears(messages.Ready)
            clients = [await open_to_web(stack) for _ in range(2)]
            of = {await hear(reader): (reader, writer) for reader, writer in clients}
            assert of.keys() == {FIRST, SECOND}
            file.write_text(settings.replace(f'"{FIRST}:8080", ', ""))
            reply = await one.asked("/reload", "POST")
            assert reply["accepted"]
            found = [rule for rule in rules() if f"{FIRST}:8080" in rule]
            assert [" -w 0" in rule for rule in found] == ([True] if waits else [])
            assert {(await connect(stack))[0] for _ in range(3)} == {SECOND}
            if waits:
                reader, writer = of[FIRST]
                [told] = (await one.asked("/status"))["leaving"]
                assert told["name"] == f"web/{FIRST}:8080"
                assert 59 < told["until"] - told["since"] < 61
                await one.until(lambda status: status["leaving"][0]["connections"]["active"] == 1)
                # Several readings of the table later, its client is still there, and so is it.
                at = (await one.asked("/status"))["table"]["at"]
                await one.until(lambda status: status["table"]["at"] > at + 2)
                writer.write(b"still there?\n")
                assert await hear(reader) == FIRST
                assert any(f"{FIRST}:8080" in rule for rule in rules())
                began = time.monotonic()
                writer.close()
                await one.until(lambda _: not any(f"{FIRST}:8080" in rule for rule in rules()))
                await one.until(lambda status: not status["leaving"])
                print(f"removed {time.monotonic() - began:.1f} s after its last client")
            await one.stop()


@pytest.mark.asyncio
@pytest.mark.parametrize(("others", "count"), [(False, MANY), (True, 500)])
async def test_a_large_table_is_flushed_within_its_bound(others: bool, count: int) -> None:
    with closing(KernelTable()) as table:
        services = [
            Service(VirtualAddress(Protocol.TCP, WEB.address + n // 250, 1000 + n % 250))
            for n in range(count)
        ]
        keys = [DestinationKey(WEB.address + n + 50_000, 80) for n in range(2)]
        steps: list[Step] = []
        for service in services:
            steps.append(AddService(service))
            steps += (AddDestination(service.key, Destination(key, Forward.NAT, 1)) for key in keys)
        assert (await table.apply(steps)).ok
        if others:
            await table.apply([AddService(Service(replace(WEB, port=81)))])
        began = time.monotonic()
        declared = {service.key for service in services}
        sentence = await leave(OnStop.FLUSH, table, Table(), declared, Undeclared.KEEP)
        took_s = time.monotonic() - began
        assert sentence.startswith(f"{count} services removed")
        assert len(rules()) == (1 if others else 0)
        assert took_s < 5, f"flushed in {took_s:.2f} s"
        print(f"{count} services with 2 servers each flushed in {took_s:.2f} s")
