"""The order of a drill: interrupted at every step, whatever was begun is put back, in reverse."""

import pytest

from hadirector.drill.sequence import (
    Effect,
    End,
    Perform,
    Phase,
    PutBack,
    Run,
    Sequence,
    Step,
)

STEPS = [
    Step(text="cut", act=Run(("cut",)), undo=Run(("plug",)), hold_s=2),
    Step(text="look", act=Run(("look",))),
    Step(text="freeze", act=Run(("freeze",)), undo=Run(("thaw",)), hold_s=3),
]


class World:
    """Carries out effects on a set of things that are not as they should be."""

    def __init__(self, *, fails_at: int | None = None, undo_fails: int | None = None) -> None:
        self.sequence = Sequence(STEPS, limit_s=20)
        self.disturbed: list[int] = []
        self.ended: str | None = None
        self.now = 100.0
        self.moves = 0
        self._fails_at = fails_at
        self._undo_fails = undo_fails

    def take(self, effects: list[Effect], *, stop_after: int | None = None) -> None:
        while effects:
            (effect,) = effects
            self.moves += 1
            match effect:
                case End(why):
                    self.ended = why
                    return
                case Perform(number):
                    if STEPS[number].undo is not None:
                        self.disturbed.append(number)
                    if self.moves == stop_after:  # the command is gone while this is under way
                        effects = self.sequence.abort("gone")
                        continue
                    fails = number == self._fails_at
                    effects = (
                        self.sequence.failed("no") if fails else self.sequence.performed(self.now)
                    )
                case PutBack(number):
                    assert self.disturbed[-1] == number, "not in reverse order"
                    self.disturbed.pop()
                    why_not = "stuck" if number == self._undo_fails else ""
                    effects = self.sequence.put_back(number, why_not=why_not)

    def live(self, *, abort_at: float | None = None) -> None:
        """Go on until it has ended; bounded."""
        for _ in range(50):
            if self.ended is not None:
                return
            deadline = self.sequence.next_deadline()
            assert deadline is not None
            self.now = deadline
            if abort_at is not None and self.now >= abort_at:
                self.take(self.sequence.abort("gone"))
                return
            self.take(self.sequence.elapsed(self.now))
        raise AssertionError("it does not end")


def test_all_steps_in_order_then_all_put_back_in_reverse() -> None:
    world = World()
    world.take(world.sequence.begin(world.now))
    assert world.disturbed == [0]
    world.live()
    assert (world.ended, world.disturbed) == ("", [])
    assert world.now == 105  # both were held


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_interrupted_while_a_step_is_under_way_it_is_put_back_all_the_same(stop_after: int) -> None:
    world = World()
    world.take(world.sequence.begin(world.now), stop_after=stop_after)
    while world.ended is None:
        world.now = world.sequence.next_deadline() or world.now
        world.take(world.sequence.elapsed(world.now), stop_after=stop_after)
    assert (world.ended, world.disturbed) == ("gone", [])


@pytest.mark.parametrize("abort_at", [100.0, 101.0, 102.0, 103.0, 105.0])
def test_interrupted_while_a_step_lasts_it_is_put_back(abort_at: float) -> None:
    world = World()
    world.take(world.sequence.begin(world.now))
    world.live(abort_at=abort_at)
    assert (world.ended, world.disturbed) == ("gone", [])


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_step_that_fails_ends_it_and_everything_begun_is_put_back(number: int) -> None:
    world = World(fails_at=number)
    world.take(world.sequence.begin(world.now))
    world.live()
    assert (world.ended, world.disturbed) == (f"{STEPS[number].text}: no", [])


def test_an_undo_that_fails_keeps_no_other_from_being_tried() -> None:
    world = World(undo_fails=2)
    world.take(world.sequence.begin(world.now))
    world.live()
    assert world.ended == "freeze is not put back: stuck"
    assert world.disturbed == []
    assert world.sequence.not_put_back == [2]


def test_the_time_of_the_whole_is_limited() -> None:
    sequence = Sequence(STEPS, limit_s=1)
    sequence.begin(0.0)
    assert sequence.next_deadline() == 1
    assert sequence.elapsed(1.0) == [PutBack(0)]
    assert sequence.put_back(0) == [End("not done within 1 s")]


def test_what_comes_late_changes_nothing() -> None:
    sequence = Sequence(STEPS, limit_s=9)
    sequence.begin(0.0)
    sequence.abort("gone")
    assert sequence.performed(1.0) == []
    assert sequence.abort("again") == []
    sequence.put_back(0)
    assert sequence.phase is Phase.ENDED
    assert sequence.put_back(0) == []
    with pytest.raises(ValueError, match="begins once"):
        sequence.begin(2.0)


def test_a_step_ends_early_once_everything_was_seen() -> None:
    world = World()
    world.take(world.sequence.begin(world.now))
    assert world.sequence.phase is Phase.HOLDING
    world.take(world.sequence.enough(world.now))
    assert world.disturbed == [0, 2]
    world.take(world.sequence.enough(world.now))
    assert (world.ended, world.disturbed) == ("", [])
    assert world.sequence.enough(world.now) == []


def test_somebody_else_puts_everything_back_whatever_was_begun() -> None:
    world = World()
    world.disturbed = [0, 2]
    world.take(world.sequence.put_all_back("gone"))
    assert (world.ended, world.disturbed) == ("gone", [])
    with pytest.raises(ValueError, match="this sequence is"):
        world.sequence.put_all_back("again")
