"""Probes through a virtual address that the probing director holds itself reach the one server
they are for, by the way of clients' packets: direct routing and tunnels, IPv4 and IPv6.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkers.base import ProbeError, Result
from checkers.check import Check
from checkers.once import run_once
from hadirector.checks import checks_of
from hadirector.lab.namespaces import inside
from tests.hadirector.config.samples import config_of
from tests.kernel.traffic import VIP, VIP6, Stage, standing

ONE, OTHER = "192.0.2.31", "192.0.2.32"
TUN, TUN6 = "203.0.113.31", "2001:db8:5::31"
THROUGH = "check: {type: http, timeout: 500ms, through_vip: true}"
DR = f"servers: ['{ONE}:8320', '{OTHER}:8320']"
SERVICES = (
    f"name: dr, listen: 'tcp://{VIP}:8320', forward: dr, {THROUGH}, {DR}",
    f"name: tun, listen: 'tcp://{VIP}:81', forward: tun, {THROUGH}, servers: ['{TUN}:81']",
    f"name: tun6, listen: 'tcp://[{VIP6}]:81', forward: tun, {THROUGH}, servers: ['[{TUN6}]:81']",
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with standing(tmp_path_factory.mktemp("through"), SERVICES, prefix="tv-") as stage:
        stage.program(*SERVICES)
        yield stage


def check_of(stage: Stage, name: str) -> Check:
    text = "".join(f"  - {{{service}}}\n" for service in SERVICES)
    config = config_of(stage.directory, f"{stage.head}services:\n{text}")
    (check,) = checks_of(config.services)[name].checks
    return check


def probed(stage: Stage, name: str) -> Result:
    check = check_of(stage, name)
    with inside(stage.director):
        return asyncio.run(run_once(check))


def accept_local(stage: Stage, value: str) -> None:
    with inside(stage.director):
        for name in ("all", "eth0", "eth1"):
            (Path("/proc/sys/net/ipv4/conf") / name / "accept_local").write_text(value)


@pytest.mark.parametrize(
    "name", [f"dr/{ONE}:8320", f"dr/{OTHER}:8320", f"tun/{TUN}:81", f"tun6/[{TUN6}]:81"]
)
def test_each_probe_reaches_its_own_server(stage: Stage, name: str) -> None:
    result = probed(stage, name)
    assert result.healthy, result
    address = str(check_of(stage, name).target.address)
    assert any(f"Server-Name: {address}" in line for line in result.transcript), result.transcript
    assert any(f"on {address}" in line for line in result.transcript)


def test_a_server_that_does_not_answer_for_the_virtual_address_fails(stage: Stage) -> None:
    server = stage.built.world.servers[OTHER]
    stage.built.run(server.machine, ["ip", "address", "del", f"{VIP}/32", "dev", "lo"])
    try:
        result = probed(stage, f"dr/{OTHER}:8320")
        assert (result.healthy, str(result.reason)) == (False, "l4-timeout")
        assert probed(stage, f"dr/{ONE}:8320").healthy
    finally:
        stage.built.run(server.machine, ["ip", "address", "add", f"{VIP}/32", "dev", "lo"])
    assert probed(stage, f"dr/{OTHER}:8320").healthy


def test_where_answers_would_be_dropped_no_server_is_blamed(stage: Stage) -> None:
    accept_local(stage, "0")
    try:
        with pytest.raises(ProbeError, match=r"set net\.ipv4\.conf\.eth0\.accept_local=1"):
            probed(stage, f"dr/{ONE}:8320")
        assert probed(stage, f"tun6/[{TUN6}]:81").healthy  # IPv6 has no such rule
    finally:
        accept_local(stage, "1")


def test_clients_go_their_own_way(stage: Stage) -> None:
    assert {stage.ask(8320) for _ in range(8)} == {ONE, OTHER}
    assert sum(line.startswith("FWM") for line in stage.proc()) == 4
