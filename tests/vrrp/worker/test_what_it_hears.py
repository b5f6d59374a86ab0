"""The worker as a program: what it is told and hears that makes no sense, or no difference."""

import subprocess
import sys

from tests.vrrp.worker.stage import front
from tests.vrrp.world import Host, StartWorker


def test_nonsense_is_reported_and_survived(hosts: tuple[Host, Host], start: StartWorker) -> None:
    worker = start(hosts[0], front(254))
    worker.socket.sendall(b'{"type": "abracadabra"}\n')
    assert "abracadabra" in worker.wait_event("message-error").sentence
    worker.wait_state("active")
    heartbeats = worker.heartbeats
    worker.wait(lambda: worker.heartbeats > heartbeats + 2, "heartbeats go on")


FORGE = """
import socket
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("192.0.2.12"))
for ttl, packet in ((255, "2133ff01"), (1, "3133ff01"), (255, "3133ff01"), (255, "31")):
    raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
    raw.sendto(bytes.fromhex(packet + "0064ffff c0000264"), ("224.0.0.18", 0))
"""


def test_malformed_and_forged_packets_are_counted_by_cause_and_dropped(
    hosts: tuple[Host, Host], start: StartWorker
) -> None:
    worker = start(hosts[0], front(100))
    worker.wait_state("active")
    hosts[1].run(sys.executable, "-c", FORGE)
    expected = {"rejected-version": 1, "rejected-ttl": 1, "rejected-checksum": 1}
    worker.wait(
        lambda: expected.items() <= worker.reports["front"].counters.items(), "all are counted"
    )
    assert "VRRP version 2" in worker.wait_event("rejected-version").sentence
    assert worker.state() == "active"
    assert "received" not in worker.reports["front"].counters


DEAF = """
import socket, time
from ipaddress import IPv4Address
from vrrp import packet
advertisement = packet.Advertisement(
    vrid=51, priority=253, interval_cs=10, addresses=(IPv4Address("192.0.2.100"),))
payload = packet.encode(advertisement, IPv4Address("192.0.2.12"), packet.MULTICAST_IPV4)
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("192.0.2.12"))
raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
while True:
    raw.sendto(payload, ("224.0.0.18", 0))
    time.sleep(0.1)
"""


def test_a_peer_that_does_not_hear_us_is_told_as_a_split_brain_until_it_is_silent(
    hosts: tuple[Host, Host], start: StartWorker
) -> None:
    worker = start(hosts[0], front(254))
    worker.wait_state("active")
    deaf = hosts[1].start(sys.executable, "-c", DEAF)
    assert worker.wait_event("rival-heard").sentence == (
        "192.0.2.12 (priority 253) was active as well until now"
    )
    sentence = worker.wait_event("split-brain").sentence
    assert sentence.startswith("192.0.2.12 (priority 253, ours 254) has been active as well for ")
    assert "it does not hear us" in sentence
    worker.wait(lambda: worker.reports["front"].rival == "192.0.2.12", "the report names it")
    deaf.kill()
    assert "is not active any more, after " in worker.wait_event("split-brain-over").sentence
    worker.wait(lambda: worker.reports["front"].rival == "", "the report names it no more")
    assert worker.state() == "active"


def test_it_tells_how_late_it_was_woken(hosts: tuple[Host, Host], start: StartWorker) -> None:
    worker = start(hosts[0], front(254))
    worker.wait(lambda: worker.timing is not None, "it tells")
    assert worker.timing is not None
    assert worker.timing.wakes > 30  # an advertisement every 100 ms
    assert worker.timing.within_ms["500"] <= worker.timing.wakes
    assert 0 < worker.timing.lately_ms <= worker.timing.worst_ms


def test_a_wrong_command_line_says_how() -> None:
    command = [sys.executable, "-m", "vrrp.worker"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
    assert outcome.returncode == 1
    assert "usage: python -m vrrp.worker FD" in outcome.stderr
