"""What is made from the models is current, and every field says what it means."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from checkers.registry import KINDS
from hadirector.config import check_shape, shape
from hadirector.config.generate import GENERATED
from hadirector.config.schema import schema

SHAPES = [
    shape.FileShape,
    shape.NodeShape,
    shape.VirtualRouterShape,
    shape.DefaultsShape,
    shape.ServiceShape,
    shape.ServerShape,
    *(check_shape.check_shape(kind) for kind in KINDS),
]


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: Path(path).name)
def test_the_committed_file_is_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == GENERATED[path](), "run: make docs"


@pytest.mark.parametrize("model", SHAPES, ids=lambda model: str(model.__name__))
def test_every_field_has_a_description(model: type[BaseModel]) -> None:
    for name, info in model.model_fields.items():
        assert info.description, name
        assert info.description.endswith((".", "`")), name


def _objects(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, list):
        return [found for item in node for found in _objects(item)]
    if not isinstance(node, dict):
        return []
    return [node, *(found for item in node.values() for found in _objects(item))]


def test_the_schema_refers_only_to_what_it_defines() -> None:
    whole = schema()
    for node in _objects(whole):
        if "$ref" in node:
            assert node["$ref"].removeprefix("#/$defs/") in whole["$defs"]


def test_the_schema_refuses_unknown_keys_everywhere() -> None:
    for node in _objects(schema()):
        if "properties" in node and isinstance(node.get("type"), str):
            assert node["additionalProperties"] is False


def test_patterns_in_the_schema_are_valid_and_defaults_are_written_as_in_the_file() -> None:
    for node in _objects(schema()):
        if isinstance(node.get("pattern"), str):
            pattern = re.compile(node["pattern"])
            if isinstance(node.get("default"), str):
                assert pattern.search(node["default"])
    json.dumps(schema(), allow_nan=False)
