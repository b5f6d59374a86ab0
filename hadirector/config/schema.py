"""The JSON Schema of the configuration file, made from the models.

The problem: an editor should complete and check the file with what the loader knows. The approach:
pydantic writes the schema of each model; here the kinds of checks are put where `shape` left a
mark, and empty defaults are taken out. `configs/hadirector.schema.json` is this text; a test
compares them. The schema never refuses a file that the loader accepts.
"""

from __future__ import annotations

import json
import re
from typing import Any

from checkers.registry import KINDS
from checkers.timing import Timing
from hadirector.config.adapter import model_from
from hadirector.config.check_shape import CHECK_ITEM, CHECK_MARK, check_shape
from hadirector.config.shape import FileShape

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_CHECK_REFERENCE = {"$ref": "#/$defs/Check"}


def schema() -> dict[str, Any]:
    """The schema as an object."""
    whole = FileShape.model_json_schema()
    definitions = whole["$defs"]
    names = []
    for kind in KINDS:
        model = check_shape(kind)
        one = model.model_json_schema()
        one["required"] = ["type"]
        one["properties"]["type"] = {"const": kind, "description": "The kind of check."}
        definitions[model.__name__] = one
        names.append(model.__name__)
    definitions["InheritedCheck"] = _inherited()
    definitions["Check"] = {
        "description": "How servers are checked.",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in [*names, "InheritedCheck"]],
    }
    _tidy(whole)
    return {"$schema": _DIALECT, **whole, "title": "hadirector configuration"}


def schema_text() -> str:
    """The schema as it is committed and printed."""
    text = json.dumps(schema(), indent=2, ensure_ascii=False)
    return re.sub(r'\b([A-Za-z]+)Shape"', r'\1"', text) + "\n"  # a name for people


def _inherited() -> dict[str, Any]:
    """A check without `type`: any option, since the kind stands elsewhere."""
    merged = model_from(Timing, *KINDS.values(), name="InheritedCheck", partial=True, **CHECK_ITEM)
    merged.__doc__ = "A check that takes its `type` from the service or the defaults."
    result = merged.model_json_schema()
    result["description"] = merged.__doc__
    return result


def _tidy(node: Any) -> None:
    """Drop what says nothing, and name the kinds of checks where a check may stand."""
    if isinstance(node, list):
        for item in node:
            _tidy(item)
    if not isinstance(node, dict):
        return
    if node.pop(CHECK_MARK, False):
        node.update(_CHECK_REFERENCE)
    if node.get("default", ...) is None:
        del node["default"]
    if isinstance(node.get("title"), str):
        del node["title"]
    for item in node.values():
        _tidy(item)
