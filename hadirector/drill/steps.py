"""The steps that a scenario file may write, and how each is played on the stage.

`active` and `backup` mean the directors that were so when the scenario began: after a fault the
words would say something else with every step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from hadirector.config.model import Server
from hadirector.drill.links import Links, Netem
from hadirector.drill.stage import Stage

ACTIVE, BACKUP = "active", "backup"
ROLES = (ACTIVE, BACKUP)
PROCESSES = ("supervisor", "vrrp", "director")


@dataclass(frozen=True, slots=True)
class Director:
    """A director by its name or role, and where needed one of its processes."""

    name: str
    process: str = ""

    def __str__(self) -> str:
        """As the file writes it."""
        return f"{self.name}/{self.process}" if self.process else self.name


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What happens to the links of a director."""

    on: Director
    how: Netem


@dataclass(frozen=True, slots=True)
class Command:
    """A command on a director, as a colleague would run it."""

    on: Director
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What must be true, all of it; None is not asked. `within_ms`: how long it may take."""

    active: Director | None = None
    ready: Director | None = None
    gone: Director | None = None
    server_in: Server | None = None
    server_out: Server | None = None
    journaled: str | None = None
    within_ms: float = 0.0


Value: TypeAlias = Director | Server | float | Disturbance | Command | Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of a scenario: a verb of VERBS and what it takes."""

    verb: str
    value: Value
    line: int


@dataclass(frozen=True, slots=True)
class _Cast:
    """The stage, and who had which role at the beginning."""

    stage: Stage
    roles: Mapping[str, str]

    def name(self, director: Director) -> str:
        return self.roles.get(director.name, director.name)


def play(steps: Sequence[Step], stage: Stage) -> None:
    """Play the steps in order. Raises BrokenPromiseError where a wait ends without success."""
    roles = {}
    if stage.routers:
        active = stage.active()
        roles = {ACTIVE: active, BACKUP: next(n for n in stage.directors if n != active)}
    for step in steps:
        VERBS[step.verb](_Cast(stage, roles), step.value)


def _on_director(act: Callable[[Stage, str], object]) -> Callable[[_Cast, Value], None]:
    def run(cast: _Cast, value: Value) -> None:
        assert isinstance(value, Director)
        act(cast.stage, cast.name(value))

    return run


def _on_links(act: Callable[[Links, str], object]) -> Callable[[_Cast, Value], None]:
    return _on_director(lambda stage, name: act(stage.links, name))


def _on_process(act: Callable[[Stage, str, str], object]) -> Callable[[_Cast, Value], None]:
    def run(cast: _Cast, value: Value) -> None:
        assert isinstance(value, Director)
        act(cast.stage, cast.name(value), value.process)

    return run


def _on_server(act: Callable[[Stage, Server], object]) -> Callable[[_Cast, Value], None]:
    def run(cast: _Cast, value: Value) -> None:
        assert isinstance(value, Server)
        act(cast.stage, value)

    return run


def _wait(cast: _Cast, value: Value) -> None:
    assert isinstance(value, float)
    cast.stage.watch_clients(value * 1000)


def _disturb(cast: _Cast, value: Value) -> None:
    assert isinstance(value, Disturbance)
    cast.stage.links.disturb(cast.name(value.on), value.how)


def _run(cast: _Cast, value: Value) -> None:
    assert isinstance(value, Command)
    cast.stage.run(cast.name(value.on), *value.argv)


def _wait_for(cast: _Cast, value: Value) -> None:
    assert isinstance(value, Condition)
    for what, holds in _asked(cast, value):
        took_ms = cast.stage.within(value.within_ms, what, holds)
        cast.stage.note(f"{what} after {took_ms:.0f} ms")


def _expect(cast: _Cast, value: Value) -> None:
    assert isinstance(value, Condition)
    for what, holds in _asked(cast, value):
        cast.stage.expect(holds(), f"not so: {what}")


def _asked(cast: _Cast, wanted: Condition) -> list[tuple[str, Callable[[], bool]]]:
    """Each thing that a condition asks, with how to see it."""
    stage = cast.stage
    found: list[tuple[str, Callable[[], bool]]] = []
    if wanted.active is not None:
        name = cast.name(wanted.active)
        found.append((f"{name} alone is active", lambda: stage.who_is_active() == name))
    if wanted.ready is not None:
        ready = cast.name(wanted.ready)
        found.append((f"{ready} is ready", lambda: stage.is_ready(ready)))
    if wanted.gone is not None:
        gone = cast.name(wanted.gone)
        found.append((f"{gone} holds no virtual address", lambda: stage.holds_none(gone)))
    if (server := wanted.server_in) is not None:
        found.append((f"{server} is in every table", lambda: stage.in_all(server)))
    if (other := wanted.server_out) is not None:
        found.append((f"{other} is out of every table", lambda: not stage.in_any(other)))
    if (kind := wanted.journaled) is not None:
        found.append((f"an event {kind} is journaled", lambda: stage.journaled(kind)))
    return found


VERBS: Mapping[str, Callable[[_Cast, Value], None]] = MappingProxyType(
    {
        "kill": _on_process(Stage.kill),
        "freeze": _on_process(Stage.freeze),
        "stop": _on_director(Stage.stop),
        "start": _on_director(Stage.start),
        "power_off": _on_director(Stage.power_off),
        "power_on": _on_director(Stage.power_on),
        "cut": _on_links(Links.cut),
        "heal": _on_links(Links.plug),
        "netem": _disturb,
        "clear": _on_links(Links.clear),
        "cut_vrrp": _on_links(Links.cut_vrrp),
        "heal_vrrp": _on_links(Links.heal_vrrp),
        "server_down": _on_server(Stage.kill_server),
        "server_up": _on_server(Stage.start_server),
        "reload": _on_director(lambda stage, name: stage.reload(name, expect_accepted=True)),
        "run": _run,
        "wait": _wait,
        "wait_for": _wait_for,
        "expect": _expect,
    }
)
"""Every verb and what plays it."""
