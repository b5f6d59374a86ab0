"""The brakes of all services, and the control probe that they ask. One owner, one event loop.

The problem and the decisions are `brake`'s; here its machines get their news. A server counts for
its brake once its checks have passed in this process: what was adopted from the kernel, or has new
checks by a reload, and then fails without ever having passed is no collapse, it is a wrong check.

The control probe runs all the time, since one that has never passed proves nothing, and at once
when a brake comes on. Must never decide a weight: `pools` asks what is held.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from checkers.base import ProbeError, Target
from checkers.check import Check
from checkers.health import State
from checkers.once import run_once
from hadirector.brake import Brake, Phase
from hadirector.config.model import BrakeSettings
from hadirector.journal import Journal
from hadirector.pool import server_key
from hadirector.router_answers import Json
from hadirector.service_memory import Hold
from hadirector.turnover import Turnover

CONTROL: Final = "control"
KIND: Final = "brake"
_HELD = {
    Phase.ASKING: "the control probe is being asked whether it is our own link",
    Phase.HOLDING: "the control probe fails, too, so it is our own link",
    Phase.SETTLING: "the control probe passes again, and the servers may come back",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What there is to tell of the brakes, for programs, and what is wrong, for people."""

    control: Json | None = None  # the control probe; None: no brake is configured
    services: Mapping[str, Json] = field(default_factory=dict)
    trouble: tuple[str, ...] = ()


