"""The architecture as a test: what may import what, and that nothing is left lying about.

It reads the sources with `ast` and runs none of them. Nothing here is about taste.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from checkers.registry import KINDS

ROOT = Path(__file__).parent.parent
PACKAGES = ("hadirector", "checkers", "vrrp")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in SOURCES}

PURE = (
    "checkers.base",
    "checkers.check",
    "checkers.combination",
    "checkers.health",
    "checkers.history",
    "checkers.inverted",
    "checkers.memory",
    "checkers.options",
    "checkers.strict",
    "checkers.timetable",
    "checkers.timing",
    "checkers.view",
    "checkers.wire",
    "hadirector.answers",
    "hadirector.assignments",
    "hadirector.router_answers",
    "hadirector.checks",
    "hadirector.connection_sync",
    "hadirector.cli.screen",
    "hadirector.config.model",
    "hadirector.config.secrets",
    "hadirector.drill.budgets",
    "hadirector.drill.ipvsadm",
    "hadirector.drill.catalogue",
    "hadirector.drill.course",
    "hadirector.drill.live",
    "hadirector.drill.live_faults",
    "hadirector.drill.page",
    "hadirector.drill.possession",
    "hadirector.drill.procfs",
    "hadirector.drill.report",
    "hadirector.drill.result",
    "hadirector.drill.sequence",
    "hadirector.drill.timeline",
    "hadirector.drill.verdict",
    "hadirector.elections",
    "hadirector.ipvs.connections",
    "hadirector.ipvs.control",
    "hadirector.ipvs.listing",
    "hadirector.ipvs.memory",
    "hadirector.ipvs.telling",
    "hadirector.ipvs.messages",
    "hadirector.ipvs.model",
    "hadirector.ipvs.ruleline",
    "hadirector.ipvs.ruletext",
    "hadirector.ipvs.steps",
    "hadirector.ipvs.syncproto",
    "hadirector.ipvs.synctally",
    "hadirector.ipvs.wire",
    "hadirector.lab.commands",
    "hadirector.lab.roles",
    "hadirector.lab.samples",
    "hadirector.lab.spares",
    "hadirector.lab.world",
    "hadirector.drift",
    "hadirector.quorum",
    "hadirector.steering",
    "hadirector.layers",
    "hadirector.impact",
    "hadirector.timed_drain",
    "hadirector.ipvs.hashing",
    "hadirector.ipvs.schedulers",
    "hadirector.ipvs.tuning",
    "hadirector.names",
    "hadirector.on_fail",
    "hadirector.peer.compare",
    "hadirector.peer.link",
    "hadirector.peer.messages",
    "hadirector.peer.policies",
    "hadirector.peer.report",
    "hadirector.peer.settings",
    "hadirector.peer.standing",
    "hadirector.peer.steady",
    "hadirector.peer.switchover",
    "hadirector.peer.told",
    "hadirector.plan",
    "hadirector.pool",
    "hadirector.slow_start",
    "hadirector.told_checks",
    "hadirector.watch",
    "vrrp.authentication",
    "vrrp.choices",
    "vrrp.config",
    "vrrp.contradictions",
    "vrrp.diagram",
    "vrrp.dissect",
    "vrrp.events",
    "vrrp.frames",
    "vrrp.group",
    "vrrp.hooks",
    "vrrp.keys",
    "vrrp.lateness",
    "vrrp.machine",
    "vrrp.messages",
    "vrrp.packet",
    "vrrp.reception",
    "vrrp.rivalry",
    "vrrp.source",
    "vrrp.ledger",
    "vrrp.paths",
    "vrrp.peers",
    "vrrp.speakers",
    "vrrp.transitions",
    "vrrp.typed_json",
    "vrrp.virtual_mac",
    "vrrp.priority",
    "vrrp.steady",
    "vrrp.tracked",
    "vrrp.waiting",
)
"""The decisions: no I/O, no clock, no asyncio, no logging."""

IMPURE = {
    "asyncio", "logging", "os", "random", "select", "selectors", "signal", "socket", "ssl",
    "subprocess", "tempfile", "threading", "time", "aiohttp", "pyroute2",
}  # fmt: skip

STARTED_BY_NAME = {
    "checkers.worker": "a child of the director process",
    "hadirector.__main__": "python -m hadirector",
    "hadirector.cli.main": "the program in pyproject.toml",
    "hadirector.config.generate": "make docs",
    "hadirector.director_program": "a child of the supervisor",
    "hadirector.drill.inside": "started in the lab",
    "hadirector.drill.keeper": "a child of a drill",
    "hadirector.supervisor": "what `hadirector run` becomes",
    "vrrp.__main__": "python -m vrrp",
    "vrrp.chores": "a child of the worker",
    "vrrp.worker": "a child of the supervisor",
}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imports(module: str) -> set[str]:
    """Every module name that a module imports, wherever it does, but not for typing only."""
    found: set[str] = set()
    skipped = {
        id(inner)
        for node in ast.walk(tree(module))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree(module)):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{module} has a relative import"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("package", ["checkers", "vrrp"])
def test_the_libraries_know_neither_each_other_nor_the_product(package: str) -> None:
    forbidden = {*PACKAGES, "pydantic"} - {package}
    wrong = [
        f"{module} imports {name}"
        for module in MODULES
        if module.partition(".")[0] == package
        for name in imports(module)
        if name.partition(".")[0] in forbidden
    ]
    assert not wrong


def test_the_vrrp_worker_loads_nothing_it_does_not_need() -> None:
    heavy = {"aiohttp", "dns", "pydantic", "rich", "yaml"}
    wrong = [
        f"{module} imports {name}"
        for module in MODULES
        if module.startswith("vrrp")
        for name in imports(module)
        if name.partition(".")[0] in heavy
    ]
    assert not wrong


@pytest.mark.parametrize("module", PURE)
def test_decisions_are_pure(module: str) -> None:
    assert not {name for name in imports(module) if name.partition(".")[0] in IMPURE}


def circle(graph: Mapping[str, set[str]]) -> str:
    """One circle of a graph, such as `a -> b -> a`, by what each imports; empty if it has none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " -> ".join(reversed(error.args[1]))
    return ""


