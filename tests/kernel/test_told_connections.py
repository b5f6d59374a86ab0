"""A kernel that comes late is told of all connections of another one, silent ones included.

How it works: two namespaces with a link between them. In the first, clients connect through the
virtual address and say nothing more; no sync daemon of its kernel runs, so nobody has told of them.
Then the second kernel's daemon starts to receive, with an empty table, and our sender tells it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from hadirector import sync_teller
from hadirector.connection_sync import ConnectionSync
from hadirector.ipvs.connections import Connection, parse_connections
from hadirector.ipvs.control import SYNC_GROUP, SYNC_PORT
from hadirector.ipvs.model import Table
from hadirector.ipvs.syncproto import SyncRecord, decode
from hadirector.ipvs.table import KernelTable
from hadirector.lab.namespaces import inside
from hadirector.sync_ear import SyncEar, dropped
from hadirector.sync_teller import Told, tell_all
from tests.kernel.ipvs_namespace import fresh_network

LATE = "told-late"
CLIENT, CLIENT6 = "192.0.2.1", "2001:db8::1"
VIP, SERVER, ROUTED, VIP6, SERVER6 = (
    *("192.0.2.100", "192.0.2.21", "192.0.2.22"),
    *("2001:db8::100", "2001:db8::21"),
)
RULES = f"""\
-A -t {VIP}:80 -s rr -p 300
-a -t {VIP}:80 -r {SERVER}:8080 -m
-A -t {VIP}:81 -s rr
-a -t {VIP}:81 -r {ROUTED}:81 -g
-A -t [{VIP6}]:80 -s rr
-a -t [{VIP6}]:80 -r [{SERVER6}]:8080 -m
-A -u {VIP}:53 -s rr
-a -u {VIP}:53 -r {SERVER}:5353 -m
"""
SYNC = ConnectionSync(interface="sync0", sync_id=51)
EACH, BOUND_S = 20, 15.0
MANY = 5000


def run(command: str, *, where: str = "") -> str:
    argv = [*(("ip", "netns", "exec", where) if where else ()), *command.split()]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.fixture(autouse=True)
def two_kernels() -> Iterator[None]:
    with fresh_network():
        run(f"ip netns add {LATE}")
        try:
            for command in (
                f"link add sync0 up type veth peer name sync1 netns {LATE}",
                "address add 203.0.113.1/24 dev sync0",
                "address add fe80::51/64 dev sync0 nodad",
                *(f"address add {each}/24 dev lo" for each in (CLIENT, SERVER, ROUTED, VIP)),
                *(f"address add {each}/64 dev lo nodad" for each in (CLIENT6, SERVER6, VIP6)),
                f"-n {LATE} link set lo up",
                # Not its own one, which would hear nothing while it is looked for on the link.
                f"-n {LATE} link set sync1 addrgenmode none",
                f"-n {LATE} link set sync1 up",
                f"-n {LATE} address add fe80::52/64 dev sync1 nodad",
                f"-n {LATE} address add 203.0.113.2/24 dev sync1",
            ):
                run(f"ip {command}")
            for where in ((), ("ip", "netns", "exec", LATE)):
                subprocess.run([*where, "ipvsadm", "-R"], input=RULES, check=True, text=True)
            yield
        finally:
            run(f"ip netns del {LATE}")


def handshakes(stack: ExitStack) -> None:
    """Clients that connect and say nothing, and one datagram."""
    for vip, port, server, server_port in (
        (VIP, 80, SERVER, 8080),
        (VIP, 81, VIP, 81),  # what is routed keeps its address
        (VIP6, 80, SERVER6, 8080),
    ):
        family = socket.AF_INET6 if ":" in vip else socket.AF_INET
        address = (server, server_port)
        listener = stack.enter_context(socket.create_server(address, family=family, backlog=EACH))
        for _ in range(EACH):
            stack.enter_context(socket.create_connection((vip, port), timeout=5))
            stack.enter_context(listener.accept()[0])
    asker = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    asker.sendto(b"?", (VIP, 53))


def connections() -> list[Connection]:
    text = Path("/proc/thread-self/net/ip_vs_conn").read_text()
    return [one for one in parse_connections(text.splitlines()) if one is not None]


def late_connections() -> list[Connection]:
    with inside(LATE):
        return connections()


def until(true: Callable[[], bool]) -> None:
    bound = time.monotonic() + BOUND_S
    while not true() and time.monotonic() < bound:
        time.sleep(0.05)


async def tell(sync: ConnectionSync = SYNC) -> Told:
    kernel = KernelTable()
    table = await kernel.read()
    kernel.close()
    told, _ = await tell_all(sync, table, may_go_on=lambda: True)
    return told


def test_a_late_kernel_holds_all_that_is_silent() -> None:
    with ExitStack() as stack:
        handshakes(stack)
        here = {str(one.client) + str(one.virtual): one for one in connections()}
        assert len(here) == 3 * EACH + 2  # the datagram, and what persistence keeps of the client
        run("ipvsadm --start-daemon backup --mcast-interface sync1 --syncid 51", where=LATE)
        assert not late_connections()
        own = stack.enter_context(joined())
        ear = stack.enter_context(closing(SyncEar("sync0", SYNC_GROUP, SYNC_PORT)))
        told = asyncio.run(tell())
        assert (told.connections, told.left_out, told.cut) == (len(here), {}, "")
        until(lambda: len(late_connections()) == len(here))
        there = {str(one.client) + str(one.virtual): one for one in late_connections()}
        assert there.keys() == here.keys()
        for key, one in there.items():
            # Of one that serves the address itself, the kernel writes the address for the server.
            assert one.server == here[key].server
            assert one.state == here[key].state
            assert here[key].expires_s - BOUND_S <= one.expires_s <= max(here[key].expires_s, 300)
        table = run("ipvsadm -L -n", where=LATE)
        for server in (f"{SERVER}:8080", f"{ROUTED}:81", f"[{SERVER6}]:8080"):
            [line] = [each.split() for each in table.splitlines() if f"-> {server} " in each]
            assert line[-2:] == [str(EACH), "0"], table
        records = list(heard(ear))
        assert len(records) == 2 * len(here)
        assert {record.state_name for record in records if not record.is_template} == {
            "established",
            "normal",
        }
        with pytest.raises(BlockingIOError):  # a kernel that receives as well is not told by itself
            own.recv(1)


def joined() -> socket.socket:
    """A socket of this host that receives the group, as its own kernel's would."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    sock.bind((str(SYNC_GROUP), SYNC_PORT))
    index = socket.if_nametoindex("sync0")
    group = struct.pack("=4s4si", SYNC_GROUP.packed, bytes(4), index)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    return sock


