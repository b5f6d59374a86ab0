"""From the verdicts of several checks to one: all of them, any of them, n of them.

The approach: with n of m needed, the whole is up as soon as n are up, down as soon as n cannot be
reached any more, and unknown in between. `all` is m of m, `any` 1 of m. Checks that only warn do
not come here.

Pure. Must never let an unknown verdict count for either side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from checkers.health import State


def combined(states: Sequence[State], require: int) -> State:
    """The verdict of several checks, of which `require` must be up; 0: all."""
    needed = require or len(states)
    up = sum(state is State.UP for state in states)
    down = sum(state is State.DOWN for state in states)
    if up >= needed:
        return State.UP
    return State.DOWN if len(states) - down < needed else State.UNKNOWN


def explained(sentences: Mapping[str, tuple[State, str]], require: int) -> str:
    """Why, by the name of each check: those of the losing side with their own reason."""
    states = [state for state, _ in sentences.values()]
    needed = require or len(states)
    up = sum(state is State.UP for state in states)
    head = f"{up} of {len(states)} checks up, {needed} needed"
    told = [
        f"{name} is {state}: {sentence}"
        for name, (state, sentence) in sentences.items()
        if state is not State.UP
    ]
    return "; ".join([head, *told])
