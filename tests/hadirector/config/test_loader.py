"""From a file to a configuration: defaults, layers, includes, and all errors in one run."""

from __future__ import annotations

import time
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from checkers.http import HttpOptions
from checkers.tcp import TcpOptions
from hadirector.config.codec import config_from_json
from hadirector.config.loader import load
from hadirector.ipvs.model import FirewallMark, Forward, Persistence, Protocol, VirtualAddress
from hadirector.slow_start import AT_ONCE, SlowStart
from tests.hadirector.config.samples import HEAD, NODES, config_of, findings_of, load_text

CONFIGS = Path(__file__).parent.parent.parent.parent / "configs"

ISSUE_SHAPE = """\
nodes:
  lb1: {address: 192.0.2.11, priority: 254}
  lb2: {address: 192.0.2.12, priority: 253}
virtual_routers:
  - {name: front, vrid: 51, interface: eth0, advertise: 1s, addresses: [192.0.2.100/24], group: web}
  - {name: back, vrid: 52, interface: eth1, advertise: 1s, addresses: [198.51.100.1/24], group: web}
defaults:
  check: {interval: 2s, timeout: 1s, rise: 2, fall: 3}
services:
  - name: web
    listen: tcp://192.0.2.100:80
    scheduler: wlc
    forward: nat
    check: {type: http, path: /healthz, status: 200}
    servers:
      - 198.51.100.21:8080
      - {address: 198.51.100.22:8080, weight: 3}
    fallback: 198.51.100.29:8080
"""


def test_the_documented_shape_loads_with_everything_resolved(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, ISSUE_SHAPE)
    assert loaded.diagnostics == ()
    config = loaded.config
    assert config is not None
    assert {name: node.priority for name, node in config.nodes.items()} == {"lb1": 254, "lb2": 253}
    assert [router.group for router in config.virtual_routers] == ["web", "web"]
    [service] = config.services
    assert service.listen == VirtualAddress(Protocol.TCP, IPv4Address("192.0.2.100"), 80)
    assert (service.scheduler, service.forward, service.quorum.need) == ("wlc", Forward.NAT, 1)
    assert [(str(server), server.weight) for server in service.servers] == [
        ("198.51.100.21:8080", 1),
        ("198.51.100.22:8080", 3),
    ]
    assert service.check.kind == "http"
    assert service.check.options == HttpOptions(path="/healthz", status=200)
    assert (service.check.timing.interval, service.check.timing.fall) == (2.0, 3)
    assert all(server.check is service.check for server in service.servers)
    assert " ".join(map(str, service.fallbacks)) == "198.51.100.29:8080"
    assert config.audit == 5.0


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.name)
def test_every_example_is_valid_without_a_warning(file: Path) -> None:
    assert load(file).diagnostics == ()


def test_a_slow_start_goes_by_time_or_by_passes_and_is_none_by_default(tmp_path: Path) -> None:
    text = ISSUE_SHAPE.replace("fallback:", "slow_start: 30s\n    fallback:")
    slow, usual = load_text(tmp_path, text).config, load_text(tmp_path, ISSUE_SHAPE).config
    assert slow is not None
    assert usual is not None
    assert (slow.services[0].slow_start, usual.services[0].slow_start) == (SlowStart(30.0), AT_ONCE)
    counted = load_text(tmp_path, text.replace("30s", "{passes: 10}"))
    assert counted.config is not None
    assert counted.config.services[0].slow_start == SlowStart(passes=10)
    assert config_from_json(counted.json) == counted.config


def test_defaults_fill_in_and_are_overridden(tmp_path: Path) -> None:
    text = HEAD + (
        "defaults: {scheduler: rr, forward: tun, weight: 5}\n"
        "services:\n"
        "  - {name: a, listen: 'tcp://192.0.2.100:80', servers: ['192.0.2.21:80', "
        "{address: '192.0.2.22:80', weight: 1}]}\n"
        "  - {name: b, listen: 'tcp://192.0.2.100:81', scheduler: mh, forward: nat,\n"
        "     servers: ['192.0.2.21:80']}\n"
    )
    first, second = config_of(tmp_path, text).services
    assert (first.scheduler, first.forward) == ("rr", Forward.TUN)
    assert [server.weight for server in first.servers] == [5, 1]
    assert (second.scheduler, second.forward) == ("mh", Forward.NAT)
    assert first.check.options == TcpOptions()