def test_a_circle_is_found_and_named() -> None:
    way_in = {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": set[str]()}
    assert circle(way_in) == ""
    assert circle(way_in | {"d": {"b"}}) in {
        "b -> c -> d -> b",
        "c -> d -> b -> c",
        "d -> b -> c -> d",
    }


def test_imports_go_one_way() -> None:
    """Also those inside functions: what is imported late is imported, too."""
    found = circle({module: imports(module) & MODULES.keys() for module in MODULES})
    assert not found, found


def test_every_module_is_used() -> None:
    used = {name for module in MODULES for name in imports(module)}
    verbs = set(
        re.findall(r'^        "(\w+)": "', MODULES["hadirector.cli.main"].read_text(), re.M)
    )
    unused = [
        module
        for module, path in MODULES.items()
        if path.name != "__init__.py"
        and module not in used
        and module not in STARTED_BY_NAME
        and module.removeprefix("hadirector.cli.") not in verbs
        and module.removeprefix("checkers.") not in KINDS
    ]
    assert not unused


def test_what_is_started_by_name_is_there() -> None:
    assert not set(STARTED_BY_NAME) - set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is_for(module: str) -> None:
    assert ast.get_docstring(tree(module))


def test_every_check_has_its_documentation_example_and_test() -> None:
    kinds = [
        module.removeprefix("checkers.")
        for module in MODULES
        if module.startswith("checkers.")
        and any(
            isinstance(node, ast.ClassDef)
            and node.name.endswith("Options")
            and node.name != "CheckOptions"
            for node in tree(module).body
        )
    ]
    assert kinds
    for kind in kinds:
        documentation = ROOT / "docs" / "checks" / f"{kind}.md"
        assert documentation.exists(), f"docs/checks/{kind}.md is missing"
        assert f"type: {kind}" in documentation.read_text(), f"docs/checks/{kind}.md has no example"
        assert (ROOT / "tests" / "checkers" / f"test_{kind}.py").exists()


def test_no_leftovers() -> None:
    marker = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|print\(.*#\s*debug", re.I)
    wrong = [
        f"{module}:{number}"
        for module, path in MODULES.items()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if marker.search(line)
    ]
    assert not wrong
