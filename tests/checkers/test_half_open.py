"""The check `tcp` with `half_open`: a SYN, an answer, and no connection on the server."""

import asyncio
import os
import socket
from ipaddress import ip_address

import pytest

from checkers.base import ProbeError, Reason, Result, Target
from checkers.check import Check
from checkers.health import State, Transition
from checkers.scheduler import Scheduler
from checkers.segments import Asked, fixed_sum, syn
from checkers.tcp import TcpOptions
from checkers.timing import Timing
from tests.checkers import servers
from tests.prerequisites import require

PATIENCE_S = 20.0
HALF_OPEN = TcpOptions(half_open=True)


def probe(target: Target, timeout_s: float = 5.0) -> Result:
    made = HALF_OPEN.make_probe()
    return asyncio.run(made.probe(target, timeout_s, keep_transcript=True))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_listener_answers_and_has_no_connection(address: str, no_leak: None) -> None:
    require(root=True)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        listener.setblocking(False)
        result = probe(Target(ip_address(address), listener.getsockname()[1]))
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert (result.healthy, result.reason) == (True, Reason.OK)
    assert result.sentence.startswith("SYN answered in ")
    steps = [line.split(" ms  ")[1] for line in result.transcript]
    assert steps[1:] == ["SYN-ACK came; the kernel resets"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_closed_port_is_refused(address: str, no_leak: None) -> None:
    require(root=True)
    result = probe(Target(ip_address(address), servers.free_port()))
    assert result.reason is Reason.L4_REFUSED
    assert result.sentence.startswith("connection refused (L4) after ")


def test_a_full_queue_times_out(no_leak: None) -> None:
    require(root=True)
    with servers.full_backlog() as target:
        result = probe(target, 0.2)
    assert result.reason is Reason.L4_TIMEOUT
    assert result.sentence.startswith("no answer to the SYN (L4) after 2")


def test_without_the_privilege_it_cannot_be_made(no_leak: None) -> None:
    require(root=True)
    os.seteuid(65534)
    try:
        with pytest.raises(ProbeError, match=r"no socket: operation not permitted \(EPERM\)"):
            probe(Target(servers.LOOPBACK, 9))
    finally:
        os.seteuid(0)


def test_many_share_one_socket_and_are_told_apart(no_leak: None) -> None:
    require(root=True)

    async def main() -> None:
        told: dict[str, Transition] = {}
        scheduler = Scheduler(told.__setitem__)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            open_port = listener.getsockname()[1]
            ports = [open_port, *(servers.free_port() for _ in range(20))]
            timing = Timing(interval=0.2, timeout=0.2)
            targets = {str(port): Target(servers.LOOPBACK, port) for port in ports}
            scheduler.update({k: Check(k, t, HALF_OPEN, timing) for k, t in targets.items()})
            running = asyncio.create_task(scheduler.run())
            async with asyncio.timeout(PATIENCE_S):
                await scheduler.first_round.wait()
            states = scheduler.states()
            await scheduler.aclose()
            await running
        assert states.pop(str(open_port)) is State.UP
        assert set(states.values()) == {State.DOWN}
        assert {told[key].result.reason for key in states} == {Reason.L4_REFUSED}

    asyncio.run(main())


def test_an_inverted_one_passes_where_nobody_listens(no_leak: None) -> None:
    require(root=True)

    async def main() -> State:
        scheduler = Scheduler(lambda *_: None)
        target = Target(servers.LOOPBACK, servers.free_port())
        scheduler.update({"a": Check("a", target, TcpOptions(half_open=True, inverted=True))})
        running = asyncio.create_task(scheduler.run())
        async with asyncio.timeout(PATIENCE_S):
            await scheduler.first_round.wait()
        state = scheduler.states()["a"]
        await scheduler.aclose()
        await running
        return state

    assert asyncio.run(main()) is State.UP


def test_the_checksum_is_that_of_rfc_9293() -> None:
    ours, theirs = socket.inet_aton("192.0.2.1"), socket.inet_aton("198.51.100.7")
    asked = Asked(("", 0), theirs, 443, "", fixed_sum(ours, theirs, 443))
    for sequence in (0, 1, 0xFFFF, 0xFFFF_FFFF, 0x1234_5678):
        segment = syn(asked, 50_000, sequence)
        whole = ours + theirs + b"\x00\x06" + len(segment).to_bytes(2, "big") + segment
        total = sum(int.from_bytes(whole[at : at + 2], "big") for at in range(0, len(whole), 2))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        assert total == 0xFFFF  # RFC 1071: what holds its own checksum sums to all ones
