"""What the kernel's sync daemon sends is read, and agrees with the kernel's own connections.

How it works: one namespace whose loopback interface has virtual addresses, servers and clients; its
sync daemon sends into a veth pair, where our ear and a second packet socket listen. With
SYNC_CAPTURE set, what was sent is written to that file: that is how the capture of
tests/hadirector/ipvs/test_syncproto.py is made.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from hadirector.cli.main import main
from hadirector.ipvs.connections import Connection, parse_connections
from hadirector.ipvs.control import SYNC_GROUP
from hadirector.ipvs.syncproto import decode
from hadirector.ipvs.synctally import Tally, coverage, datagram_of
from hadirector.sync_ear import SyncEar, dropped
from tests.kernel.ipvs_namespace import fresh_network

VIP, SERVER, VIP6, SERVER6 = "192.0.2.100", "192.0.2.21", "2001:db8::100", "2001:db8::21"
RULES = f"""\
-A -t {VIP}:80 -s wrr -p 300
-a -t {VIP}:80 -r {SERVER}:8080 -m
-A -t [{VIP6}]:80 -s rr
-a -t [{VIP6}]:80 -r [{SERVER6}]:8080 -m
-A -u {VIP}:5060 -s rr -p 60 --pe sip
-a -u {VIP}:5060 -r {SERVER}:5061 -m
"""
CALL = b"REGISTER sip:x SIP/2.0\r\nCall-ID: a84b4c76e66710@192.0.2.1\r\nContent-Length: 0\r\n\r\n"
SETTINGS = Path("/proc/sys/net/ipv4/vs")
ETH_P_ALL = 0x0003
COMING = f"""
import select, socket, sys
kept = []
while len(kept) < 100 and not select.select([sys.stdin], [], [], 0.2)[0]:
    kept.append(socket.create_connection(("{VIP}", 80), timeout=5))