CHECK_LAYERS = (
    HEAD
    + """\
defaults:
  forward: nat
  check: {type: http, path: /default, interval: 10s}
services:
  - name: a
    listen: tcp://192.0.2.100:80
    check: {timeout: 3s}
    servers:
      - 192.0.2.21:80
      - {address: 192.0.2.22:80, check: {path: /special, interval: 5s}}
      - {address: 192.0.2.23:80, check: {type: tcp, port: 99}}
"""
)


def test_a_check_is_laid_over_service_and_defaults(tmp_path: Path) -> None:
    [service] = config_of(tmp_path, CHECK_LAYERS).services
    plain, special, other = (server.check for server in service.servers)
    assert plain is service.check
    assert plain is not None
    assert special is not None
    assert other is not None
    assert (plain.timing.interval, plain.timing.timeout) == (10, 3)
    assert isinstance(special.options, HttpOptions)
    assert (special.options.path, special.timing.interval, special.timing.timeout) == (
        "/special",
        5,
        3,
    )
    # The inherited path is none of the tcp check's business.
    assert (other.kind, other.options, other.timing.interval) == ("tcp", TcpOptions(port=99), 10)


def test_a_wrong_default_is_reported_once_at_its_own_place(tmp_path: Path) -> None:
    text = HEAD + (
        "defaults: {forward: nat, check: {fall: 0}}\n"
        "services:\n"
        "  - {name: a, listen: 'tcp://192.0.2.100:80', servers: ['192.0.2.21:80']}\n"
        "  - {name: b, listen: 'tcp://192.0.2.100:81', servers: ['192.0.2.21:80']}\n"
    )
    assert findings_of(tmp_path, text) == ["6:40 defaults.check.fall: 0 is out of range"]


def test_an_option_without_its_type_is_not_dropped_silently(tmp_path: Path) -> None:
    text = HEAD + (
        "services:\n"
        "  - {name: a, listen: 'tcp://192.0.2.100:80', forward: nat, servers: ['192.0.2.21:80'],\n"
        "     check: {path: /healthz}}\n"
    )
    [found] = load_text(tmp_path, text).diagnostics
    assert found.message == 'unknown key "path"'
    assert found.hint == 'it belongs to checks of "type: http"'


def test_a_timeout_in_the_defaults_is_compared_where_it_is_used(tmp_path: Path) -> None:
    service = "services:\n  - {name: a, listen: 'tcp://192.0.2.100:80', forward: nat,\n"
    servers = "     servers: ['192.0.2.21:80']"
    text = HEAD + "defaults: {check: {timeout: 4s}}\n" + service + servers
    assert config_of(tmp_path, text + ", check: {interval: 8s}}\n")
    assert findings_of(tmp_path, text + "}\n") == [
        "6:29 defaults.check.timeout: the timeout of 4s is above the interval of 2s"
    ]


def test_a_firewall_mark_names_the_ip_version_of_its_packets(tmp_path: Path) -> None:
    text = NODES + (
        "virtual_routers: []\n"
        "services:\n"
        "  - {name: a, listen: 'fwmark:7', forward: dr, servers: ['198.51.100.21:80']}\n"
        "  - {name: b, listen: 'fwmark6:7', forward: tun, servers: ['198.51.100.21:80']}\n"
    )
    keys = [service.listen for service in config_of(tmp_path, text).services]
    assert keys == [FirewallMark(7, 4), FirewallMark(7, 6)]


def test_without_virtual_routers_a_service_may_listen_anywhere(tmp_path: Path) -> None:
    text = NODES + (
        "virtual_routers: []\n"
        "services: [{name: a, listen: 'udp://[2001:db8::100]:53', forward: nat, persistence: 5m,\n"
        "            servers: ['[2001:db8::21]:53']}]\n"
    )
    [service] = config_of(tmp_path, text).services
    assert service.listen == VirtualAddress(Protocol.UDP, IPv6Address("2001:db8::100"), 53)
    assert service.persistence == Persistence(300)


MANY_MISTAKES = """\
nodes:
  lb1: {address: 192.0.2.11, priority: 300}
  lb2: {addres: 192.0.2.12, priority: 253}
virtual_routers:
  - {name: front, vrid: 51, interface: eth0, advertise: 1, addresses: [192.0.2.100/24], group: web}
  - {name: back, vrid: 51, interface: eth0, preempt: no, addresses: [198.51.100.1/24], group: wbe}
defaults:
  check: {interval: 1s, timeout: 2s, rise: 2}
services:
  - name: web
    listen: tcp://192.0.2.101:80
    listen: tcp://192.0.2.100:80
    sheduler: wlc
    forward: dr
    check: {type: http, status: fine}
    servers:
      - 198.51.100.21:8080
      - 198.51.100.21:8080
  - name: again
    listen: tcp://192.0.2.101:80
    scheduler: wcl
    forward: nat
    servers: ["[2001:db8::1]:80", 198.51.100.21:80000]
"""


