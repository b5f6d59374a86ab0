"""Two director processes that know of each other: what each shows of the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from hadirector import limits, messages, sync_teller
from hadirector.peer import compare, connections, link, policies
from tests.hadirector.peer.pair import both, reports
from tests.hadirector.test_director import Daemon, Status, listening, port_of
from vrrp import messages as vrrp_messages
from vrrp.events import State


def shows(role: str, status: Status) -> bool:
    """Whether a status has the peer in a role, and all that it says of its servers."""
    peer = status["peer"]
    return shown(peer, role) and bool(peer["health"] == {"up": 2, "down": 0})


def shown(peer: Status, role: str) -> bool:
    """Whether the peer is shown in a role."""
    return {name: one["state"] for name, one in peer["routers"].items()} == {"front": role}


@pytest.mark.asyncio
async def test_each_shows_the_other_its_file_its_servers_and_its_absence(
    tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "DISAGREE_S", 0.0)
    async with listening() as server, listening() as other:
        ports = [port_of(server), port_of(other)]
        async with both(tmp_path, ports, port=unused_tcp_port) as pair:
            lb1, lb2 = pair["lb1"], pair["lb2"]
            reports(lb1, State.ACTIVE)
            reports(lb2, State.BACKUP)
            for one, peer, role in ((lb1, "lb2", "backup"), (lb2, "lb1", "active")):
                status = await one.until(partial(shows, role))
                assert status["peer"]["connected"]
                assert status["peer"]["sentence"].startswith(f"{peer}: front {role}, the same file")
                assert not status["trouble"]

            for one in pair.values():
                text = one.file.read_text().replace("rise: 1", "rise: 2")
                one.file.write_text(text)
            await lb2.asked("/reload", "POST")
            told = "lb2 runs another configuration"
            await lb1.until(lambda status: any(t.startswith(told) for t in status["trouble"]))
            await lb1.asked("/reload", "POST")
            await lb1.until(lambda status: status["peer"]["same_file"])
            explained = await lb1.asked("/explain?what=peer")
            assert explained["kind"] == "peer"
            assert "this one dials" in explained["because"][1]

            await lb2.stop()
            status = await lb1.until(lambda status: not status["peer"]["connected"])
            assert status["trouble"] == [
                "lb2 is not heard on the peer channel: lb2 has left: it stops"
            ]
            assert any("lb2 has left" in sentence for sentence in await lb1.sentences())
            await lb2.start()
            await lb1.until(lambda status: status["peer"]["connected"])


async def told_to_vrrp(one: Daemon, true: Callable[[vrrp_messages.Guidance], object]) -> None:
    """Wait until the VRRP worker of a director is told something."""
    while True:
        message = await one.hears(messages.ToVrrp)
        assert isinstance(message, messages.ToVrrp)
        guidance = vrrp_messages.decode(message.line.encode())
        if isinstance(guidance, vrrp_messages.Guidance) and true(guidance):
            return


@pytest.mark.asyncio
async def test_of_two_active_directors_the_lower_is_barred_and_both_say_so(
    tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "SPLIT_S", 0.2)
    async with listening() as server, both(tmp_path, [port_of(server)], port=unused_tcp_port) as p:
        lb1, lb2 = p["lb1"], p["lb2"]
        for one in p.values():
            reports(one, State.ACTIVE)
        await told_to_vrrp(lb2, lambda guidance: "front" in guidance.bars)
        await lb2.until(lambda s: any("front yields: split brain" in t for t in s["trouble"]))
        await lb1.until(lambda s: any("lb2 is active as well" in t for t in s["trouble"]))
        reports(lb2, State.BACKUP)  # as the bar has it; and now it hears lb1 again
        await told_to_vrrp(lb2, lambda guidance: not guidance.bars)
        await lb2.until(lambda status: not status["trouble"])
        assert any("takes part again" in sentence for sentence in await lb2.sentences())


@pytest.mark.asyncio
async def test_who_stays_after_a_split_announces_on_hearing_it_and_not_at_the_next_moment(
    tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No moment comes round here, so whatever is done is done because something was heard."""
    monkeypatch.setattr(limits, "PEER_STATE_EVERY_S", 3600.0)
    monkeypatch.setattr(limits, "PEER_STATE_SPACING_S", 0.0)  # every word is looked at by itself
    monkeypatch.setattr(link, "SILENCE_S", 3600.0)
    monkeypatch.setattr(policies, "SHARED_S", 1e-6)  # not 0: the next look is not the same one
    port, more = unused_tcp_port, "audit: 1h\n"
    async with listening() as server, both(tmp_path, [port_of(server)], port=port, more=more) as p:
        lb1, lb2 = p["lb1"], p["lb2"]
        for one in p.values():
            await one.hears(messages.Ready)
        for _ in range(2):
            reports(lb1, State.ACTIVE)
            reports(lb2, State.ACTIVE)
            await lb1.until(lambda status: shown(status["peer"], "active"))
            await lb2.until(lambda status: shown(status["peer"], "active"))
            reports(lb2, State.BACKUP)
            told = await reannounced(lb1)
            assert told.routers == ("front",)
            assert told.reason == "lb2 was active as well, and has stepped back"
        sentences = await lb1.sentences()
        assert sum("the neighbors are told again" in sentence for sentence in sentences) == 2
        assert not any("told again" in sentence for sentence in await lb2.sentences())


