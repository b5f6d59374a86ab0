"""Every kind of check goes through a file, its validation, and JSON."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest
import yaml

from checkers.plugins import bare
from checkers.registry import KINDS
from hadirector.config.codec import config_from_json, config_to_json
from tests.hadirector.config.samples import NODES, config_of

DOCS = Path(__file__).parents[3] / "docs" / "checks"
SERVICE = (
    "virtual_routers: []\n"
    "services: [{name: a, listen: 'fwmark:7', forward: dr, servers: ['198.51.100.21:80'],\n"
    "            check: CHECK}]\n"
)


def text_of(check: dict[str, object]) -> str:
    flow = yaml.safe_dump(check, default_flow_style=True, width=10_000).strip()
    return NODES + SERVICE.replace("CHECK", flow)


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_a_kind_survives_the_way_to_the_director(kind: str, tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (DOCS / f"{kind}.md").read_text(), re.DOTALL)
    check = yaml.safe_load(example)["check"]
    for name in ("ca", "command", "user"):  # of a host that is not this one
        check.pop(name, None)
    if kind == "script":
        check["shell"] = "exit 0"
    config = config_of(tmp_path, text_of(check))
    (service,) = config.services
    assert service.check is not None
    assert service.check.kind == kind
    assert config_from_json(config_to_json(config)) == config


@pytest.mark.parametrize(
    "check",
    [
        {"type": "http", "path": ["/a", "/b"], "headers": {"X-A": "b"}},
        {"type": "http", "json_key": "a.b", "json_value": True},
        {"type": "http", "json_key": "a.b", "json_value": 1.5},
        {"type": "http", "json_key": "a.b", "json_value": 7},
        {"type": "dns", "name": "a.example", "rcode": ["NOERROR", "NXDOMAIN"]},
        {"type": "script", "shell": "true", "environment": {"SERVICE": "web"}},
    ],
)
def test_options_of_several_types_survive_it_too(check: dict[str, object], tmp_path: Path) -> None:
    config = config_of(tmp_path, text_of(check))
    again = config_from_json(config_to_json(config))
    assert again == config
    before, after = config.services[0].check, again.services[0].check
    assert repr(before) == repr(after)


def test_an_option_has_one_type_in_all_kinds() -> None:
    """Else an inherited check could not be told in the schema, nor reach down to services."""
    types: dict[str, set[object]] = {}
    for options in KINDS.values():
        hints = get_type_hints(options, include_extras=True)
        for field in fields(options):
            types.setdefault(field.name, set()).add(bare(hints[field.name]))
    literal = {"transport"}
    assert {name for name, found in types.items() if len(found) > 1} - literal == set()
