"""Who is at fault when connecting fails: the server, or this host?"""

import asyncio
import errno
import json
import os
import resource
import socket
import subprocess
import sys

import pytest

from checkers.base import ProbeError, Target
from checkers.dial import dial
from checkers.recording import Recording
from tests.checkers import servers
from tests.prerequisites import require


def test_no_descriptor_left_is_our_fault() -> None:
    async def main() -> None:
        recording = Recording()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            with pytest.raises(ProbeError, match=r"no socket: too many open files \(EMFILE\)"):
                await dial(Target(servers.LOOPBACK, 9), recording)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    asyncio.run(main())


def test_cancelling_leaves_no_descriptor(no_leak: None) -> None:
    async def main(target: Target) -> None:
        task = asyncio.create_task(dial(target, Recording()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with servers.full_backlog() as target:
        asyncio.run(main(target))


# Runs in a network namespace of its own, so that routes and neighbours are the test's to make.
IN_NAMESPACE = """
import asyncio, ipaddress, json, subprocess, sys
from pathlib import Path
from checkers.base import ProbeError, Target
from checkers.tcp import TcpOptions

def sh(line):
    subprocess.run(line.split(), check=True)

def probe(address, port=80, timeout_s=3.0):
    target = Target(ipaddress.ip_address(address), port)
    try:
        result = asyncio.run(TcpOptions().make_probe().probe(target, timeout_s))
    except ProbeError as error:
        return "ProbeError", str(error)
    return result.reason.value, result.sentence

found = {}
found["no route"] = probe("198.51.100.1")
found["no interface"] = probe("fe80::1%nosuch0")
sh("ip link set lo up")
# Only one port to connect from: connecting to it connects the socket to itself.
Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40000")
found["itself"] = probe("127.0.0.1", 40000)
Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 50000")
sh("ip link add v0 type veth peer name v1")
sh("ip link set v0 up"); sh("ip link set v1 up"); sh("ip address add 192.0.2.1/24 dev v0")
Path("/proc/sys/net/ipv4/neigh/v0/retrans_time_ms").write_text("20")
found["no neighbour"] = probe("192.0.2.9")
sh("ip route add prohibit 198.51.100.0/24")
found["prohibited"] = probe("198.51.100.1")
json.dump(found, sys.stdout)
"""


def test_routes_neighbours_and_ports() -> None:
    require("unshare", "ip", root=True)
    run = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", IN_NAMESPACE],
        check=True,
        capture_output=True,
        text=True,
        timeout=15,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    found = json.loads(run.stdout)
    assert found["no route"] == [
        "ProbeError",
        "no connection to 198.51.100.1:80: network is unreachable (ENETUNREACH)",
    ]
    assert found["no interface"] == [
        "ProbeError",
        "no interface nosuch0 for [fe80::1%nosuch0]:80",
    ]
    assert found["itself"][0] == "l4-refused"
    assert found["itself"][1].startswith("connection refused (connected to itself) (L4) after")
    assert found["no neighbour"][0] == "l4-unreachable"
    assert found["no neighbour"][1].startswith("no route to host (L4) after")
    assert found["prohibited"][0] == "ProbeError"
    assert errno.errorcode[errno.EACCES] in found["prohibited"][1]


def test_link_local_addresses_carry_their_interface() -> None:
    async def main(target: Target) -> None:
        with pytest.raises(ProbeError, match="no interface"):
            await dial(target, Recording())

    from ipaddress import ip_address

    asyncio.run(main(Target(ip_address("fe80::1%nosuch0"), 80)))
    assert Target(ip_address("fe80::1%eth0"), 80).host == "fe80::1"
    assert socket.has_ipv6
