"""Two director processes that know of each other: what each shows of the other."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from hadirector.peer import compare
from tests.hadirector.peer.pair import both, reports
from tests.hadirector.test_director import Status, listening, port_of
from vrrp.events import State


def shows(role: str, status: Status) -> bool:
    """Whether a status has the peer in a role, and all that it says of its servers."""
    peer = status["peer"]
    roles = {name: router["state"] for name, router in peer["routers"].items()}
    return roles == {"front": role} and bool(peer["health"] == {"up": 2, "down": 0})


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