async def reannounced(one: Daemon) -> vrrp_messages.Reannounce:
    """Wait until the VRRP worker of a director is to announce its addresses again."""
    while True:
        message = await one.hears(messages.ToVrrp)
        assert isinstance(message, messages.ToVrrp)
        told = vrrp_messages.decode(message.line.encode())
        if isinstance(told, vrrp_messages.Reannounce):
            return told


@pytest.mark.asyncio
async def test_a_pause_is_loud_writes_nothing_and_lasts_over_a_restart(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    async with listening() as server, both(tmp_path, [port_of(server)], port=unused_tcp_port) as p:
        lb1, lb2 = p["lb1"], p["lb2"]
        await lb1.hears(messages.Ready)
        assert (await lb1.asked("/pause", "POST"))["done"]
        writes = lb1.table.writes
        await lb2.until(lambda status: status["peer"]["paused"])
        refused = await lb2.asked("/switchover?to=lb1", "POST")
        assert not refused["done"]
        server.close()
        await lb1.until(lambda status: status["services"][0]["up"] == 0)
        status = await lb1.asked("/status")
        assert status["trouble"][0].startswith("PAUSED by root for 0 min: nothing is written")
        await lb1.stop()
        await lb1.start()
        await lb1.hears(messages.Ready)
        assert lb1.table.writes == writes
        assert (await lb1.asked("/resume", "POST"))["done"]
        await lb1.until(lambda status: not status["trouble"])
        await lb1.until(lambda _: lb1.weights() == {"127.0.0.1:9": 1})


@pytest.mark.asyncio
async def test_a_switchover_can_be_planned_and_cancelled(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    async with listening() as server, both(tmp_path, [port_of(server)], port=unused_tcp_port) as p:
        lb1 = p["lb1"]
        await lb1.until(lambda status: status["peer"]["connected"])
        at = time.time() + 3600
        assert (await lb1.asked(f"/switchover?at={at:.3f}", "POST"))["done"]
        assert (await lb1.asked("/status"))["peer"]["planned"]["at"] == pytest.approx(at, abs=0.01)
        at += 60
        replaced = await lb1.asked(f"/switchover?at={at:.3f}", "POST")
        assert "instead of the one for" in replaced["sentence"]
        assert (await lb1.asked("/status"))["peer"]["planned"]["at"] == pytest.approx(at, abs=0.01)
        assert (await lb1.asked("/switchover/cancel", "POST"))["done"]
        assert not (await lb1.asked("/switchover/cancel", "POST"))["done"]
        assert not (await lb1.asked("/switchover?at=1", "POST"))["done"]
        assert not (await lb1.asked(f"/switchover?to=lb9&at={at:.3f}", "POST"))["done"]
        soon = time.time() + 0.2
        assert (await lb1.asked(f"/switchover?at={soon:.3f}", "POST"))["done"]
        async with asyncio.timeout(10):
            while True:
                told = next((s for s in await lb1.sentences() if "planned switchover:" in s), "")
                if told:
                    break
                await asyncio.sleep(0.05)
        assert "no virtual router is known of" in told


@pytest.mark.asyncio
async def test_a_director_that_comes_back_is_told_of_all_connections_and_both_say_so(
    tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = tmp_path / "ip_vs_conn"
    monkeypatch.setattr(sync_teller, "CONNECTIONS", kernel)
    monkeypatch.setattr(connections, "CONNECTIONS", kernel)  # what was told has landed
    sync = "connection_sync: {interface: lo, warm_up: 60s}\n"
    async with listening() as server:
        port = port_of(server)
        line = f"TCP C0000201 ABC{{}} C0000264 0050 7F000001 {port:04X} {{}} 899\n"
        states = ["ESTABLISHED", "ESTABLISHED", "SYN_RECV"]
        kernel.write_text("".join(map(line.format, range(3), states)))
        async with both(tmp_path, [port], port=unused_tcp_port, more=sync) as pair:
            lb1, lb2 = pair["lb1"], pair["lb2"]
            reports(lb2, State.ACTIVE)
            await lb2.hears(messages.Ready)
            reports(lb1, State.BACKUP)
            await lb1.hears(messages.Ready)
            learned = "the peer told of 2 connections; 2 of 2 looked for are held"
            assert learned in await lb1.sentences()
            assert (await lb1.asked("/status"))["peer"]["learned_connections"] == learned
            told = (await lb2.asked("/status"))["peer"]["told_connections"]
            assert (told["connections"], told["left_out"], told["cut"]) == (2, {}, None)
            assert told["sentence"].startswith("told lb1 of 2 connections in 0.")
            assert told["sentence"] in (await lb2.asked("/explain?what=peer"))["because"]
            assert told["sentence"] in await lb2.sentences()

            # Were there too few later on, it would ask again; and is refused, so soon.
            monkeypatch.setattr(policies, "THIN_S", 0.0)
            monkeypatch.setattr(policies, "is_warm", lambda *_: False)
            refused = "not told of all connections: it has just told: again in "
            await lb1.until(
                lambda status: (status["peer"]["learned_connections"] or "").startswith(refused)
            )
            assert "0 connections here, 0 there: the peer is asked to tell of all" in (
                await lb1.sentences()
            )
