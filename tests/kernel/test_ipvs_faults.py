"""What comes between us and the kernel: lost, late, damaged and unwilling answers.

How it works: the socket to the kernel is real, and so is the work; only what is received from it is
spoilt, at chosen answers. Whatever the fault, it is told with the object it belongs to, the socket
is replaced, and the next turn finds out by reading what was done and does the rest.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hadirector.ipvs import netlink
from hadirector.ipvs.attributes import Command
from hadirector.ipvs.dataplane import DataplaneError, DataplaneUnsureError
from hadirector.ipvs.table import KernelTable
from hadirector.journal import Journal
from hadirector.pool import Pool, desired_table, everything_up
from hadirector.reconciler import Reconciler
from tests.hadirector.config.samples import HEAD, config_of
from tests.kernel.ipvs_namespace import fresh_network

SERVERS = 300  # three batches
Fault = Callable[[bytes], bytes]


def overrun(data: bytes) -> bytes:
    raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))


def silence(data: bytes) -> bytes:
    raise BlockingIOError


def damage(data: bytes) -> bytes:
    return data[:-2]


def refusal(data: bytes) -> bytes:
    """In place of the answer an NLMSG_ERROR to the same request (linux/netlink.h)."""
    sequence, port = struct.unpack_from("=II", data, 8)
    return struct.pack("=IHHIIi16x", 36, 2, 0, sequence, port, -errno.EBUSY)


class SpoiltSocket(socket.socket):
    """A netlink socket whose answers number `first` and on are spoilt, as many as told."""

    fault: Fault
    first = 0
    count = 1
    answers = 0

    def recvfrom_into(self, buffer: Any, *args: Any) -> tuple[int, Any]:
        size, sender = super().recvfrom_into(buffer, *args)
        kind = type(self)
        kind.answers += 1
        if kind.first <= kind.answers < kind.first + kind.count:
            data = kind.fault(bytes(buffer[:size]))
            buffer[: len(data)] = data
            size = len(data)
        return size, sender


class Spoiler:
    """Spoils answers of the sockets that are opened from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        connect = netlink._connect
        self._kind: type[SpoiltSocket] = SpoiltSocket
        self.sockets = 0

        def connect_spoilt() -> socket.socket:
            self.sockets += 1
            return self._kind(fileno=connect().detach())

        monkeypatch.setattr(netlink, "_connect", connect_spoilt)

    def spoil(self, fault: Fault, *, first: int, count: int = 1) -> None:
        namespace = {"fault": staticmethod(fault), "first": first, "count": count, "answers": 0}
        self._kind = type("Spoilt", (SpoiltSocket,), namespace)


@pytest.fixture
def pools(tmp_path: Path) -> list[Pool]:
    servers = ", ".join(f"198.51.{100 + n // 250}.{n % 250 + 1}:80" for n in range(SERVERS))
    text = f"  - {{name: web, listen: 'tcp://192.0.2.100:80', forward: nat, servers: [{servers}]}}"
    return [
        everything_up(each) for each in config_of(tmp_path, f"{HEAD}services:\n{text}").services
    ]


@pytest.fixture
def kernel() -> Iterator[KernelTable]:
    with fresh_network(), closing(KernelTable(timeout_s=0.3)) as table:
        yield table


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (overrun, "netlink socket of IPVS: [Errno 105] No buffer space available"),
        (silence, "no answer from IPVS in 0.3 s"),
        (damage, "netlink socket of IPVS: a netlink message of 36 bytes does not fit"),
    ],
    ids=["overrun", "silence", "damage"],
)
async def test_the_next_turn_finds_what_was_done_and_does_the_rest(
    kernel: KernelTable,
    pools: list[Pool],
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    words: str,
) -> None:
    spoiler = Spoiler(monkeypatch)
    # Answers: the family's number, the empty dump of services, and one for each batch.
    spoiler.spoil(fault, first=4)
    reconciler = Reconciler(kernel, Journal(None))
    with pytest.raises(DataplaneUnsureError) as lost:
        await reconciler.turn("start", pools)
    assert str(lost.value).startswith(words)
    # Of the first batch one step is the service itself.
    assert "; not known to be done: add server 198.51.100.128:80" in str(lost.value)
    assert str(lost.value).endswith(" and 127 more")
    assert spoiler.sockets == 1
    turn = await reconciler.turn("retry", pools)
    assert spoiler.sockets == 2
    assert len(turn.steps) == SERVERS + 1 - 2 * netlink.BATCH_MAX
    assert (turn.failures, turn.drift) == ((), ())
    assert await kernel.read() == desired_table(pools)
    assert (await reconciler.turn("audit", pools)).steps == ()


@pytest.mark.asyncio
async def test_a_refused_reading_is_told_by_name_and_object(
    kernel: KernelTable, pools: list[Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    reconciler = Reconciler(kernel, Journal(None))
    await reconciler.turn("start", pools)
    kernel.close()
    spoiler = Spoiler(monkeypatch)
    spoilt: list[bytes] = []

    def refuse_servers_once(data: bytes) -> bytes:
        if spoilt or data[16] != Command.NEW_DEST:
            return data
        spoilt.append(data)
        return refusal(data)

    spoiler.spoil(refuse_servers_once, first=1, count=1000)
    with pytest.raises(DataplaneError) as refused:
        await kernel.read()
    assert str(refused.value) == (
        "the kernel refuses to show the servers of tcp 192.0.2.100:80: "
        "EBUSY, device or resource busy"
    )
    assert await kernel.read() == desired_table(pools)
