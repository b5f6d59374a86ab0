"""Every example of the README and of docs/*.md is taken by the loader: what is shown works.

An example that is a part of a file is put where it belongs. The examples of checks have their tests
in test_check_kinds, the files in configs/ in test_loader and in the rehearsals.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hadirector.config.loader import load
from hadirector.config.shape import FileShape
from hadirector.drill.scenario_file import load_scenarios
from tests.hadirector.config.samples import NODES, load_text

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SERVICE = """\
name: web
listen: tcp://192.0.2.100:80
forward: nat
servers: [198.51.100.21:80, 198.51.100.22:80, 198.51.100.23:80, 198.51.100.24:80, 198.51.100.25:80]
"""
ROUTERS = """\
- name: front
  vrid: 51
  interface: eth0
  addresses: [192.0.2.100/24, 192.0.2.101/24, 192.0.2.102/24, 192.0.2.103/24]
"""
TOP_KEYS = {field.alias or name for name, field in FileShape.model_fields.items()}


def examples() -> Iterator[tuple[str, str]]:
    """Where each is, and its text; one that shows a key several times is as many examples."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(r"```yaml\n(.*?)```", text, re.DOTALL):
            line = text.count("\n", 0, found.start()) + 2
            parts = re.split(r"^(?=\w)", found[1], flags=re.MULTILINE)[1:]
            keys = [part.partition(":")[0] for part in parts]
            alike = parts if len(set(keys)) < len(keys) else [found[1]]
            for number, example in enumerate(alike):
                yield f"{page.name}:{line}.{number}", example


EXAMPLES = dict(examples())


def whole(example: dict[str, Any]) -> str:
    """A file that has this in its place."""
    if "nodes" in example:
        return yaml.safe_dump(example)
    service = yaml.safe_load(SERVICE)
    if not example.keys() <= TOP_KEYS:
        example = {"services": [{**service, **example}]}
    example["services"] = [{**service, **one} for one in example.get("services", [{}])]
    example.setdefault("defaults", {"weight": 50})
    example.setdefault("virtual_routers", yaml.safe_load(ROUTERS))
    return NODES + yaml.safe_dump(example)


@pytest.mark.parametrize("place", EXAMPLES)
def test_an_example_is_valid(place: str, tmp_path: Path) -> None:
    example = yaml.safe_load(EXAMPLES[place].replace("/usr/local/bin/page", "/bin/true"))
    if "scenarios" in example:
        file = tmp_path / "scenarios.yaml"
        file.write_text(EXAMPLES[place])
        config = load(ROOT / "configs" / "quickstart.yaml").config
        assert config is not None
        assert load_scenarios(file, config).render() == ""
        return
    assert [found.message for found in load_text(tmp_path, whole(example)).diagnostics] == []


def test_there_are_examples() -> None:
    """The README's and those of the pages; whoever spells them otherwise would go untested."""
    fences = sum(page.read_text(encoding="utf-8").count("```yaml") for page in PAGES)
    assert len(EXAMPLES) >= fences > 10
