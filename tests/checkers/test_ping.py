"""The check `ping`, over ping sockets and raw ones."""

import asyncio
import os
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers import limits
from checkers.base import OptionError, ProbeError, Reason, Result, Target
from checkers.ping import PingOptions, checksum, echo_request, is_reply
from tests.prerequisites import require

TOKEN = bytes(range(16))
NUMBER = b"\0\1\2\3"


def probe(address: str, options: PingOptions = PingOptions()) -> Result:  # noqa: B008
    target = Target(ip_address(address), 80)
    return asyncio.run(options.make_probe().probe(target, 0.5, keep_transcript=True))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("size", [16, 17, 56, 1452])
def test_a_host_that_is_there_answers(address: str, size: int, no_leak: None) -> None:
    require(root=True)
    result = probe(address, PingOptions(size=size))
    assert result.sentence.startswith("answered in ")
    assert len(result.transcript) >= 2


PROGRAM = """
import asyncio, sys
from ipaddress import ip_address
from pathlib import Path
from checkers.base import Target
from checkers.ping import PingOptions
Path("/proc/sys/net/ipv4/ping_group_range").write_text(sys.argv[2])
if len(sys.argv) > 3:
    import socket
    from checkers import ping, socket_filter
    attached = socket_filter.attach
    def attach_in_a_flood(to, program):
        attached(to, program)
        protocol = to.proto
        with socket.socket(to.family, socket.SOCK_RAW, protocol) as other:
            for number in range(int(sys.argv[3])):
                foreign = ping.echo_request(number.to_bytes(4), bytes(56), is_v4=protocol == 1)
                other.sendto(foreign, (sys.argv[1], 0))
    socket_filter.attach = attach_in_a_flood
async def main():
    target = Target(ip_address(sys.argv[1]), 0)
    return await PingOptions().make_probe().probe(target, 0.5)
result = asyncio.run(main())
print(result.reason, result.sentence)
"""


def isolated(
    address: str, commands: str, groups: str = "1 0", flood: str = "", *, program: str = PROGRAM
) -> str:
    """What a probe says in a network namespace of its own that these commands made."""
    require("ip", namespaces=True)
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    shell = f'set -e; ip link set lo up; {commands}\nexec "$0" -c "$1" {address} "{groups}" {flood}'
    run = subprocess.run(
        ["unshare", *user, "--net", "sh", "-c", shell, sys.executable, program],
        capture_output=True,
        text=True,
        timeout=15,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    return run.stdout


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("groups", ["1 0", "0 0"], ids=["raw", "ping socket"])
def test_both_kinds_of_sockets_do(address: str, groups: str) -> None:
    assert isolated(address, "true", groups).startswith("ok answered in ")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_what_others_ping_is_not_heard(address: str) -> None:
    foreign = limits.DATAGRAMS_IGNORED_MAX + 1
    assert isolated(address, "true", "1 0", str(foreign)).startswith("ok answered in ")


BESIDE_OTHERS = """
import asyncio, os, signal, socket, struct, sys
from ipaddress import ip_address
from pathlib import Path
from checkers.base import Target
from checkers.ping import PingOptions, checksum
Path("/proc/sys/net/ipv4/ping_group_range").write_text(sys.argv[2])
address = ip_address(sys.argv[1])
v4 = address.version == 4
request, reply, exceeded = (8, 0, 11) if v4 else (128, 129, 3)
raw = socket.socket(*((socket.AF_INET, socket.SOCK_RAW, 1) if v4 else
                      (socket.AF_INET6, socket.SOCK_RAW, 58)))
raw.connect((str(address), 0))

def icmp(kind, data):
    return struct.pack("!BBH", kind, 0, checksum(bytes((kind, 0, 0, 0)) + data)) + data

theirs = icmp(request, bytes(60))
head = struct.pack("!BBHHHBBH", 0x45, 0, 84, 1, 0, 1, 1, 0) if v4 else bytes.fromhex(
    "6000000000403a01")
error = icmp(exceeded, bytes(4) + head + 2 * address.packed + theirs)

async def main():
    target = Target(address, 0)
    return [await PingOptions().make_probe().probe(target, 2.0) for _ in range(20)]

def others():
    while True:
        for _ in range(40):
            raw.send(theirs)
            raw.send(icmp(reply, bytes(60)))
        raw.send(error)

child = os.fork()
if child == 0:
    others()
try:
    for result in asyncio.run(main()):
        print(result.reason, result.sentence)
finally:
    os.kill(child, signal.SIGKILL)
"""
"""Somebody's `ping -f`, answered, and somebody's `mtr`: their packets' time is exceeded."""


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_what_others_send_is_nothing_to_a_raw_probe(address: str) -> None:
    said = isolated(address, "true", program=BESIDE_OTHERS).splitlines()
    assert len(said) == 20
    assert not [line for line in said if not line.startswith("ok answered in ")]


NOBODY_ELSE = (
    "ip link add left type veth peer name right; ip link set right up\n"
    "ip addr add 192.0.2.1/24 dev left; ip link set left up\n"
    "echo 20 > /proc/sys/net/ipv4/neigh/left/retrans_time_ms\n"
)
SILENCE = NOBODY_ELSE + "ip link set left arp off\n"


def test_a_host_that_says_nothing() -> None:
    assert isolated("192.0.2.9", SILENCE).startswith("l3-timeout no answer (L3) after 5")


@pytest.mark.parametrize("groups", ["1 0", "0 0"], ids=["raw", "ping socket"])
def test_a_host_that_cannot_be_reached(groups: str) -> None:
    said = isolated("192.0.2.9", NOBODY_ELSE, groups)
    assert said.startswith("l3-unreachable no route to host (L3) after ")


def test_no_route_of_our_own_is_our_fault() -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        isolated("198.51.100.1", SILENCE)
    assert "ProbeError: no way to 198.51.100.1:0: network is unreachable" in error.value.stderr


def test_without_permission_it_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise ProbeError("no socket") from PermissionError(1, "not permitted")

    monkeypatch.setattr("checkers.datagram.open_connected", refused)
    with pytest.raises(ProbeError, match=r"ping_group_range"):
        probe("127.0.0.1")


@given(st.binary(max_size=200))
def test_a_checksum_makes_the_sum_zero(data: bytes) -> None:
    even = data + b"\0" * (len(data) % 2)
    assert checksum(even + checksum(data).to_bytes(2)) == 0


def test_a_reply_is_known_by_its_token() -> None:
    reply = b"\0" + echo_request(NUMBER, TOKEN, is_v4=True)[1:]
    header = bytes((0x46, *bytes(23)))  # with options
    assert is_reply(reply, TOKEN, is_v4=True)
    assert is_reply(header + reply, TOKEN, is_v4=True)
    assert not is_reply(echo_request(NUMBER, TOKEN, is_v4=True), TOKEN, is_v4=True)
    assert not is_reply(reply, TOKEN[::-1], is_v4=True)
    assert not is_reply(reply, TOKEN, is_v4=False)
    assert is_reply(b"\x81" + echo_request(NUMBER, TOKEN, is_v4=False)[1:], TOKEN, is_v4=False)


@given(st.binary(max_size=100), st.booleans())
def test_any_packet_can_be_read(packet: bytes, is_v4: bool) -> None:
    assert not is_reply(packet, TOKEN, is_v4=is_v4)


def test_a_port_means_nothing_to_a_ping() -> None:
    with pytest.raises(OptionError, match="not to a port") as error:
        PingOptions(port=80)
    assert error.value.field == "port"
    assert probe("127.0.0.1").reason is Reason.OK