def heard(ear: SyncEar) -> Iterator[SyncRecord]:
    while (found := ear.hear(0.5)) is not None:
        datagram, own = found
        assert own
        message = decode(datagram.payload)
        assert (message.version, message.sync_id) == (1, SYNC.sync_id)
        yield from message.records


@pytest.mark.parametrize("group", [str(SYNC_GROUP), "ff02::81"])
def test_thousands_are_told_and_none_is_lost(
    group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "TCP 0A00{:04X} ABCD C0000264 0051 C0000216 0051 ESTABLISHED 899\n"
    made_up = tmp_path / "connections"
    made_up.write_text("Pro FromIP\n" + "".join(line.format(each) for each in range(MANY)))
    monkeypatch.setattr(sync_teller, "CONNECTIONS", made_up)
    start = f"--start-daemon backup --mcast-interface sync1 --syncid 51 --mcast-group {group}"
    run(f"ipvsadm {start}", where=LATE)
    told = asyncio.run(tell(replace(SYNC, group=ip_address(group))))
    assert (told.connections, told.left_out, told.cut) == (MANY, {}, "")
    assert told.seconds >= 2 * (MANY - sync_teller.BURST) / sync_teller.A_SECOND
    until(lambda: len(late_connections()) == MANY)
    with inside(LATE):
        assert dropped(SYNC_PORT) == 0
    assert len(late_connections()) == MANY


def test_every_kind_of_line_becomes_the_same_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = f"""\
-A -f 7 -s rr -p 60
-a -f 7 -r {ROUTED}:0 -g
-A --sctp-service {VIP}:2905 -s rr
-a --sctp-service {VIP}:2905 -r {SERVER}:2906 -m
"""
    for where in ((), ("ip", "netns", "exec", LATE)):
        subprocess.run([*where, "ipvsadm", "-R"], input=rules, check=True, text=True)
    lines = (
        "TCP 0A000001 ABCD C0000264 0050 C0000215 1F90 FIN_WAIT        50",
        "TCP 0A000002 ABCD C0000264 0051 C0000216 0051 CLOSE_WAIT      40",
        "TCP 0A000003 0000 C0000264 0050 C0000215 1F90 ASSURED         30",
        "SCTP 0A000004 ABCD C0000264 0B59 C0000215 0B5A ESTABLISHED    20",
        "TCP 0A000005 ABCD C0000265 0050 C0000216 0050 ESTABLISHED    800",
        "IP  0A000005 0000 00000007 0000 C0000216 0000 NONE            20",
        "TCP 0A000006 ABCD C0000264 0051 C0000216 0051 SYN_RECV        59",
        "TCP 0A000007 ABCD C0000264 0051 C0000217 0051 ESTABLISHED    899",
    )
    made_up = tmp_path / "connections"
    made_up.write_text("".join(f"{line}\n" for line in lines))
    monkeypatch.setattr(sync_teller, "CONNECTIONS", made_up)
    run("ipvsadm --start-daemon backup --mcast-interface sync1 --syncid 51", where=LATE)
    told = asyncio.run(tell())
    assert (told.connections, told.left_out) == (6, {"not in the table": 1})
    until(lambda: len(late_connections()) == 6)
    given = [one for one in parse_connections(lines[:6]) if one is not None]
    expires = {str(one.client): one.expires_s for one in given if not one.is_template}
    there = late_connections()
    assert {replace(one, expires_s=0) for one in there} == {
        replace(one, expires_s=0) for one in given
    }
    for one in there:
        most = expires.get(str(one.client), 300 if one.protocol == "TCP" else 60)
        assert most - BOUND_S <= one.expires_s <= most
    table = run("ipvsadm -L -n", where=LATE).splitlines()
    routed = [each.split()[-2:] for each in table if f"-> {ROUTED}:" in each]
    # Of the service by mark, and of port 81: one is active there, one is closing here.
    assert sorted(routed) == [["0", "1"], ["1", "0"]], table


def test_an_interface_that_is_not_there_is_an_error_and_a_stop_is_one_at_once() -> None:
    absent = ConnectionSync(interface="absent", sync_id=51)
    with pytest.raises(OSError, match="no interface with this name"):
        asyncio.run(tell_all(absent, Table(), may_go_on=lambda: True))
    with ExitStack() as stack:
        handshakes(stack)
        told, _ = asyncio.run(tell_all(SYNC, Table(), may_go_on=lambda: False))
    assert (told.connections, told.cut) == (0, "this director is not to send any more")
