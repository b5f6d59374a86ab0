"""Configuration texts that several tests build on."""

from __future__ import annotations

from pathlib import Path

from hadirector.config.loader import Loaded, load
from hadirector.config.model import Config

NODES = """\
nodes:
  lb1: {address: 192.0.2.11, priority: 254}
  lb2: {address: 192.0.2.12, priority: 253}
"""
ROUTERS = """\
virtual_routers:
  - {name: front, vrid: 51, interface: eth0, addresses: [192.0.2.100/24]}
"""
HEAD = NODES + ROUTERS


def load_text(directory: Path, text: str) -> Loaded:
    """Load a text as if it were a file."""
    file = directory / "pair.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file)


def config_of(directory: Path, text: str) -> Config:
    """The configuration of a text without mistakes."""
    loaded = load_text(directory, text)
    assert loaded.config is not None, loaded.render()
    return loaded.config


def findings_of(directory: Path, text: str) -> list[str]:
    """Every finding of a text, as `line:column path: message`, without severity and file."""
    return [
        f"{found.line}:{found.column} {found.path}: {found.message}"
        for found in load_text(directory, text).diagnostics
    ]
