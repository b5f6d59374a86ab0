"""Pydantic's findings in this project's words.

The problem: "Input should be a valid integer, unable to parse string as an integer" says neither
what was written nor what is allowed. The approach: one short sentence per kind of error, the bounds
beside it. Kinds that are not listed fall back to pydantic's own sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic_core import ErrorDetails

from hadirector.config.diagnostics import Rule, UnfitError, choices
from hadirector.config.durations import format_duration
from hadirector.config.nodes import Node, Scalar, describe, plain
from hadirector.config.scalars import resolve

_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "is_instance_of": "something else",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the greatest value of a field, where it has them."""

    low: object = None
    high: object = None
    is_duration: bool = False

    def __str__(self) -> str:
        """As in `write 1 to 255`."""
        return f"write {self.range()}"

    def range(self) -> str:
        """As in `1 to 255`; nothing where there are no bounds."""
        low, high = self._text(self.low), self._text(self.high)
        if low and high:
            return f"{low} to {high}"
        return (f"{low} or more" if low else "") or (f"{high} or less" if high else "")

    def _text(self, bound: object) -> str:
        if isinstance(bound, int | float):
            return format_duration(bound) if self.is_duration else f"{bound}"
        return ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one finding of pydantic means."""

    rule: Rule
    message: str
    hint: str = ""


def explain(error: ErrorDetails, node: Node, bounds: Bounds) -> Explanation:
    """Say what is wrong with the value at `node`."""
    kind = error["type"]
    context = error.get("ctx", {})
    if kind == "value_error":
        return _own(context["error"])
    if kind in _WANTED:
        message = f"expected {_WANTED[kind]}, found {found(node)}"
        return Explanation(Rule.WRONG_TYPE, message, _quotes(kind, node))
    if kind in ("greater_than_equal", "less_than_equal"):
        if not bounds.range():  # of a field within a section of its own
            bounds = Bounds(context.get("ge"), context.get("le"))
        return Explanation(Rule.OUT_OF_RANGE, f"{bare(node)} is out of range", str(bounds))
    if kind in ("enum", "literal_error"):
        allowed = _allowed(context)
        message = f"{describe(node)} is none of the choices"
        return Explanation(Rule.UNKNOWN_CHOICE, message, choices(str(plain(node)), allowed))
    return _by_length(kind, context, node) or Explanation(Rule.BAD_VALUE, error["msg"])


def found(node: Node) -> str:
    """What stands at `node`, with its type where that is the mistake."""
    value = plain(node)
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the truth value {bare(node)}"
    if isinstance(value, int | float):
        return f"the number {bare(node)}"
    return f"the text {describe(node)}" if isinstance(value, str) else describe(node)


def bare(node: Node) -> str:
    """What stands at `node`, without quotes."""
    return describe(node).strip('"')


def _quotes(kind: str, node: Node) -> str:
    """Whether quotes are all that is wrong."""
    if not isinstance(node, Scalar) or not node.text:
        return ""
    if kind == "string_type":
        return f'write "{node.text}"'
    meant = resolve(node.text) if isinstance(node.value, str) else None
    wanted = {"int_type": int, "bool_type": bool}.get(kind)
    return f"write {node.text} without quotes" if wanted and type(meant) is wanted else ""


def _own(error: object) -> Explanation:
    if isinstance(error, UnfitError):
        return Explanation(error.rule, str(error), error.hint)
    return Explanation(Rule.BAD_VALUE, str(error))


def _allowed(context: Mapping[str, object]) -> list[str]:
    """Pydantic gives `'GET', 'HEAD' or 'OPTIONS'`."""
    return str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")


def _by_length(kind: str, context: Mapping[str, object], node: Node) -> Explanation | None:
    if kind in ("string_too_short", "too_short"):
        return Explanation(
            Rule.BAD_VALUE, "nothing is written here" if _is_empty(node) else "too short"
        )
    if kind in ("string_too_long", "too_long"):
        most = context["max_length"]
        return Explanation(Rule.BAD_VALUE, f"{describe(node)} is longer than {most}")
    if kind == "string_pattern_mismatch":
        return Explanation(
            Rule.BAD_VALUE,
            f"{describe(node)} is no name",
            "use letters, digits, dots, dashes and underscores",
        )
    return None


def _is_empty(node: Node) -> bool:
    return not plain(node)
