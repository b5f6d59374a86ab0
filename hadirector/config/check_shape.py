"""The shape of a check in the file: one kind's options, timing, and what it is among several.

As in `shape`, of which it is a part: descriptions and bounds, from the library's own dataclasses
where it has them. No checks across keys here.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from annotated_types import MaxLen
from pydantic import BaseModel, Field, PlainValidator
from pydantic.json_schema import WithJsonSchema

from checkers.registry import KINDS
from checkers.timing import Timing
from hadirector.config.adapter import model_from
from hadirector.config.diagnostics import UnfitError

KIND_DEFAULT = "tcp"
CHECK_MARK = "x-check"
CHECKS_MAX = 16
"""Of one server."""
_LABEL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"

_LABEL: Any = (
    Annotated[str, MaxLen(64), Field(pattern=_LABEL_PATTERN)],
    Field(default=None, description="What the check is called where there are several."),
)
_ADVISORY: Any = (
    bool,
    Field(
        default=False,
        description="Whether the check only warns, and never takes a server out; of several.",
    ),
)
CHECK_ITEM: dict[str, Any] = {"label": _LABEL, "advisory": _ADVISORY}
"""Keys of every check that are neither timing nor options."""


@cache
def check_shape(kind: str) -> type[BaseModel]:
    """The options and timing of one kind of check; none is required, since all are inherited."""
    return model_from(
        Timing,
        KINDS[kind],
        name=f"{kind.capitalize()}Check",
        partial=True,
        without=KINDS[kind].lacks,
        **CHECK_ITEM,
        type=(str, Field(default=kind, description="The kind of check.", pattern=f"^{kind}$")),
    )


def _require(value: object) -> int:
    words = {"all": 0, "any": 1}
    if isinstance(value, str) and value in words:
        return words[value]
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise UnfitError(f"{value!r} is not how many checks must pass", "write all, any, or a number")


CHECK_REF: dict[str, Any] = {CHECK_MARK: True}
"""`sections` validates a check by its kind; for editors, `schema` puts all kinds here."""


OneCheck = Annotated[object, WithJsonSchema(CHECK_REF)]
Require = Annotated[
    int,
    PlainValidator(_require),
    WithJsonSchema({"anyOf": [{"enum": ["all", "any"]}, {"type": "integer", "minimum": 1}]}),
]
REQUIRE = (
    "How many of several checks must hold a server for up: `all` (also if unwritten), `any`, or a "
    "number. Advisory ones do not count."
)
