"""Planned switchovers of a rehearsal, whole and interrupted, told with the verbs of the stage.

An interrupted one must leave a pair that heals by itself: whatever dies, clients go on being
answered, and the roles are what they were or what was asked for, never something else.
"""

from __future__ import annotations

from hadirector.drill import together
from hadirector.drill.stage import Stage

SWITCHOVER_MS = 30_000.0
"""For the command to return: two looks, what the kernel gathers, and its wait."""
IN_THE_MIDDLE_MS = 1500.0
"""While the kernel of the active director sends what it has gathered."""


def switchover(stage: Stage) -> None:
    """The role moves to the other director and back, and nobody notices."""
    first, second = stage.active(), stage.backup()
    _await_peers(stage)
    for old, new in ((first, second), (second, first)):
        done, said = together.switchover(stage.directors[old], to=new)
        stage.expect(done, f"the switchover from {old} to {new} failed: {said}")
        stage.expect(stage.holds_all(new), f"{new} does not hold all addresses")
        stage.expect(stage.holds_none(old), f"{old} still holds an address")
        stage.note(f"{old} to {new}: {said}")
        stage.watch_clients()


def switchover_interrupted(stage: Stage) -> None:
    """The command, then the director process of either side, is killed in the middle of one."""
    first, second = stage.active(), stage.backup()
    _await_peers(stage)
    for hurt in (second, first):
        with together.switchover_under_way(stage.directors[first], to=second):
            stage.watch_clients(IN_THE_MIDDLE_MS)
            stage.kill(hurt, "director")
        stage.within(30_000, f"{hurt} is ready again", lambda hurt=hurt: stage.is_ready(hurt))  # type: ignore[misc]
        stage.expect(stage.holds_all(first), f"{first} does not hold all addresses any more")
        stage.note(f"director process of {hurt} killed in the middle: {first} stays active")
        _await_peers(stage)
    with together.switchover_under_way(stage.directors[first], to=second) as command:
        stage.watch_clients(IN_THE_MIDDLE_MS)
        command.kill()
    stage.within(SWITCHOVER_MS, f"{second} holds all", lambda: stage.holds_all(second))
    stage.note(f"the command killed in the middle: {second} becomes active all the same")
    stage.within(5000, f"{first} holds none", lambda: stage.holds_none(first))
    director = stage.directors[second]
    stage.within(  # the first one goes on for a moment, without its command
        2 * SWITCHOVER_MS, "it moves back", lambda: together.switchover(director, to=first)[0]
    )


def _await_peers(stage: Stage) -> None:
    directors = stage.directors.values()
    stage.within(
        30_000, "the directors hear each other", lambda: together.hear_each_other(directors)
    )