"""
"""Clients, one after the other, until its input ends."""


@pytest.fixture(autouse=True)
def director() -> Iterator[None]:
    with fresh_network():
        for command in (
            "link add sync0 up type veth peer name sync1",
            "link set sync1 up",
            "address add 203.0.113.1/24 dev sync0",
            *(f"address add {each}/24 dev lo" for each in ("192.0.2.1", SERVER, VIP)),
            *(f"address add {each}/64 dev lo nodad" for each in (SERVER6, VIP6)),
        ):
            subprocess.run(["ip", *command.split()], check=True)
        subprocess.run(["ipvsadm", "-R"], input=RULES, check=True, text=True)
        for name, value in (("sync_threshold", "0 0"), ("sync_refresh_period", "10")):
            (SETTINGS / name).write_text(value)
        start = "--start-daemon master --mcast-interface sync0 --syncid 51"
        subprocess.run(["ipvsadm", *start.split()], check=True)
        yield


def traffic(stack: ExitStack) -> None:
    """Clients connect through every service, and stay."""
    for server, vip in ((SERVER, VIP), (SERVER6, VIP6)):
        family = socket.AF_INET6 if ":" in vip else socket.AF_INET
        listener = stack.enter_context(socket.create_server((server, 8080), family=family))
        for _ in range(3):
            client = stack.enter_context(socket.create_connection((vip, 80), timeout=5))
            stack.enter_context(listener.accept()[0])
            client.sendall(b"x")
    phone = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    phone.sendto(CALL, (VIP, 5060))


def connections() -> list[Connection]:
    text = Path("/proc/thread-self/net/ip_vs_conn").read_text()
    return [one for one in parse_connections(text.splitlines()) if one is not None]


def captured(packets: socket.socket, *, until_bound_s: float = 8.0) -> list[bytes]:
    """The sync packets of the next moments: until all connections were told of."""
    found: list[bytes] = []
    wanted, bound = {str(one.client) for one in connections()}, time.monotonic() + until_bound_s
    while wanted:
        packets.settimeout(max(0.01, bound - time.monotonic()))
        packet = packets.recv(65535)
        datagram = datagram_of(packet)
        if datagram is not None and datagram.port == 8848:
            found.append(packet)
            wanted -= {str(one.client) for one in decode(datagram.payload).records}
    return found


def packet_socket() -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    sock.bind(("sync0", ETH_P_ALL))
    return sock


def test_records_are_the_kernels_connections() -> None:
    packets: list[bytes] = []
    with closing(packet_socket()) as ear, ExitStack() as stack:
        traffic(stack)
        packets += captured(ear)
        told = {
            (str(one.client), str(one.virtual), str(one.server), one.state_name)
            for packet in packets
            for one in decode(packet[28:]).records
            if not one.options.engine and not one.is_template
        }
        kernel = {
            (str(one.client), str(one.virtual), str(one.server), one.state.lower())
            for one in connections()
            if not one.is_template and not one.engine
        }
        assert {each for each in told if each[3] == "established"} >= {
            each for each in kernel if each[3] == "established"
        }
        assert any(one.options.engine == b"sip" for p in packets for one in decode(p[28:]).records)
        (SETTINGS / "sync_version").write_text("0")
        with socket.create_connection((VIP, 80), timeout=5):
            bound = time.monotonic() + 8
            while decode(packets[-1][28:]).version != 0:
                assert time.monotonic() < bound
                ear.settimeout(8)
                packet = ear.recv(65535)
                if (found := datagram_of(packet)) is not None and found.port == 8848:
                    packets.append(packet)
    if path := os.environ.get("SYNC_CAPTURE"):
        head = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
        frames = [struct.pack("=IIII", i, 0, len(p), len(p)) + p for i, p in enumerate(packets)]
        Path(path).write_bytes(head + b"".join(frames))


def test_the_ear_hears_the_own_kernel_and_nothing_else() -> None:
    tally = Tally(sync_id=51, now=time.monotonic())
    with closing(SyncEar("sync0", SYNC_GROUP, 8848)) as ear, ExitStack() as stack:
        traffic(stack)
        noise = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        noise.sendto(b"x", ("203.0.113.9", 8849))
        noise.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("203.0.113.1"))
        noise.sendto(b"forged", (str(SYNC_GROUP), 8848))
        bound = time.monotonic() + 8
        while coverage(tally, connections())[1].share != 1.0:
            assert time.monotonic() < bound
            if (heard := ear.hear(1.0)) is not None:
                tally.hear(heard[0], time.monotonic(), own=heard[1])
    [sender] = tally.senders.values()
    assert sender.own
    assert (sender.ids, sender.versions) == ({51}, {1})
    assert sum(sender.wrong.values()) == 1
    assert set(tally.services) >= {("tcp", f"{VIP}:80"), ("tcp", f"[{VIP6}]:80")}
    assert dropped(8848) == 0


def test_watch_and_status_as_people_run_them(capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as stack:
        traffic(stack)
        assert main(["sync", "watch", "--seconds", "4", "--every", "3", "--json"]) == 0
        *_, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        [sender] = last["senders"]
        assert (sender["ids"], sender["versions"], sender["own"]) == ([51], [1], True)
        assert f"{VIP}:80" in {service["address"] for service in last["services"]}
        with subprocess.Popen([sys.executable, "-c", COMING], stdin=subprocess.PIPE) as clients:
            assert main(["sync", "status", "--seconds", "7", "--json"]) == 0
            clients.communicate(timeout=10)
        document = json.loads(capsys.readouterr().out)
        assert document["daemons"][0].startswith("active sync daemon on sync0, id 51")
        assert document["told_of_held"]["of"] >= 6
        lag = document["told_after_s"]
        assert lag["connections"] > 0, lag
        assert 0 < lag["median"] <= lag["most"] < 7, lag
    assert main(["sync", "watch", "absent", "--seconds", "1"]) == 3
    assert "there is no interface absent" in capsys.readouterr().err
    subprocess.run(["ipvsadm", "--stop-daemon", "master"], check=True)
    assert main(["sync", "status"]) == 3
    assert "no sync daemon runs here" in capsys.readouterr().err
