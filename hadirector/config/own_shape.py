"""What may differ between the directors of one virtual router, and what must not.

The problem: one file describes the pair, and yet an interface may have another name on the second
director, or each of the two shall be preferred for another address. The approach: below a virtual
router, `nodes:` names a director and the keys that are its own. Most keys may be; those by which
directors recognise each other may not, because two that do not would both be active.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel

from hadirector.config.adapter import declare, model_from, translate
from vrrp.config import RouterSettings

_UNHEARD: Final = "they would not understand each other, and both would be active"
MUST_AGREE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "vrid": _UNHEARD,
        "version": _UNHEARD,
        "password": _UNHEARD,
        "checksum": _UNHEARD,
        "advertise": "one would be given up while it still works, and both would be active",
        "addresses": "both would be active for what only one of them advertises",
        "excluded": "what only one of them holds would not move to the other",
        "virtual_mac": "the addresses would have another hardware address after a takeover",
        "group": "on one director these would move together, on the other alone",
    }
)
"""Keys that are the same on all directors, and what came of it if they were not."""

_NAMES: Final = ("name", *MUST_AGREE)


def _own_shape() -> type[BaseModel]:
    hints = typing.get_type_hints(RouterSettings, include_extras=True)
    own: dict[str, Any] = {
        item.name: (translate(hints[item.name]), declare(None, hints[item.name]))
        for item in fields(RouterSettings)
        if item.name not in _NAMES
    }
    return model_from(name="RouterOfNode", **own)


RouterOfNodeShape = _own_shape()
RouterOfNodeShape.__doc__ = (
    "What differs on one director. A key that is not written here is as the virtual router says, "
    "and the priority is that of the director. "
    + ", ".join(f"`{name}`" for name in MUST_AGREE)
    + " must be the same on all directors: those that do not recognise each other would both be "
    "active. Virtual routers of one group have one priority on a director."
)
