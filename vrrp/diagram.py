"""The transitions as the documentation shows them: a diagram, and a table with the actions.

Both are made from `transitions`, so that they cannot say anything else than the machine does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vrrp.events import State
from vrrp.transitions import TRANSITIONS, Trigger

BEGIN: Final = "<!-- made by `make docs` from vrrp/transitions.py: begin -->"
END: Final = "<!-- made by `make docs` from vrrp/transitions.py: end -->"

MEANINGS: Final = {
    Trigger.START: "the interface can be used",
    Trigger.START_AS_OWNER: "the same, with priority 255",
    Trigger.SILENCE: "nobody was heard for the active-down time",
    Trigger.ADVERTISE: "the interval has passed",
    Trigger.LEAVING: "the active router says goodbye",
    Trigger.SUPERIOR: "an advertisement to be respected",
    Trigger.INFERIOR: "an advertisement not to be respected",
    Trigger.PEER_LEAVING: "another member of the group heard a goodbye",
    Trigger.PEER_INFERIOR: "another member of the group heard a weaker active router",
    Trigger.PEER_YIELDED: "an active peer, unheard, has stepped back (so the peer channel says)",
    Trigger.LEAD: "another member of the group became active",
    Trigger.FOLLOW: "another member of the group stepped back",
    Trigger.LATE: "silent for so long that a peer must have taken over",
    Trigger.FAULT: "the interface cannot be used",
    Trigger.STOP: "take part no longer",
}
"""What each trigger means, for people."""


def with_transitions(page: str) -> str:
    """Return a page with its part between BEGIN and END made anew; raises ValueError without."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no place for the transitions")
    made = "\n".join(["", "```mermaid", *_diagram(), "```", "", *_table(), ""])
    return f"{before}{BEGIN}{made}{END}{after}"


def _diagram() -> Iterator[str]:
    """Yield the changes of state; what leaves a state as it is stands in the table only."""
    yield "stateDiagram-v2"
    yield f"    [*] --> {State.INIT}"
    edges: dict[tuple[State, State], list[str]] = {}
    for (state, trigger), (to, _) in TRANSITIONS.items():
        if to is not state:
            edges.setdefault((state, to), []).append(_name(trigger.name))
    for (state, to), names in edges.items():
        yield f"    {state} --> {to}: {', '.join(names)}"


def _table() -> Iterator[str]:
    yield "| in state | what happens | | next state | actions, in this order |"
    yield "|---|---|---|---|---|"
    for (state, trigger), (to, actions) in TRANSITIONS.items():
        done = ", ".join(_name(action.name) for action in actions) or "none"
        yield f"| {state} | {_name(trigger.name)} | {MEANINGS[trigger]} | {to} | {done} |"


def _name(constant: str) -> str:
    return constant.lower().replace("_", " ")
