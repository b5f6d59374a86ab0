"""A planned switchover, as far as it is decided: who takes what from whom, and what speaks against.

The problem: a switchover that is asked for at the wrong moment is an outage with an author. The
approach: both directors' states side by side, before anything happens; each thing that is missing
is a sentence. Most can be overridden; what would make two active, or nobody, cannot.

How it goes then (`mover`): the active director sends what its kernel has gathered of connections,
then caps its priority below the other's; the other becomes active at once, without waiting, and the
first one steps back on hearing its advertisement, as VRRP has it. So an address is on the new one
before it leaves the old one. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hadirector.peer.messages import RouterState, State
from vrrp.packet import PRIORITY_OWNER

SYNCED_PERCENT = 95
"""Of the connections that stand on the active director, those that the other must hold."""
ACTIVE = "active"
BACKUP = "backup"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that speaks against it. `final`: even --force does not override it."""

    sentence: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """Who takes which virtual routers from whom. None of them: there is nothing to do."""

    new: str
    old: str
    routers: tuple[str, ...]


def direction(states: Mapping[str, State], to: str) -> Move | Obstacle:
    """What is meant by a switchover to this node; empty: away from the one that is active."""
    if to and to not in states:
        known = ", ".join(states)
        return Obstacle(f'no director is called "{to[:64]}"; there is: {known}', final=True)
    names = dict.fromkeys(name for state in states.values() for name in state.routers)
    if not names:
        return Obstacle("no virtual router is known of", final=True)
    if not to:
        idle = [node for node, state in states.items() if not _active(state)]
        if len(idle) != 1:
            return Obstacle("each is active for something: name one with --to", final=True)
        to = idle[0]
    old = next(node for node in states if node != to)
    moved = tuple(name for name in names if name not in _active(states[to]))
    return Move(to, old, moved)


def _active(state: State) -> list[str]:
    return [name for name, router in state.routers.items() if router.state == ACTIVE]


def obstacles(move: Move, states: Mapping[str, State]) -> list[Obstacle]:
    """Everything that speaks against it now."""
    new, old = states[move.new], states[move.old]
    found = []
    for node, state in states.items():
        if not state.ready:
            found.append(Obstacle(f"{node} is not ready: its first round of checks goes on"))
        if state.paused:
            found.append(Obstacle(f"{node} is paused"))
    if new.digest != old.digest:
        found.append(Obstacle(f"{move.new} and {move.old} run different configurations"))
    for name in move.routers:
        found += _of_router(name, move, new.routers.get(name), old.routers.get(name))
    if new.health.up < old.health.up:
        sentence = f"{move.new} reaches {new.health.up} servers, {move.old} {old.health.up}"
        found.append(Obstacle(sentence))
    found += _of_sync(move, new, old)
    found += [Obstacle(f"{move.new}: {sentence}") for sentence in new.trouble]
    return found


def _of_router(
    name: str, move: Move, new: RouterState | None, old: RouterState | None
) -> list[Obstacle]:
    """What speaks against it in the election of one virtual router."""
    if new is None or new.state != BACKUP:
        state = "unknown" if new is None else new.state
        return [Obstacle(f"{name} is {state} on {move.new}, not backup", final=True)]
    if old is None or old.state != ACTIVE:
        state = "unknown" if old is None else old.state
        return [Obstacle(f"{name} is {state} on {move.old}, not active", final=True)]
    if not new.hears:
        sentence = f"{move.new} hears no advertisement of {name}: both would be active"
        return [Obstacle(sentence, final=True)]
    if old.priority == PRIORITY_OWNER:
        sentence = f"{move.old} owns the addresses of {name} (priority 255) and yields to nobody"
        return [Obstacle(sentence, final=True)]
    if new.weighed < 2:
        sentence = f"the priority of {move.new} for {name} is {new.weighed}: nothing is below it"
        return [Obstacle(sentence, final=True)]
    if new.weighed < new.configured:
        sentence = (
            f"the priority of {move.new} for {name} is lowered from {new.configured} to "
            f"{new.weighed} by what it tracks"
        )
        return [Obstacle(sentence)]
    return []


def _of_sync(move: Move, new: State, old: State) -> list[Obstacle]:
    """What speaks against it in connection sync, where that is configured."""
    if not new.sync.duty and not old.sync.duty:
        return []
    if BACKUP not in new.sync.daemons:
        return [Obstacle(f"the kernel of {move.new} does not receive connections")]
    if ACTIVE not in old.sync.daemons:
        return [Obstacle(f"the kernel of {move.old} does not send its connections")]
    return []


def not_synced(move: Move, held: int, of: int) -> list[Obstacle]:
    """What speaks against it in a sample of connections that stand on the old one."""
    if held >= of * SYNCED_PERCENT / 100:
        return []
    return [Obstacle(f"{move.new} holds {held} of {of} connections that stand on {move.old}")]


def caps(move: Move, states: Mapping[str, State]) -> dict[str, int]:
    """By virtual router, the most that the old one's priority may be for the new one to win."""
    new = states[move.new]
    return {name: new.routers[name].weighed - 1 for name in move.routers}
