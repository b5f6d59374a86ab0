"""Two director processes of one pair, in this process, with a real channel between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hadirector import messages
from hadirector.ipvs.memory import MemoryTable
from hadirector.peer.material import make, utc_now
from tests.hadirector.pair import write_pair
from tests.hadirector.test_director import Daemon
from vrrp import messages as vrrp_messages
from vrrp.events import State

SECTION = """\
peer:
  port: {port}
  addresses: {{lb1: 127.0.0.1, lb2: 127.0.0.2}}
  certificate: {directory}/{{node}}.pem
  key: {directory}/{{node}}.key
  ca: {directory}/ca.pem
"""
PRIORITY = {"lb1": 254, "lb2": 253}
ADDRESS = {"lb1": "192.0.2.11", "lb2": "192.0.2.12"}


@asynccontextmanager
async def both(
    directory: Path, ports: list[int], *, port: int, dials: int | None = None, more: str = ""
) -> AsyncIterator[dict[str, Daemon]]:
    """Both directors, from start to end; `more` goes into their file.

    `dials`: the port that lb1 dials, where it is not the one that lb2 listens at.
    """
    make(PRIORITY, directory / "peer", now=utc_now())
    pair = {}
    for node in PRIORITY:
        home = directory / node
        home.mkdir()
        file = write_pair(home / "pair.yaml", ports)
        knows = (dials or port) if node == "lb1" else port
        section = SECTION.format(port=knows, directory=directory / "peer")
        file.write_text(file.read_text() + section + more)
        pair[node] = Daemon(home, MemoryTable(), node=node)
    for one in pair.values():
        await one.start()
    try:
        yield pair
    finally:
        for one in pair.values():
            await one.stop()


def reports(
    one: Daemon, state: State, *, priority: int | None = None, hears: str = "", deaf: bool = False
) -> None:
    """The VRRP worker of a director reports a state of the virtual router.

    A backup hears the other director, or whoever `hears` says; a `deaf` one hears nobody.
    """
    address = "192.0.2.100/24"
    other = next(name for name in PRIORITY if name != one.node)
    report = vrrp_messages.RouterReport(
        name="front",
        vrid=51,
        interface="eth0",
        group=None,
        state=state,
        priority=priority or PRIORITY[one.node],
        since=1.0,
        reason="so it is told",
        active_peer=(hears or ADDRESS[other]) if state is State.BACKUP and not deaf else None,
        addresses=(address,),
        held=(address,) if state is State.ACTIVE else (),
        counters={},
    )
    one.says(messages.FromVrrp(vrrp_messages.encode(report).decode()))
