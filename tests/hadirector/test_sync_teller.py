"""The sender's pace and its ends, on this host's loopback; a kernel is told in tests/kernel."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from hadirector import sync_teller
from hadirector.connection_sync import ConnectionSync
from hadirector.ipvs.model import (
    Destination,
    DestinationKey,
    Protocol,
    Service,
    Table,
    VirtualAddress,
)
from hadirector.sync_teller import NOT_TO_SEND, Told, ftp_ports, tell_all

SYNC = ConnectionSync(interface="lo", sync_id=51)
TABLE = Table.of(
    (
        Service(VirtualAddress(Protocol.TCP, ip_address("192.0.2.100"), 80)),
        [Destination(DestinationKey(ip_address("198.51.100.21"), 8080))],
    )
)
LINE = "TCP C0000201 {:04X} C0000264 0050 C6336415 1F90 ESTABLISHED 899\n"
MANY = 1000


@pytest.fixture(autouse=True)
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ip_vs_conn"
    file.write_text("".join(LINE.format(port) for port in range(1, MANY + 1)))
    monkeypatch.setattr(sync_teller, "CONNECTIONS", file)
    monkeypatch.setattr(sync_teller, "FTP_PORTS", tmp_path / "ports")


def for_so_many(looks: int) -> Callable[[], bool]:
    """It may go on when it looks for the first so many times."""
    answers = iter([True] * looks)
    return lambda: next(answers, False)


@pytest.mark.asyncio
async def test_it_takes_the_time_that_its_rate_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_teller, "A_SECOND", 8 * MANY)
    told, sample = await tell_all(SYNC, TABLE, may_go_on=lambda: True)
    assert (told.connections, told.left_out, told.cut) == (MANY, {}, "")
    assert told.seconds >= 2 / 8
    assert len(sample) == MANY / 2


@pytest.mark.asyncio
async def test_it_ends_when_it_may_not_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_teller, "LOOK_S", 0.0)
    told, _ = await tell_all(SYNC, TABLE, may_go_on=for_so_many(3))
    assert (told.connections, told.cut) == (2 * sync_teller.BURST, NOT_TO_SEND)
    told, _ = await tell_all(SYNC, TABLE, may_go_on=for_so_many(8))  # in its second turn
    assert (told.connections, told.cut) == (MANY, "")


@pytest.mark.asyncio
async def test_it_ends_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_teller, "A_SECOND", MANY)
    monkeypatch.setattr(sync_teller, "TELL_S_MAX", 0.1)
    told, _ = await tell_all(SYNC, TABLE, may_go_on=lambda: True)
    assert told.cut == "it took longer than 0 s"
    assert told.connections == sync_teller.BURST


@pytest.mark.asyncio
async def test_without_ipvs_it_cannot_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sync_teller, "CONNECTIONS", tmp_path / "absent")
    with pytest.raises(FileNotFoundError):
        await tell_all(SYNC, TABLE, may_go_on=lambda: True)


@pytest.mark.parametrize(
    ("text", "ports"), [("21\n", {21}), ("21,2121,0,0\n", {21, 2121}), ("", set())]
)
def test_the_ports_of_the_ftp_helper(text: str, ports: set[int]) -> None:
    assert ftp_ports() == frozenset()
    sync_teller.FTP_PORTS.write_text(text)
    assert ftp_ports() == ports


def test_what_became_of_it_in_words() -> None:
    assert str(Told(connections=7, seconds=0.04, left_out={})) == "7 connections in 0.0 s"