class Brakes:
    """All of them, by the name of the service; none without `brake:` in the file."""

    def __init__(
        self,
        journal: Journal,
        changed: Callable[[str], None],
        is_up: Callable[[str], bool],
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`changed` is told the key of a server whose service is to be decided anew.

        `is_up`: whether the checks of a server hold it for up.
        """
        self._journal = journal
        self._changed = changed
        self._is_up = is_up
        self._wall = wall
        self._settings: BrakeSettings | None = None
        self._brakes: dict[str, Brake] = {}
        self._servers: dict[str, set[str]] = {}  # by service; a fallback server is none of them
        self._serving: dict[str, set[str]] = {}  # by service: those up that have passed here
        self._wake = asyncio.Event()
        self._passes: bool | None = None  # the control probe; None: not tried yet
        self._found = "not tried yet"

    def adopt(self, config: BrakeSettings | None, turn: Turnover) -> None:
        """Go by this section from now on, for these services.

        Of those that are fresh, checks must pass before a failure counts.
        """
        before, self._settings = self._settings, config
        if config is None or before is None or config.control != before.control:
            self._passes, self._found = None, "not tried yet"
        for name in turn.gone:
            del self._servers[name], self._serving[name]
        for one in turn.fresh:
            self._servers[one.name] = {server_key(one, each) for each in one.servers}
            self._serving[one.name] = set()
        self._wake.set()
        if config is None:
            for name in self._brakes:
                self._changed(f"{name}/")
            self._brakes = {}
            return
        self._brakes = {
            name: self._brakes.get(name, Brake(config.limits)) for name in turn.services
        }
        for name, brake in self._brakes.items():
            brake.limits = config.limits
            self._tell(name, brake.keep_only(self._servers[name]))

    def passed(self, key: str) -> None:
        """A check of this server has passed."""
        name = _service(key)
        servers, serving = self._servers.get(name, set()), self._serving.get(name, set())
        if key not in serving and key in servers and self._is_up(key):
            serving.add(key)

    def turned(self, key: str, state: State) -> bool:
        """The verdict on this server changed; whether it is held, or was until now."""
        name = _service(key)
        if key not in self._servers.get(name, ()):
            return False
        brake, serving = self._brakes.get(name), self._serving[name]
        served = key in serving
        (serving.add if state is State.UP else serving.discard)(key)
        if brake is None:
            return False
        was_held = key in brake.held
        if state is State.UP:
            self._tell(name, brake.recovered(key))
        elif served:
            self._tell(name, brake.failed(key, _now(), serving=len(serving)))
        return was_held or key in brake.held

    def recall(self, holds: Mapping[str, Hold], in_service: Set[str]) -> None:
        """Go on with what was held before a restart: the servers that the kernel still serves."""
        for name, hold in holds.items():
            brake = self._brakes.get(name)
            if brake is None:
                continue
            there = [key for key in hold.held if key in self._servers[name] and key in in_service]
            since = _now() - (self._wall() - hold.since)
            self._tell(name, brake.resume(there, since=since, now=_now()))

    def holds(self) -> dict[str, Hold]:
        """What `recall` takes: what is held for our own link, by the name of the service."""
        return {
            name: Hold(self._wall() - (_now() - brake.since), tuple(brake.held))
            for name, brake in self._brakes.items()
            if brake.phase in (Phase.HOLDING, Phase.SETTLING)
        }

    def held(self, key: str) -> str:
        """Why the weight of this server is held; nothing where it is not."""
        brake = self._brakes.get(_service(key))
        if brake is None or key not in brake.held:
            return ""
        return f"its weight is held by the brake: {_HELD[brake.phase]}"

    def believe(self, service: str, *, by: str) -> str:
        """An operator's word that the servers of a service really failed: what came of it."""
        brake = self._brakes.get(service)
        if brake is None:
            return "no brake is configured"
        news = brake.believe()
        if news is None:
            return f"{service}: the brake holds nothing"
        self._tell(service, f"{news} ({by})")
        return f"{service}: {news}"

    async def run(self) -> None:
        """Ask the control probe in its time, and end what has been held for long enough."""
        next_at = _now()
        while True:
            self._wake.clear()
            settings = self._settings
            if settings is None:
                await self._wake.wait()
                continue
            if _now() >= next_at or self._is_asking:
                began = _now()
                passed, sentence = await _ask(settings)
                if settings.control == self._control:
                    self._heard(passed=passed, sentence=sentence, began=began)
                next_at = began + settings.control.timing.interval
            self._tick()
            dues = [brake.due for brake in self._brakes.values() if brake.due is not None]
            wait_s = max(0.0, min([next_at, *dues]) - _now())
            if not self._is_asking:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()

    def told(self) -> Told:
        """What `status` and `explain` tell."""
        settings = self._settings
        if settings is None:
            return Told()
        check = _check(settings).describe()
        services = {name: _brake_told(brake) for name, brake in self._brakes.items()}
        trouble = tuple(
            f"{name}: the weights of {len(brake.held)} servers that failed are held: "
            f"{_HELD[brake.phase]}; `hadirector believe {name}` ends it"
            for name, brake in self._brakes.items()
            if brake.phase is not Phase.READY
        )
        if self._passes is False:
            trouble += (f"the brake's control probe ({check}) fails: {self._found}",)
        control: Json = {"check": check, "passes": self._passes, "sentence": self._found}
        return Told(control=control, services=services, trouble=trouble)

    @property
    def _control(self) -> object:
        return None if self._settings is None else self._settings.control

    @property
    def _is_asking(self) -> bool:
        return any(brake.phase is Phase.ASKING for brake in self._brakes.values())

    def _heard(self, *, passed: bool, sentence: str, began: float) -> None:
        self._found = sentence
        if passed is not self._passes and (self._passes is not None or not passed):
            word = "passes again" if passed else "fails"
            self._journal.add(KIND, f"the brake's control probe {word}: {sentence}")
        self._passes = passed
        for name, brake in self._brakes.items():
            self._tell(name, brake.control(passed=passed, began=began, now=_now()))

    def _tick(self) -> None:
        for name, brake in self._brakes.items():
            self._tell(name, brake.tick(_now()))

    def _tell(self, name: str, news: str | None) -> None:
        if news is None:
            return
        self._journal.add(KIND, f"{name}: {news}", subject=name)
        self._changed(f"{name}/")
        self._wake.set()


def _brake_told(brake: Brake) -> Json:
    on, since_s = brake.phase is not Phase.READY, _now() - brake.since
    return {
        "phase": str(brake.phase),
        "held": [key.partition("/")[2] for key in brake.held],
        "for_s": since_s if on else None,
        "at_most_s": max(0.0, brake.limits.hold - since_s) if on else None,
    }


async def _ask(settings: BrakeSettings) -> tuple[bool, str]:
    """Whether the control probe passes, and what it found. One that cannot be made does not."""
    try:
        result = await run_once(_check(settings), keep_transcript=False)
    except ProbeError as error:
        return False, f"it cannot be made: {error}"
    return result.healthy, result.sentence


def _check(settings: BrakeSettings) -> Check:
    control = settings.control
    assert control.options.address is not None
    target = Target(control.options.address, control.options.port or 0)
    return Check(CONTROL, target, control.options, control.timing)


def _service(key: str) -> str:
    return key.partition("/")[0]


def _now() -> float:
    return asyncio.get_running_loop().time()
