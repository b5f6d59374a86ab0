"""Every drill, cut short at each of its steps: whatever was begun is put back, in reverse order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hadirector.drill.catalogue import DRILLS
from hadirector.drill.sequence import Effect, End, Perform, PutBack, Sequence, Step
from tests.hadirector.drill.facts import facts

LIMIT_S = 10_000.0
PLANS = {name: drill.plan(facts())[0] for name, drill in DRILLS.items()}
MOMENTS = [(name, number) for name, steps in PLANS.items() for number in range(len(steps))]


def _until_step(steps: tuple[Step, ...], number: int) -> tuple[Sequence, float]:
    """The machine while the action of that step is under way, and what time it is."""
    machine, now = Sequence(steps, limit_s=LIMIT_S), 0.0
    effects = machine.begin(now)
    for before in range(number):
        assert effects == [Perform(before)]
        effects = machine.performed(now)
        if not effects:  # it lasts
            now += steps[before].hold_s
            effects = machine.elapsed(now)
    assert effects == [Perform(number)]
    return machine, now


def _undone(machine: Sequence, effects: list[Effect]) -> list[int]:
    """The steps that are put back, in that order, until it is over."""
    undone = []
    while not isinstance(effects[0], End):
        (effect,) = effects
        assert isinstance(effect, PutBack)
        undone.append(effect.number)
        effects = machine.put_back(effect.number)
    return undone


def _owed(steps: tuple[Step, ...], last: int) -> list[int]:
    return [n for n in range(last, -1, -1) if steps[n].undo is not None]


@pytest.mark.parametrize("cut", [Sequence.abort, Sequence.failed], ids=["ctrl-c", "failed"])
@pytest.mark.parametrize(("name", "number"), MOMENTS)
def test_cut_short_while_a_step_is_done(
    name: str, number: int, cut: Callable[[Sequence, str], list[Effect]]
) -> None:
    steps = PLANS[name]
    machine, _ = _until_step(steps, number)
    assert _undone(machine, cut(machine, "cut short")) == _owed(steps, number)


@pytest.mark.parametrize("name", DRILLS)
def test_cut_short_while_the_last_step_lasts(name: str) -> None:
    steps = PLANS[name]
    machine, now = _until_step(steps, len(steps) - 1)
    assert machine.performed(now) == []
    assert _undone(machine, machine.abort("interrupted")) == _owed(steps, len(steps) - 1)


@pytest.mark.parametrize("name", DRILLS)
def test_who_did_it_dies_and_another_one_puts_everything_back(name: str) -> None:
    """It does not know how far the first one came, so it undoes all of it."""
    steps = PLANS[name]
    another = Sequence(steps, limit_s=LIMIT_S)
    undone = _undone(another, another.put_all_back("the keeper died"))
    assert undone == _owed(steps, len(steps) - 1)
