"""The way a probe leaves by: seen by the servers it reaches, and never blamed on them."""

import asyncio
import socket
from dataclasses import replace
from ipaddress import ip_address

import pytest

from checkers.base import ProbeError, Target, Way
from checkers.check import Check
from checkers.once import run_once
from checkers.ping import PingOptions
from checkers.tcp import TcpOptions
from checkers.udp import UdpOptions
from checkers.way import open_socket
from tests.checkers.servers import LOOPBACK, serving
from tests.prerequisites import require


def test_a_tcp_probe_comes_from_its_source() -> None:
    async def main() -> None:
        seen: asyncio.Queue[str] = asyncio.Queue()

        async def remember(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.put_nowait(writer.get_extra_info("peername")[0])

        async with serving(remember) as target:
            options = TcpOptions(source=ip_address("127.0.0.5"), interface="lo")
            result = await run_once(Check("k", target, options))
            assert await seen.get() == "127.0.0.5"
        assert result.healthy
        assert "from 127.0.0.5 through lo" in result.transcript[0]

    asyncio.run(main())


def test_a_datagram_comes_from_its_source() -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind((str(LOOPBACK), 0))
            server.setblocking(False)
            target = Target(LOOPBACK, server.getsockname()[1])
            options = UdpOptions(send="who?", source=ip_address("127.0.0.6"))
            probing = asyncio.create_task(run_once(Check("k", target, options)))
            loop = asyncio.get_running_loop()
            question, whom = await loop.sock_recvfrom(server, 100)
            await loop.sock_sendto(server, question, whom)
            assert (await probing).healthy
            assert whom[0] == "127.0.0.6"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("way", "sentence"),
    [
        ({"source": ip_address("192.0.2.77")}, r"no probe from 192.0.2.77: .*\(EADDRNOTAVAIL\)"),
        ({"interface": "no-such-if"}, r"interface no-such-if cannot be used: .*\(ENODEV\)"),
    ],
)
@pytest.mark.parametrize("options", [TcpOptions(), UdpOptions(send="x"), PingOptions()])
def test_a_way_that_is_not_there_is_our_own_fault(
    options: TcpOptions | UdpOptions | PingOptions, way: dict[str, object], sentence: str,
    no_leak: None,
) -> None:  # fmt: skip
    check = Check("k", Target(LOOPBACK, 9), replace(options, **way))  # type: ignore[arg-type]
    with pytest.raises(ProbeError, match=sentence):
        asyncio.run(run_once(check))


@pytest.mark.parametrize("mark", [1, 7, 2**31, 2**32 - 1])
def test_packets_carry_their_mark(mark: int) -> None:
    require(root=True)
    with open_socket(Target(LOOPBACK, 9, Way(mark=mark)), socket.SOCK_STREAM) as made:
        seen = made.getsockopt(socket.SOL_SOCKET, socket.SO_MARK)
    assert seen % 2**32 == mark


def test_an_address_of_its_own_and_a_source_of_the_other_version() -> None:
    target = Target(ip_address("10.0.0.1"), 80)
    elsewhere = TcpOptions(address=ip_address("2001:db8::9"), source=ip_address("192.0.2.1"))
    check = Check("k", target, elsewhere)
    assert str(check.endpoint) == "[2001:db8::9]:80"
    assert [str(one) for one in check.conflicts()] == ["no way from an IPv4 address to an IPv6 one"]
    assert not list(Check("k", target, TcpOptions(source=ip_address("192.0.2.1"))).conflicts())
