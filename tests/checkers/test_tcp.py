"""The check `tcp` against real listeners."""

import asyncio
import contextlib
import re
import socket
import time
from ipaddress import ip_address

import pytest

from checkers.base import Reason, Result, Target
from checkers.tcp import TcpOptions
from tests.checkers import servers

pytestmark = pytest.mark.usefixtures("no_leak")


def probe(target: Target, timeout_s: float = 2.0, *, keep_transcript: bool = False) -> Result:
    made = TcpOptions().make_probe()
    return asyncio.run(made.probe(target, timeout_s, keep_transcript=keep_transcript))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_listener_passes(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.closing(socket.create_server((address, 0), family=family)) as listener:
        before = time.time()
        result = probe(Target(ip_address(address), listener.getsockname()[1]))
    assert (result.healthy, result.reason, result.transcript) == (True, Reason.OK, ())
    assert re.fullmatch(r"connected in \d+\.\d ms", result.sentence)
    assert 0 < result.latency_ms < 2000
    assert before <= result.at <= time.time()


def test_the_transcript_of_a_pass_is_there_for_the_asking() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        target = Target(servers.LOOPBACK, listener.getsockname()[1])
        result = probe(target, keep_transcript=True)
    steps = [line.split(" ms  ")[1] for line in result.transcript]
    assert steps == [f"connect to {target}", "connected"]


def test_a_closed_port_is_refused_with_a_transcript() -> None:
    result = probe(Target(servers.LOOPBACK, servers.free_port()))
    assert (result.healthy, result.reason) == (False, Reason.L4_REFUSED)
    assert re.fullmatch(r"connection refused \(L4\) after \d+\.\d ms", result.sentence)
    assert result.transcript[-1].endswith(result.sentence)


def test_a_full_queue_times_out_within_the_deadline() -> None:
    with servers.full_backlog() as target:
        result = probe(target, timeout_s=0.2)
    assert result.reason is Reason.L4_TIMEOUT
    assert result.sentence.startswith("no connection (L4) after 2")
    assert 190 <= result.latency_ms < 2000


def test_a_process_that_never_accepts_passes_until_its_queue_is_full() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0), backlog=5)) as listener:
        assert probe(Target(servers.LOOPBACK, listener.getsockname()[1])).healthy
