"""The verdict on servers with several checks, on a virtual clock and under generated histories."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.base import Advice, Reason, Result, Target
from checkers.check import Check
from checkers.combination import combined
from checkers.health import State, Transition
from checkers.timing import Timing
from hadirector.checks import ServerChecks
from hadirector.health_store import HealthStore
from hadirector.journal import Journal
from hadirector.verdicts import Verdicts
from tests.checkers.scripted import Scripted
from tests.checkers.virtual_time import run_virtual

KEY = "web/10.0.0.1:80"
TIMING = Timing(interval=1.0, timeout=0.5, rise=2, fall=2, spread=0.0)
Answers = dict[int, list[bool]]


def server(answers: Answers, *, advisory: int = 0, require: int = 0) -> ServerChecks:
    """One check for each list of answers, by port; after its end all pass."""

    async def answer(target: Target) -> bool:
        left = answers[target.port]
        return left.pop(0) if left else True

    options = Scripted(script=answer, started=[], first_probe=asyncio.Event())
    target = Target(ip_address("10.0.0.1"), 80)
    checks = (
        Check(f"{KEY} c{port}", target, replace(options, port=port), TIMING) for port in answers
    )
    return ServerChecks(tuple(checks), advisory, require)


class Told:
    """Everything that was told of servers."""

    def __init__(self, directory: Path | None = None) -> None:
        self.journal = Journal(None)
        self.states: list[State] = []
        self.results: list[Result] = []
        store = HealthStore(directory or Path("/nonexistent"), self.journal)
        self.verdicts = Verdicts(self.journal, store, self._transition, self._result)

    def _transition(self, key: str, transition: Transition) -> None:
        assert key == KEY
        assert transition.before is (self.states[-1] if self.states else transition.before)
        self.states.append(transition.after)

    def _result(self, key: str, result: Result) -> None:
        assert key == KEY
        self.results.append(result)

    async def over(
        self,
        servers: Mapping[str, ServerChecks],
        seconds: float,
        *,
        in_service: set[str] | None = None,
        each: Callable[[], None] = lambda: None,
    ) -> None:
        self.verdicts.update(servers, servers.keys(), in_service or set())
        task = asyncio.create_task(self.verdicts.scheduler.run())
        for _ in range(int(seconds * 4)):
            await asyncio.sleep(0.25)
            each()
        await self.verdicts.scheduler.aclose()
        await task


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.booleans(), max_size=12), min_size=2, max_size=4),
    st.integers(0, 4),
    st.integers(0, 2),
    st.booleans(),
)
def test_the_verdict_is_that_of_its_checks_at_every_moment(
    answers: list[list[bool]], require: int, advisory: int, adopted: bool
) -> None:
    advisory = min(advisory, len(answers) - 1)
    counting = len(answers) - advisory
    require = min(require, counting)
    told = Told()

    def holds() -> None:
        view = told.verdicts.view(KEY)
        states = [part.view.state for part in view.parts if part.counts]
        assert len(states) == counting
        assert view.state is combined(states, require)
        assert not told.states or told.states[-1] is view.state
        if view.state is not State.UNKNOWN or told.states:
            started = State.UP if adopted else State.UNKNOWN
            assert (told.states or [started])[-1] is view.state

    async def main() -> None:
        of_port = {81 + place: [*one] for place, one in enumerate(answers)}
        one = {KEY: server(of_port, advisory=advisory, require=require)}
        await told.over(one, 16, in_service={KEY} if adopted else set(), each=holds)
        assert told.verdicts.view(KEY).state is State.UP  # in the end all pass

    run_virtual(main())
    for before, after in zip(told.states, told.states[1:], strict=False):
        assert before is not after


def test_advice_of_one_check_is_not_undone_by_another() -> None:
    async def main() -> None:
        told = Told()
        one = server({81: [], 82: []})
        told.verdicts.update({KEY: one}, {KEY}, {KEY})
        passed = Result(healthy=True, reason=Reason.OK, sentence="", latency_ms=0.1, at=1.0)
        asks = replace(passed, advice=Advice(weight=3))
        for check, result in ((1, asks), (0, passed), (1, passed)):
            told.verdicts._result(one.checks[check].key, result)
        assert [result.advice for result in told.results] == [Advice(weight=3)] * 2 + [None]

    run_virtual(main())


def test_an_advisory_check_that_fails_is_journaled_and_changes_nothing() -> None:
    async def main() -> None:
        told = Told()
        await told.over({KEY: server({81: [], 82: [False] * 99}, advisory=1)}, 20)
        assert told.states == [State.UP]
        assert any(
            f"{KEY}: check c82 (advisory) is down" in event.sentence
            for event in told.journal.newest(20)
        )

    run_virtual(main())


def test_verdicts_survive_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        told = Told(tmp_path)
        await told.over({KEY: server({81: [], 82: [False] * 99})}, 20)
        assert told.states == [State.DOWN]
        await told.verdicts.aclose()
        again = Told(tmp_path)
        again.verdicts.update({KEY: server({81: [], 82: []})}, {KEY}, set())
        view = again.verdicts.view(KEY)
        assert view.state is State.DOWN
        assert [part.view.state for part in view.parts] == [State.UNKNOWN, State.DOWN]
        assert view.parts[1].view.failures > 2
        assert not again.states  # what is only remembered is no news

    run_virtual(main())
