"""Connection sync in the director process: from a report of the VRRP worker to the daemons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hadirector import messages
from hadirector.ipvs.control import SyncRole
from tests.hadirector.test_director import REPORT, Daemon, daemon, listening, port_of
from vrrp import messages as vrrp_messages
from vrrp.events import State

SYNC = "connection_sync: {interface: ens9, nodes: {lb1: {interface: eth1}}, on_stop: stop}\n"


def reports(one: Daemon, state: State) -> None:
    """The VRRP worker reports a state."""
    report = replace(REPORT, state=state)
    one.says(messages.FromVrrp(vrrp_messages.encode(report).decode()))


@pytest.mark.asyncio
async def test_the_daemons_follow_the_role_and_end_with_their_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hadirector.config.loader.SETTINGS", {})  # this host's are none of ours
    async with listening() as server, daemon(tmp_path, [port_of(server)]) as one:
        plain = one.file.read_text()
        await one.hears(messages.Ready)
        assert (await one.asked("/status"))["sync"] is None
        one.file.write_text(plain + SYNC)
        assert (await one.asked("/reload", "POST"))["accepted"]
        reports(one, State.BACKUP)
        status = await one.until(lambda status: status["sync"]["duty"] == "backup")
        assert set(one.kernel.running) == {SyncRole.BACKUP}
        assert "on eth1, id 51" in status["sync"]["running"][0]  # as this director calls it
        assert status["sync"]["interface"] == "eth1"
        reports(one, State.ACTIVE)
        await one.until(lambda status: status["sync"]["duty"] == "active")
        assert set(one.kernel.running) == {SyncRole.ACTIVE}
        one.says(messages.Processes({"vrrp": {"pid": None, "restarts": 1, "since": 0.0}}))
        await one.until(lambda status: status["sync"]["duty"] is None)
        assert set(one.kernel.running) == {SyncRole.ACTIVE}  # nobody knows better
        one.file.write_text(plain)
        await one.asked("/reload", "POST")
        await one.until(lambda status: status["sync"] is None)
        assert not one.kernel.running


@pytest.mark.asyncio
async def test_what_cannot_be_started_is_trouble_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hadirector.config.loader.SETTINGS", {})
    async with listening() as server, daemon(tmp_path, [port_of(server)]) as one:
        one.kernel.refuse = "ENODEV, there is no such interface"
        one.file.write_text(one.file.read_text() + SYNC)
        await one.asked("/reload", "POST")
        reports(one, State.BACKUP)
        status = await one.until(lambda status: bool(status["trouble"]))
        assert "connection sync: ENODEV" in status["trouble"][0]
        await one.until(lambda _: one.weights() == {f"127.0.0.1:{port_of(server)}": 1})
        one.kernel.refuse = ""
        await one.until(lambda status: not status["trouble"])  # the audit tries again
        assert set(one.kernel.running) == {SyncRole.BACKUP}
