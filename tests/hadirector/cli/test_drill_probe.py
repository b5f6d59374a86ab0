"""`hadirector drill probe` against real sockets: gaps are measured, causes told, and judged."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import pytest

from hadirector.drill.probing import AimError, aim_at


@contextmanager
def listening() -> Iterator[tuple[socket.socket, int]]:
    with socket.socket() as server:
        # What was accepted inherits it; else one not closed by the client yet blocks the port.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen(512)
        yield server, server.getsockname()[1]


def drain(server: socket.socket) -> None:
    """Accept and close until the socket is shut down."""
    while True:
        try:
            server.accept()[0].close()
        except OSError:
            return


def probe(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "hadirector", "drill", "probe", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_a_service_that_answers_has_no_outage_to_speak_of() -> None:
    with listening() as (server, port):
        threading.Thread(target=drain, args=(server,), daemon=True).start()
        url = f"tcp://127.0.0.1:{port}"
        done = probe(url, "--seconds", "0.5", "--budget", "30s", "--json")
        server.shutdown(socket.SHUT_RDWR)
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert told["requests"] > 1
    assert told["requests_lost"] == 0
    assert told["latency_ms"] > 0


@contextmanager
def probing(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "hadirector", "drill", "probe", *arguments]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_gap_is_told_when_it_comes_and_goes_and_breaks_the_budget() -> None:
    with (
        listening() as (server, port),
        probing(f"tcp://127.0.0.1:{port}", "--budget", "50ms") as process,
        socket.socket() as again,
    ):
        assert process.stdout is not None
        server.accept()[0].close()  # it asks
        server.close()
        assert until_line(process.stdout, "no answer")
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
        again.listen(512)
        threading.Thread(target=drain, args=(again,), daemon=True).start()
        assert until_line(process.stdout, "answered again after")
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        again.shutdown(socket.SHUT_RDWR)
        assert process.wait(10) == 1
    assert "lost by    l4-refused" in rest


def until_line(stream: IO[str], words: str) -> bool:
    """Read on to a line with these words; a busy machine may have made a gap of its own before."""
    return any(words in line for line in stream)


def test_nobody_there_is_a_no_with_its_cause() -> None:
    with listening() as (_, port):
        pass
    done = probe(f"http://127.0.0.1:{port}/ready", "--seconds", "0.2", "--json")
    assert done.returncode == 1
    assert set(json.loads(done.stdout)["losses"]) == {"l4-refused"}


def test_a_probe_that_cannot_be_made_says_nothing_of_the_service() -> None:
    done = probe("tcp://127.0.0.1:9", "--source", "192.0.2.77", "--seconds", "0.2", "--json")
    assert done.returncode == 3
    assert set(json.loads(done.stdout)["losses"]) == {"socket"}


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("192.0.2.1:80",), "192.0.2.1:80 is nothing to ask; write tcp://, http://"),
        (("tcp://example.org:80",), "example.org"),
        (("tcp://192.0.2.1",), "tcp://192.0.2.1"),
        (("ping://192.0.2.1", "--send", "x"), "ping takes neither --send nor --expect"),
        (("tcp://192.0.2.1:80", "--every", "10"), "10 has no unit"),
        (("tcp://192.0.2.1:80", "--every", "0ms"), "--every takes 1ms to 60s"),
        (("tcp://192.0.2.1:80", "--seconds", "-1"), "--seconds takes up to a day"),
        (("tcp://192.0.2.1:80", "--source", "here"), "here is no address"),
    ],
)
def test_wrong_usage_is_told_with_what_would_be_right(
    arguments: tuple[str, ...], wanted: str
) -> None:
    done = probe(*arguments)
    assert done.returncode == 2
    assert wanted in done.stderr


def test_every_kind_can_be_aimed_at() -> None:
    kinds = [
        aim_at(url).options.kind
        for url in ("tcp://[2001:db8::1]:80", "http://192.0.2.1:80", "udp://192.0.2.1:53")
    ]
    assert kinds == ["tcp", "http", "udp"]
    assert str(aim_at("ping://2001:db8::1").target.address) == "2001:db8::1"
    with pytest.raises(AimError):
        aim_at("gopher://192.0.2.1:70")
