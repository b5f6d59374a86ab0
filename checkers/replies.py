"""Whether an HTTP reply is the one expected.

Status first, then what the body must hold: a text, a match of a regular expression, a value in
JSON. Decides only; reads nothing from anywhere. Must never fail on what a server sent but with a
Failure that quotes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkers.base import Reason
from checkers.pattern import search
from checkers.recording import Failure, plain, quoted

if TYPE_CHECKING:
    from checkers.response import Reply

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a reply must be; what is None is not looked at."""

    statuses: frozenset[int]
    statuses_written: str
    """The same for people, as it was written."""
    contains: str | None = None
    matches: str | None = None
    """A regular expression that is found somewhere in the body."""
    json_key: str | None = None
    """Where in the body's JSON `json_value` must be, such as `a.b.0`."""
    json_value: Scalar | None = None


def judge(expected: Expected, reply: Reply) -> str:
    """What to say of a reply that passes; raises Failure for one that does not."""
    if reply.status not in expected.statuses:
        phrase = f" {quoted(reply.phrase, 40)}" if reply.phrase else ""
        where = f" to {quoted(reply.location)}" if reply.location else ""
        raise Failure(
            Reason.L7_STATUS,
            f"status {reply.status}{phrase}{where}, expected {expected.statuses_written}",
        )
    _judge_body(expected, reply)
    return f"status {reply.status}"


def _judge_body(expected: Expected, reply: Reply) -> None:
    if expected.contains is not None and expected.contains.encode() not in reply.body:
        wanted = quoted(expected.contains.encode(), 40)
        raise _unexpected(reply, f"does not contain {wanted}")
    if expected.matches is not None:
        text = reply.body.decode("utf-8", "replace")
        if search(expected.matches, text) is None:
            raise _unexpected(reply, f"does not match {quoted(expected.matches.encode(), 40)}")
    if expected.json_key is not None:
        try:
            found = _look_up(json.loads(reply.body), expected.json_key)
        except LookupError as error:
            raise _unexpected(reply, f"has no {error.args[0]}") from error
        except (ValueError, RecursionError) as error:
            raise _unexpected(reply, "is not JSON") from error
        if not _same(found, expected.json_value):
            wanted, seen = _shown(expected.json_value), _shown(found)
            raise _unexpected(reply, f"has {expected.json_key} = {seen}, expected {wanted}")


def _unexpected(reply: Reply, what: str) -> Failure:
    extent = "" if reply.whole else f"the first {len(reply.body)} bytes of "
    return Failure(
        Reason.L7_CONTENT,
        f"status {reply.status}, but {extent}the body ({quoted(reply.body, 40)}) {what}",
    )


def _look_up(value: object, key: str) -> object:
    """The value at `a.b.0`; raises LookupError with how far there is nothing."""
    walked: list[str] = []
    for step in key.split("."):
        walked.append(step)
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise LookupError(".".join(walked))
    return value


def _same(found: object, wanted: object) -> bool:
    """Equal, and of one JSON type: `true` is not 1, but 1.0 is."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    return found == wanted


def _shown(value: object) -> str:
    return plain(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"), 40)
