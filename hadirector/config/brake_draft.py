"""The section `brake:` as far as it holds: plain keys, and a check within it."""

from __future__ import annotations

from dataclasses import dataclass

from hadirector.config.brake_shape import BrakeShape
from hadirector.config.checks import add_layer, resolve
from hadirector.config.draft import Draft, check_fields
from hadirector.config.model import HealthCheck
from hadirector.config.nodes import Findings, Mapping, Node

_SECTIONS = frozenset({"control"})
CONTROL_PATH = "brake.control"


@dataclass(slots=True)
class BrakeDraft:
    """The section; `control` is None where something in that check is wrong.

    `written` is where the check stands; None where it is missing.
    """

    draft: Draft
    control: HealthCheck | None
    written: Node | None


def walk_brake(node: Node | None, findings: Findings) -> BrakeDraft | None:
    """Validate the section, where there is one."""
    if node is None:
        return None
    draft = Draft(node, "brake")
    check_fields(draft, BrakeShape, findings, sections=_SECTIONS)
    written = node.entries.get("control") if isinstance(node, Mapping) else None
    layers = add_layer((), written, CONTROL_PATH, findings)
    control = resolve(layers, layers[-1].node.place, findings) if layers else None
    return BrakeDraft(draft, control, written)
