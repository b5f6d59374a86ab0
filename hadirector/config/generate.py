"""Writes what is made from the models: the JSON Schema and the reference page (`make docs`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from hadirector.config.reference import reference_text
from hadirector.config.schema import schema_text
from vrrp.diagram import with_transitions

ROOT = Path(__file__).parent.parent.parent
_VRRP = ROOT / "docs" / "vrrp.md"
GENERATED: Mapping[Path, Callable[[], str]] = {
    ROOT / "configs" / "hadirector.schema.json": schema_text,
    ROOT / "docs" / "configuration.md": reference_text,
    _VRRP: lambda: with_transitions(_VRRP.read_text(encoding="utf-8")),
}
"""Each file and what it must hold."""


def main() -> None:
    """Write every file that is not current."""
    for path, make in GENERATED.items():
        text = make()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
