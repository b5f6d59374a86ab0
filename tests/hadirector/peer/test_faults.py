"""A peer channel that hangs, flaps, or brings lies: counted, shown, and no role changes by it.

How it works: two director processes of one pair in this process, with real TLS between them. lb1
dials a relay, which passes the bytes on to lb2, or does not. (So the two files differ in a port,
and each says so.) VRRP is cut all the while: both VRRP workers report that they are active.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest

from hadirector import limits, messages
from hadirector.peer import link, policies
from hadirector.peer import messages as peer_messages
from hadirector.peer.link import pair_of
from hadirector.peer.material import contexts, make, utc_now
from hadirector.peer.settings import Material
from tests.hadirector.peer.pair import both, reports
from tests.hadirector.peer.samples import hello, router, state
from tests.hadirector.test_director import Daemon, Status, listening, port_of
from vrrp import messages as vrrp_messages
from vrrp.events import State

LISTENS = "127.0.0.2"
FLAPS = limits.PEER_FLAPS_MAX + 1


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """All bounds in the order they have, and a tenth as long."""
    monkeypatch.setattr(limits, "PEER_RETRY_FIRST_S", 0.05)
    monkeypatch.setattr(limits, "PEER_RETRY_MAX_S", 0.1)
    monkeypatch.setattr(limits, "PEER_CONNECT_S", 0.5)
    monkeypatch.setattr(limits, "PEER_STATE_EVERY_S", 0.1)
    monkeypatch.setattr(link, "SILENCE_S", 1.0)
    monkeypatch.setattr(policies, "SPLIT_S", 2.5)
    monkeypatch.setattr(policies, "SHARED_S", 0.01)


class Relay:
    """Between the two: passes on what is said, until it is told to do something else."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def hang(self) -> None:
        """Connections stay, new ones come about, and nothing gets through."""
        self._flows.clear()

    def flow(self) -> None:
        """All gets through, also what was said meanwhile."""
        self._flows.set()

    def cut(self) -> None:
        """End all connections there are."""
        for writer in self._writers:
            writer.transport.abort()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Let lb1 come, at this port."""
        server = await asyncio.start_server(self._accept, LISTENS)
        async with server:
            yield port_of(server)
            self.flow()
            self.cut()
            await asyncio.gather(*self._tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.create_task(self._join(reader, writer)))

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(LISTENS, self._to)
        except OSError:  # lb2 does not listen yet, or any more
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._writers |= ends
        await asyncio.gather(self._pass_on(reader, far_writer), self._pass_on(far_reader, writer))
        self._writers -= ends

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._flows.wait()
                writer.write(data)
        writer.transport.abort()


class Worker:
    """What the VRRP worker of a director was told, in order."""

    def __init__(self, one: Daemon) -> None:
        self._one = one
        self.bars: list[bool] = []
        """Whether it was barred, each time that this changed."""
        self.announced = 0
        self.caps = 0

    async def until(self, true: Callable[[Worker], object]) -> None:
        """Take in what is said until something is true."""
        while not true(self):
            message = await self._one.hears(messages.ToVrrp)
            assert isinstance(message, messages.ToVrrp)
            told = vrrp_messages.decode(message.line.encode())
            if isinstance(told, vrrp_messages.Reannounce):
                self.announced += 1
            elif isinstance(told, vrrp_messages.Guidance):
                self.caps += len(told.caps)
                if bool(told.bars) != (self.bars or [False])[-1]:
                    self.bars.append(bool(told.bars))


@asynccontextmanager
async def parted(directory: Path, port: int) -> AsyncIterator[tuple[Daemon, Daemon, Relay]]:
    """Both directors, with a relay between them; they have met, and both are active."""
    relay = Relay(port)
    async with (
        listening() as server,
        relay.listening() as dials,
        both(directory, [port_of(server)], port=port, dials=dials) as pair,
    ):
        for one in pair.values():
            await one.until(lambda status: status["peer"]["connected"])
        for one in pair.values():
            reports(one, State.ACTIVE)
        yield pair["lb1"], pair["lb2"], relay


def is_active(status: Status) -> bool:
    """Whether the peer says that it is active."""
    return any(one["state"] == "active" for one in status["peer"]["routers"].values())


def count(status: Status, cause: str) -> int:
    """How many connections ended, or did not come about, for a cause."""
    return int(status["peer"]["refused"].get(cause, 0))


async def hang(relay: Relay, *pair: Daemon, for_s: float = 0.0) -> None:
    """Let nothing through until each has missed the other, and has tried again."""
    until = time.monotonic() + for_s
    relay.hang()
    for one in pair:
        status = await one.until(lambda status: count(status, "silent") > 0)
        assert any("is not heard on the peer channel" in t for t in status["trouble"])
    # Whoever dials finds somebody who takes the call, and says nothing.
    await pair[0].until(lambda status: count(status, "unreachable") > 1)
    await asyncio.sleep(until - time.monotonic())
    relay.flow()


async def flap(relay: Relay, *pair: Daemon, for_s: float = 0.0) -> None:
    """End the connection again and again, as soon as both have heard each other on it."""
    until, times = time.monotonic() + for_s, 0
    while times < FLAPS or time.monotonic() < until:
        times += 1
        before = [count(await one.asked("/status"), "lost") for one in pair]
        relay.cut()
        for one, lost in zip(pair, before, strict=True):
            await one.until(partial(is_back, lost))
    for one in pair:
        status = await one.asked("/status")
        assert any("the peer channel flaps" in t for t in status["trouble"])


def is_back(lost: int, status: Status) -> bool:
    """Whether the peer is heard, and has been lost more often than so."""
    return count(status, "lost") > lost and bool(status["peer"]["routers"])


@pytest.mark.asyncio
@pytest.mark.parametrize("goes_wrong", [hang, flap])
async def test_nobody_yields_while_the_channel_goes_wrong_and_then_once(
    goes_wrong: Callable[..., Awaitable[None]], tmp_path: Path, unused_tcp_port: int
) -> None:
    async with parted(tmp_path, unused_tcp_port) as (lb1, lb2, relay):
        for one in (lb1, lb2):
            await one.until(is_active)
        await goes_wrong(relay, lb1, lb2, for_s=policies.SPLIT_S + 0.5)
        for one in (lb1, lb2):
            assert not any("yields" in sentence for sentence in await one.sentences())

        first, second = Worker(lb1), Worker(lb2)
        await second.until(lambda worker: worker.bars)
        reports(lb2, State.BACKUP, deaf=True)  # as the bar has it
        await first.until(lambda worker: worker.announced)
        reports(lb2, State.BACKUP)  # VRRP heals
        await second.until(lambda worker: worker.bars == [True, False])
        yielded = [s for s in await lb2.sentences() if "front yields: split brain" in s]
        assert len(yielded) == 1
        assert (first.bars, first.announced, first.caps) == ([], 1, 0)
        assert (second.announced, second.caps) == (0, 0)


@pytest.mark.asyncio
async def test_who_has_yielded_stays_backup_while_the_channel_flaps_and_until_it_is_lost(
    tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "SPLIT_S", 0.3)
    monkeypatch.setattr(policies, "LOST_S", 3600.0)
    async with parted(tmp_path, unused_tcp_port) as (lb1, lb2, relay):
        first, second = Worker(lb1), Worker(lb2)
        await second.until(lambda worker: worker.bars)
        reports(lb2, State.BACKUP, deaf=True)
        await first.until(lambda worker: worker.announced)
        await flap(relay, lb1, lb2)
        await hang(relay, lb1, lb2)
        await lb2.until(lambda status: status["peer"]["connected"])
        status = await lb2.asked("/status")
        assert any("front yields: split brain" in t for t in status["trouble"])
        assert set(status["peer"]["refused"]) >= {"lost", "silent"}

        # For good: nothing is known of the other one, and VRRP alone decides, as without a channel.
        monkeypatch.setattr(policies, "LOST_S", 0.2)
        relay.hang()
        await second.until(lambda worker: len(worker.bars) > 1)
        said = await lb2.sentences()
        assert second.bars == [True, False]
        assert sum("front yields" in sentence for sentence in said) == 1
        (why,) = (sentence for sentence in said if "takes part again" in sentence)
        assert "nothing more is heard of lb1 on the peer channel" in why
        assert (first.bars, first.announced) == ([], 1)


@pytest.mark.asyncio
async def test_whatever_a_stranger_says_it_is_counted_by_cause_and_no_role_changes(
    tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "SPLIT_S", 0.0)  # what is believed has its effect at once
    monkeypatch.setattr(policies, "FEWER_S", 0.0)
    monkeypatch.setattr(link, "HELLO_S", 0.5)
    make(["lb1", "lb2"], tmp_path / "others", now=utc_now())
    async with listening() as server, both(tmp_path, [port_of(server)], port=unused_tcp_port) as p:
        lb2 = p["lb2"]
        await lb2.until(lambda status: status["peer"]["connected"])
        await p["lb1"].stop()
        reports(lb2, State.ACTIVE)
        await lb2.until(lambda status: status["peer"]["refused"] == {"left": 1})
        claim = state(routers={"front": router("active", 254)}, up=1000)
        addresses = {"lb1": ip_address("127.0.0.1"), "lb2": ip_address(LISTENS)}
        good = replace(hello("lb1"), pair=pair_of(addresses))
        lie = peer_messages.encode(claim, seq=1, to="the nonce of another connection")
        says = {
            "other-version": peer_messages.encode_hello(replace(good, protocol=0)) + lie,
            "other-pair": peer_messages.encode_hello(replace(good, pair="another")) + lie,
            "malformed": peer_messages.encode_hello(good) + b'{"type": "state"}\n',
            "replayed": peer_messages.encode_hello(good) + lie,
            "too-long": b"x" * (peer_messages.LINE_BYTES_MAX + 10),
            "silent": b"",
        }
        for cause, line in says.items():
            async with knocking(tmp_path / "peer", unused_tcp_port) as writer:
                writer.write(line)
                await lb2.until(partial(counts_one, cause))
        with suppress(OSError):  # refused by the one or the other, as TLS 1.3 has it
            async with knocking(tmp_path / "others", unused_tcp_port) as writer:
                writer.write(peer_messages.encode_hello(good) + lie)
                await lb2.until(partial(counts_one, "certificate"))
        counts = {"left": 1, **dict.fromkeys(says, 1), "certificate": 1}
        status = await lb2.until(lambda status: status["peer"]["refused"] == counts)
        assert status["peer"]["routers"] == {}
        assert any("lb1 is not heard on the peer channel" in t for t in status["trouble"])
        counted = ", ".join(f"1 {cause}" for cause in sorted(counts))
        explained = (await lb2.asked("/explain?what=peer"))["because"]
        assert f"connections that ended or were refused, by cause: {counted}" in explained
        said = await lb2.sentences()
        assert not any("yields" in s or "told again" in s for s in said)
        assert all(any(f"({cause})" in s for s in said) for cause in [*says, "certificate"])
        assert status["routers"][0]["state"] == "active"
        await p["lb1"].start()  # for the end of the test; and it is let in
        await lb2.until(lambda status: status["peer"]["connected"])


def counts_one(cause: str, status: Status) -> bool:
    """Whether one connection was refused for this cause."""
    return count(status, cause) == 1


@asynccontextmanager
async def knocking(directory: Path, port: int) -> AsyncIterator[asyncio.StreamWriter]:
    """A connection to lb2 with the certificate that a directory has for lb1."""
    material = Material(
        certificate=directory / "lb1.pem", key=directory / "lb1.key", ca=directory / "ca.pem"
    )
    context = contexts(material, listens=False)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is lb2 that refuses
    _, writer = await asyncio.open_connection(LISTENS, port, ssl=context)
    try:
        yield writer
    finally:
        writer.transport.abort()
