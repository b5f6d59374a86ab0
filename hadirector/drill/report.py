"""The report of a rehearsal or drill in every form: JSON, JUnit XML, and a page to look at.

The problem: a terminal scrolls away, a build server reads JUnit, a manager wants a picture. The
approach: one JSON document (`result.report`), and each other form made of that alone, so a record
in the history can become any of them. Pure: no form needs anything from outside itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import PurePath
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree

from hadirector.drill.page import page

_FORBIDDEN = {
    code: "\ufffd"
    for code in [*range(0x20), 0x7F, *range(0xD800, 0xE000), 0xFFFE, 0xFFFF]
    if code not in (9, 10, 13)
}
"""Characters that XML 1.0 cannot hold (section 2.2)."""


def as_json(document: Mapping[str, Any]) -> str:
    """For programs."""
    return json.dumps(document, indent=2) + "\n"


def as_junit(document: Mapping[str, Any]) -> str:
    """For build servers: a test suite with a case for each scenario; a failed verdict fails it."""
    scenarios = document["scenarios"]
    failed = sum(each["verdict"] != "pass" for each in scenarios)
    seconds = sum(each["seconds"] for each in scenarios)
    suite = ElementTree.Element(
        "testsuite",
        name=_clean(f"hadirector {document['file']}"),
        tests=str(len(scenarios)),
        failures=str(failed),
        errors="0",
        time=f"{seconds:.1f}",
    )
    for each in scenarios:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            name=_clean(each["name"]),
            classname="hadirector.drill",
            time=f"{each['seconds']:.1f}",
        )
        if each["verdict"] != "pass":
            said = _clean("; ".join(each["faults"]))
            ElementTree.SubElement(case, "failure", message=said).text = said
        facts = f"outage {each['outage_ms']:.0f} ms, budget {each['budget_ms']:.0f} ms"
        out = ElementTree.SubElement(case, "system-out")
        out.text = _clean("\n".join([facts, *each["notes"]]))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _clean(text: str) -> str:
    return text.translate(_FORBIDDEN)


FORMS: Mapping[str, Callable[[Mapping[str, Any]], str]] = MappingProxyType(
    {".json": as_json, ".xml": as_junit, ".html": page}
)
"""By the suffix of the file."""


def form_of(file: str) -> Callable[[Mapping[str, Any]], str] | None:
    """What makes the report that a file of this name shall hold; None: no form."""
    return FORMS.get(PurePath(file).suffix.lower())
