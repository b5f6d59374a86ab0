"""The layers that a server's weight comes of, each told by itself. Pure.

The problem: "weight 0" may be an administrator's word, a failed check, or the server's own wish,
and each is undone elsewhere. The approach, HAProxy's: three layers that never mix (by hand, health,
what the server itself asks for), told side by side, each order with what would take it back.
"""

from __future__ import annotations

from collections.abc import Iterator

from hadirector.pool import Member, Order, describe

_UNDOING = {Order.WEIGHT: "weight {} default"}
"""The command that takes an order back, where that is not `enable`."""


def layers(member: Member, state: str | None) -> str:
    """The three in one sentence; `state`: by its checks, None for one that has none."""
    orders = ", ".join(map(str, member.overrides)) or "nothing"
    asked = "nothing" if member.advice is None else describe(member.advice)
    return f"layers: by hand: {orders}; health: {state or 'not checked'}; by itself: {asked}"


def undoings(name: str, member: Member) -> Iterator[str]:
    """What would end the brake's hold, and take back each order that was given by hand."""
    if member.held:
        service = name.partition("/")[0]
        yield f"the brake lets go when the check passes, or by `hadirector believe {service}`"
    for one in member.overrides:
        command = _UNDOING.get(one.order, "enable {}").format(name)
        yield f"`hadirector {command}` takes back: {one}"
