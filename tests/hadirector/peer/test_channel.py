"""The peer channel on the loopback: real sockets and certificates, and everybody who may knock.

How it works: two channels of one pair, on two loopback addresses; what each hears goes into a list.
"""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from hadirector import limits
from hadirector.peer import link as link_module
from hadirector.peer import messages
from hadirector.peer.channel import Ear, PeerChannel
from hadirector.peer.link import Cause, pair_of
from hadirector.peer.material import contexts, make, utc_now
from hadirector.peer.messages import Body, Hello
from hadirector.peer.settings import PeerSettings
from tests.hadirector.peer.samples import hello, state

BOUND_S = 10.0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("peer")
    make(["lb1", "lb2"], directory / "ours", now=utc_now())
    make(["lb1", "lb2"], directory / "others", now=utc_now())
    return directory


@pytest.fixture
def settings(certificates: Path, unused_tcp_port: int) -> PeerSettings:
    return PeerSettings(
        addresses={"lb1": ip_address("127.0.0.1"), "lb2": ip_address("127.0.0.2")},
        port=unused_tcp_port,
        certificate=str(certificates / "ours" / "{node}.pem"),
        key=str(certificates / "ours" / "{node}.key"),
        ca=str(certificates / "ours" / "ca.pem"),
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PEER_RETRY_FIRST_S", 0.02)
    monkeypatch.setattr(limits, "PEER_RETRY_MAX_S", 0.05)


class End:
    """One director's end, and what it heard."""

    def __init__(self, settings: PeerSettings, node: str) -> None:
        self.met: list[Hello] = []
        self.heard: list[Body] = []
        self.ended: list[tuple[Cause, str]] = []
        self._news = asyncio.Event()
        ear = Ear(met=self._met, heard=self._heard, ended=self._ended)
        self.channel = PeerChannel(settings, node, ear)

    async def until(self, true: Callable[[End], object]) -> None:
        """Wait until something is true of it."""
        async with asyncio.timeout(BOUND_S):
            while not true(self):
                self._news.clear()
                await self._news.wait()

    def _met(self, hello: Hello) -> None:
        self.met.append(hello)
        self._news.set()

    def _heard(self, body: Body) -> None:
        self.heard.append(body)
        self._news.set()

    def _ended(self, cause: Cause, sentence: str, _met: bool) -> None:
        self.ended.append((cause, sentence))
        self._news.set()

    @property
    def causes(self) -> set[Cause]:
        return {cause for cause, _ in self.ended}


@asynccontextmanager
async def running(*ends: End) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(end.channel.run()) for end in ends]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.asyncio
async def test_two_directors_meet_talk_and_part(settings: PeerSettings) -> None:
    lb1, lb2 = End(settings, "lb1"), End(settings, "lb2")
    async with running(lb2):
        async with running(lb1):
            await lb1.until(lambda end: end.met)
            await lb2.until(lambda end: end.met)
            assert lb1.channel.send(state(digest="one"))
            assert lb2.channel.send(state(digest="two"))
            await lb1.until(lambda end: end.heard)
            await lb2.until(lambda end: end.heard)
            assert lb2.heard == [state(digest="one")]
            assert lb1.heard == [state(digest="two")]
        await lb2.until(lambda end: Cause.LEFT in end.causes)
        assert not lb2.channel.send(state())
        again = End(settings, "lb1")
        async with running(again):
            await lb2.until(lambda end: len(end.met) == 2)


@pytest.mark.asyncio
async def test_a_certificate_of_another_authority_is_refused_on_both_sides(
    settings: PeerSettings, certificates: Path
) -> None:
    others = str(certificates / "others")
    stranger = replace(
        settings,
        certificate=f"{others}/{{node}}.pem",
        key=f"{others}/{{node}}.key",
        ca=f"{others}/ca.pem",
    )
    for dials, listens in ((stranger, settings), (settings, stranger)):
        lb1, lb2 = End(dials, "lb1"), End(listens, "lb2")
        async with running(lb1, lb2):
            await lb1.until(lambda end: Cause.CERTIFICATE in end.causes)
        assert not lb1.met
        assert not lb2.met


@pytest.mark.asyncio
async def test_our_authority_is_not_enough_without_the_name(
    settings: PeerSettings, certificates: Path, tmp_path: Path
) -> None:
    for kind in ("pem", "key"):  # lb1 has stolen nothing; it comes as lb1 to lb1
        shutil.copy(certificates / "ours" / f"lb2.{kind}", tmp_path / f"lb1.{kind}")
    thief = replace(
        settings, certificate=f"{tmp_path}/{{node}}.pem", key=f"{tmp_path}/{{node}}.key"
    )
    lb1, lb2 = End(thief, "lb1"), End(settings, "lb2")
    async with running(lb1, lb2):
        await lb2.until(lambda end: end.ended)
    assert lb2.ended[0] == (Cause.CERTIFICATE, "its certificate is of lb2")
    assert not lb2.met


async def dial(
    settings: PeerSettings, context: ssl.SSLContext
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to lb2 as soon as it listens."""
    async with asyncio.timeout(BOUND_S):
        while True:
            with suppress(ConnectionRefusedError):  # not yet
                return await asyncio.open_connection("127.0.0.2", settings.port, ssl=context)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def knocking(
    settings: PeerSettings,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to lb2 with the certificate of lb1, and nothing said yet."""
    reader, writer = await dial(settings, contexts(settings.material("lb1"), listens=False))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@pytest.mark.asyncio
async def test_who_says_something_wrong_is_shown_the_door_and_counted(
    settings: PeerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "HELLO_S", 0.3)
    ours = replace(hello("lb1"), pair=pair_of(settings.addresses))
    wrong = {
        messages.encode_hello(replace(ours, protocol=9)): Cause.VERSION,
        messages.encode_hello(replace(ours, pair="p")): Cause.OTHER_PAIR,
        b"GET / HTTP/1.1\r\n\r\n": Cause.MALFORMED,
        b"": Cause.SILENT,
        b"x" * (messages.LINE_BYTES_MAX + 10): Cause.TOO_LONG,
        messages.encode_hello(ours) + messages.encode(state(), seq=1, to="an old one"): (
            Cause.REPLAYED
        ),
    }
    lb2 = End(settings, "lb2")
    async with running(lb2):
        for line, cause in wrong.items():
            lb2.ended.clear()
            async with knocking(settings) as (_, writer):
                writer.write(line)
                await lb2.until(lambda end: end.ended)
            assert lb2.ended[0][0] is cause, lb2.ended
    assert not lb2.heard


@pytest.mark.asyncio
async def test_without_certificates_nobody_is_dialled_and_the_reason_is_told(
    settings: PeerSettings,
) -> None:
    bare = replace(settings, key="/nonexistent/{node}.key")
    for node in ("lb1", "lb2"):
        end = End(bare, node)
        async with running(end):
            await end.until(lambda end: end.ended)
        assert end.ended[0][0] is Cause.MATERIAL
        assert "hadirector peer init" in end.ended[0][1]


@pytest.mark.asyncio
async def test_older_protocols_than_tls_1_3_are_not_spoken(settings: PeerSettings) -> None:
    lb2 = End(settings, "lb2")
    async with running(lb2):
        context = contexts(settings.material("lb1"), listens=False)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await dial(settings, context)
        await lb2.until(lambda end: Cause.CERTIFICATE in end.causes)
