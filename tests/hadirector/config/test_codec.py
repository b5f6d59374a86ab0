"""A configuration survives the way through JSON, byte for byte the same each time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hadirector.config.codec import CodecError, config_from_json, config_to_json, digest
from tests.hadirector.config.samples import NODES, config_of
from tests.hadirector.config.test_loader import CHECK_LAYERS, CONFIGS, ISSUE_SHAPE

MARK = NODES + (
    "virtual_routers: []\n"
    "audit: 500ms\n"
    "services: [{name: a, listen: 'fwmark:7', forward: tun, persistence: 60s,\n"
    "            check: {type: https, status: [200, '301-302'], verify: false},\n"
    "            servers: ['[2001:db8::21]:80']}]\n"
)


BALANCING = NODES + (
    "virtual_routers: []\n"
    "services: [{name: a, listen: 'fwmark6:7', forward: tun, scheduler: mh, upper: 9, lower: 3,\n"
    "            scheduler_flags: [mh-port, mh-fallback], tunnel: {type: gre, checksum: csum},\n"
    "            persistence: {timeout: 60s, netmask: 64}, fallback: '[2001:db8::29]:80',\n"
    "            servers: [{address: '[2001:db8::21]:80', weight: 0, upper: 0, lower: 0,\n"
    "                       tunnel: {type: gue, port: 6080}},\n"
    "                      {address: '[2001:db8::22]:80', forward: dr}]}]\n"
)


@pytest.mark.parametrize(
    "text",
    [
        ISSUE_SHAPE,
        CHECK_LAYERS,
        MARK,
        BALANCING,
        *(path.read_text() for path in sorted(CONFIGS.glob("*.yaml"))),
    ],
    ids=[
        "issue",
        "layers",
        "mark",
        "balancing",
        *sorted(path.stem for path in CONFIGS.glob("*.yaml")),
    ],
)
def test_nothing_is_lost(tmp_path: Path, text: str) -> None:
    config = config_of(tmp_path, text)
    written = config_to_json(config)
    again = config_from_json(written)
    assert again == config
    assert list(again.nodes) == list(config.nodes)
    assert config_to_json(again) == written
    assert digest(again) == digest(config)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nodes": []}', "null", '{"nodes": 1}'])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(CodecError):
        config_from_json(text)


def test_a_field_of_another_version_is_refused(tmp_path: Path) -> None:
    data = json.loads(config_to_json(config_of(tmp_path, ISSUE_SHAPE)))
    data["services"][0]["colour"] = "blue"
    with pytest.raises(CodecError, match="colour"):
        config_from_json(json.dumps(data))


def test_receiving_a_configuration_imports_neither_pydantic_nor_yaml() -> None:
    code = (
        "import sys; import hadirector.config.codec as c; import checkers.registry, vrrp.config;"
        "print([name for name in ('pydantic', 'yaml', 'aiohttp') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_a_director_calls_the_interface_of_connection_sync_comes_back(tmp_path: Path) -> None:
    own = "connection_sync: {interface: eth1, nodes: {lb2: {interface: ens5}}}\n"
    config = config_of(tmp_path, ISSUE_SHAPE + own)
    assert config.connection_sync is not None
    assert config.connection_sync.on("lb2").interface == "ens5"
    assert config_from_json(config_to_json(config)) == config


def test_services_that_are_checked_alike_share_the_check(tmp_path: Path) -> None:
    config = config_from_json(config_to_json(config_of(tmp_path, CHECK_LAYERS)))
    checks = [service.check for service in config.services]
    for one in checks:
        assert all(one is other for other in checks if one == other)