def test_all_mistakes_are_found_in_one_run(tmp_path: Path) -> None:
    rules = {str(found.rule) for found in load_text(tmp_path, MANY_MISTAKES).diagnostics}
    assert rules == {
        "out-of-range",
        "unknown-key",
        "bad-duration",
        "duplicate-vrid",
        "yaml-boolean",
        "unknown-group",
        "timeout-above-interval",
        "duplicate-key",
        "bad-value",
        "dr-port",
        "duplicate-server",
        "duplicate-listen",
        "unowned-vip",
        "unknown-scheduler",
        "mixed-families",
        "bad-address",
    }


def test_included_files_are_joined_and_keep_their_places(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "b.yaml").write_text(
        "defaults: {weight: 2}\n"
        "services: [{name: b, listen: 'tcp://192.0.2.100:81', servers: ['192.0.2.21:80']}]\n"
    )
    text = HEAD + (
        "include: [services/b.yaml]\n"
        "defaults: {forward: nat}\n"
        "services: [{name: a, listen: 'tcp://192.0.2.100:80', servers: ['192.0.2.21:80']}]\n"
    )
    services = config_of(tmp_path, text).services
    assert [(service.name, service.servers[0].weight) for service in services] == [
        ("a", 2),
        ("b", 2),
    ]
    [found] = load_text(tmp_path, text.replace(":80', servers", ":81', servers")).diagnostics
    assert found.file == str(tmp_path / "services" / "b.yaml")
    assert found.hint.startswith(f"the first is in {tmp_path / 'pair.yaml'}:")


def test_anchors_and_merge_keys_serve_for_servers_and_checks(tmp_path: Path) -> None:
    text = HEAD + (
        "services:\n"
        "  - &a {name: a, listen: 'tcp://192.0.2.100:80', forward: nat, "
        "servers: ['192.0.2.21:80']}\n"
        "  - {<<: *a, name: b, listen: 'tcp://192.0.2.100:81'}\n"
    )
    first, second = config_of(tmp_path, text).services
    assert first.servers == second.servers
    assert second.name == "b"


def test_groups_can_be_declared(tmp_path: Path) -> None:
    text = HEAD.replace("addresses", "group: web, addresses")
    assert config_of(tmp_path, "groups: [web]\n" + text).virtual_routers[0].group == "web"
    assert findings_of(tmp_path, "groups: [wbe]\n" + text)[-1] == (
        '6:53 virtual_routers[0].group: unknown group "web"'
    )


def test_a_byte_order_mark_and_windows_lines_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "pair.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + ISSUE_SHAPE.replace("\n", "\r\n").encode())
    assert load(file).diagnostics == ()


def test_the_excerpt_shows_the_line_with_a_caret(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, HEAD + "audit: 5\n")
    assert loaded.render().splitlines()[1:] == ["    audit: 5", "           ^"]


def test_the_digest_is_of_the_meaning_not_of_the_text(tmp_path: Path) -> None:
    digest = load_text(tmp_path, ISSUE_SHAPE).digest
    same = ISSUE_SHAPE.replace("timeout: 1s", "timeout: 1000ms") + "# a comment\n"
    assert load_text(tmp_path, same).digest == digest
    assert load_text(tmp_path, ISSUE_SHAPE.replace("fall: 3", "fall: 4")).digest != digest


def test_ten_thousand_servers_load_in_seconds(tmp_path: Path) -> None:
    """The bound is generous for a busy machine; about one second is usual."""
    first = int(ip_address("198.18.0.1"))
    lines = [HEAD, "defaults: {forward: nat}\nservices:\n"]
    for number in range(1000):
        lines.append(f"  - name: s{number}\n    listen: tcp://192.0.2.100:{1000 + number}\n")
        lines.append("    servers:\n")
        for index in range(10):
            address = ip_address(first + number * 10 + index)
            lines.append(f"      - {{address: {address}:80, weight: 2}}\n")
    started = time.monotonic()
    config = config_of(tmp_path, "".join(lines))
    assert time.monotonic() - started < 10
    assert sum(len(service.servers) for service in config.services) == 10_000
