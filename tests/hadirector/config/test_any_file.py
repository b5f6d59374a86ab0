"""Whatever a file holds, loading it ends with a configuration or with explained errors.

Good files are damaged in random places: a value replaced, a key dropped, renamed or given twice.
"""

from __future__ import annotations

import copy
import random
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hadirector.config.codec import config_from_json, config_to_json
from hadirector.config.loader import load
from tests.hadirector.config.test_loader import CHECK_LAYERS, CONFIGS, ISSUE_SHAPE

ACTIVE_ACTIVE = (CONFIGS / "active-active.yaml").read_text()
SEVERAL_CHECKS = """\
nodes: {lb1: {address: 192.0.2.11, priority: 254}}
virtual_routers: []
services:
  - name: web
    listen: tcp://192.0.2.100:80
    forward: nat
    check: {interval: 2s, timeout: 1s}
    checks: [{type: http, path: /healthz}, {type: tcp, label: database, advisory: true}]
    require: all
    servers:
      - {address: 198.51.100.21:80, checks: [{type: tcp}, {type: ping}], require: any}
"""
GOOD = [yaml.safe_load(text) for text in (ISSUE_SHAPE, CHECK_LAYERS, ACTIVE_ACTIVE, SEVERAL_CHECKS)]
NAMES = ("pools", "peer", "brake", "trackers", "tun6", "unicast")
EVERY_SECTION = [SEVERAL_CHECKS, *((CONFIGS / f"{name}.yaml").read_text() for name in NAMES)]

YAML_LINE_ENDS = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What YAML 1.1 counts as the end of a line."""

strange = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["tcp://[::1]:0", "1s", "0.0.0.0:0", "http", "tun", "[::1]:80", "fwmark:1"]),
    st.lists(st.integers(0, 3) | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=5), st.text(max_size=3), max_size=3),
)


def containers(node: Any) -> Iterator[Any]:
    """Every list and mapping within."""
    if isinstance(node, dict | list):
        if node:
            yield node
        for item in node.values() if isinstance(node, dict) else node:
            yield from containers(item)


def damage(data: Any, value: object, dice: random.Random) -> None:
    """One random change."""
    where = dice.choice(list(containers(data)))
    key = dice.choice(list(where) if isinstance(where, dict) else range(len(where)))
    change = dice.choice(["replace", "replace", "remove", "rename", "repeat"])
    if change == "remove":
        del where[key]
    elif change == "rename" and isinstance(where, dict):
        where[f"{key}x"] = where.pop(key)
    elif change == "repeat" and isinstance(where, list):
        where.append(copy.deepcopy(where[key]))
    else:
        where[key] = value


def outcome(text: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "pair.yaml"
        file.write_text(text, encoding="utf-8")
        loaded = load(file)
    assert (loaded.config is None) == bool(loaded.errors)
    for found in loaded.diagnostics:
        assert 1 <= found.line <= len(YAML_LINE_ENDS.findall(text)) + 1
        assert found.column >= 1
        assert found.message
        assert "\n" not in str(found)
    assert loaded.render() or not loaded.diagnostics
    if loaded.config is not None:
        assert config_from_json(config_to_json(loaded.config)) == loaded.config


@pytest.mark.parametrize("text", EVERY_SECTION, ids=["several checks", *NAMES])
@pytest.mark.parametrize("other", [[], {}, "x"], ids=str)
def test_another_shape_in_any_place_is_explained(text: str, other: object) -> None:
    whole = yaml.safe_load(text)
    for number, where in enumerate(containers(whole)):
        for key in where if isinstance(where, dict) else range(len(where)):
            damaged = copy.deepcopy(whole)
            list(containers(damaged))[number][key] = copy.deepcopy(other)
            outcome(yaml.safe_dump(damaged, default_flow_style=None))


@settings(deadline=None, max_examples=50)  # how long one takes is the machine's affair
@given(st.sampled_from(GOOD), st.lists(strange, min_size=1, max_size=3), st.integers(0, 2**32))
def test_a_damaged_file_is_explained(good: Any, values: list[object], seed: int) -> None:
    data, dice = copy.deepcopy(good), random.Random(seed)
    for value in values:
        if any(containers(data)):
            damage(data, value, dice)
    outcome(yaml.safe_dump(data, default_flow_style=None))


@settings(deadline=None, max_examples=50)  # how long one takes is the machine's affair
@given(
    st.sampled_from([ISSUE_SHAPE, CHECK_LAYERS, ACTIVE_ACTIVE]),
    st.integers(0, 2**32),
    st.text(max_size=6),
)
def test_a_file_with_damaged_text_is_explained(text: str, seed: int, inserted: str) -> None:
    dice = random.Random(seed)
    start = dice.randrange(len(text))
    damaged = text[:start] + inserted + text[start + dice.randrange(5) :]
    outcome(damaged.encode("utf-8", "replace").decode())
