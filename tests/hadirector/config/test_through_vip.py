"""Probes through the virtual address: what is made of the option, and where it is refused."""

from pathlib import Path

import pytest

from hadirector.checks import checks_of
from hadirector.config import probe_marks
from hadirector.config.codec import config_from_json, config_to_json
from hadirector.config.loader import load
from hadirector.ipvs.model import FirewallMark
from hadirector.pool import desired_table, everything_up
from tests.hadirector.config.samples import config_of

HEAD = """\
nodes: {lb1: {address: 192.0.2.11, priority: 254}, lb2: {address: 192.0.2.12, priority: 253}}
virtual_routers: []
services:
"""
DR = """\
  - name: web
    listen: 'tcp://192.0.2.100:80'
    forward: dr
    check: {through_vip: true}
    servers: [192.0.2.31:80, 192.0.2.32:80]
"""


def test_each_server_has_a_mark_of_its_own_in_the_table(tmp_path: Path) -> None:
    config = config_of(tmp_path, HEAD + DR)
    (service,) = config.services
    marks = [server.probe_mark for server in service.servers]
    assert len({*marks}) == 2
    assert config_from_json(config_to_json(config)) == config
    table = desired_table([everything_up(service)])
    assert (
        set(table)
        == set(service.kernel_keys)
        == {
            service.listen,
            *(FirewallMark(mark, 4) for mark in marks),
        }
    )
    for server in service.servers:
        (destination,) = table[FirewallMark(server.probe_mark, 4)].destinations.values()
        assert (destination.key.address, destination.weight) == (server.address, 1)
        (check,) = checks_of([service])[f"web/{server}"].checks
        assert str(check.endpoint) == "192.0.2.100:80"
        assert check.endpoint.way.mark == server.probe_mark
        assert check.describe() == (
            f"tcp at 192.0.2.100:80 on {server.address} with mark {server.probe_mark}"
        )


def test_a_server_that_leaves_takes_its_mark_along(tmp_path: Path) -> None:
    before = config_of(tmp_path, HEAD + DR).services
    after = config_of(tmp_path, HEAD + DR.replace(", 192.0.2.32:80", "")).services
    gone = set(before[0].kernel_keys) - set(after[0].kernel_keys)
    assert gone == {FirewallMark(before[0].servers[1].probe_mark, 4)}
    assert before[0].servers[0].probe_mark == after[0].servers[0].probe_mark


@pytest.mark.parametrize(
    ("before", "after", "path", "why"),
    [
        ("forward: dr", "forward: nat", "check.through_vip", "never sees the virtual address"),
        ("'tcp://192.0.2.100:80'", "fwmark:7", "check.through_vip", "no virtual address"),
        ("true}", "true, mark: 7}", "check.mark", "do not go together"),
        ("true}", "true, interface: eth0}", "check.interface", "do not go together"),
        ("true}", "true, address: 192.0.2.9}", "check.address", "do not go together"),
        ("true}", "true, source: '2001:db8::1'}", "check.source", "no way from an IPv6 address"),
        ("true}", "true, type: ping}", "check.through_vip", "unknown key"),
        ("{through", "{type: file, file: /x, through", "check.through_vip", "unknown key"),
        ("forward: dr", "forward: tun", "", ""),
    ],
)
def test_where_it_cannot_work_it_is_refused(
    tmp_path: Path, before: str, after: str, path: str, why: str
) -> None:
    assert before in DR
    file = tmp_path / "pair.yaml"
    file.write_text(HEAD + DR.replace(before, after, 1))
    errors = load(file).errors
    if not path:
        assert errors == ()
        return
    assert [(error.path, why in error.message) for error in errors] == [
        (f"services[0].{path}", True)
    ]


def test_another_ip_version_needs_a_source(tmp_path: Path) -> None:
    file = tmp_path / "pair.yaml"
    text = HEAD + DR.replace("forward: dr", "forward: tun").replace("192.0.2.31", "'[2001:db8::1]")
    file.write_text(text.replace("1]:80", "1]:80'"))
    (error,) = load(file).errors
    assert "write the `source`" in error.message
    file.write_text(file.read_text().replace("true}", "true, source: 192.0.2.5}"))
    assert load(file).errors == ()


def test_two_equal_marks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_marks, "_COUNT", 1)
    file = tmp_path / "pair.yaml"
    file.write_text(HEAD + DR)
    (error,) = load(file).errors
    assert error.path == "services[0].servers[1]"
    assert "that of web/192.0.2.31:80 already" in error.message
