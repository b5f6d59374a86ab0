"""Scenarios that users write themselves, in YAML: read, and checked like the configuration.

    scenarios:
      - name: worker-dies
        outage: 500ms
        kept: 10
        steps:
          - kill: active/vrrp
          - wait_for: {active: backup, within: 2s}

Everything wrong is found in one go, with its place and a hint. Nothing is played here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel, Field

from hadirector.config.adapter import DURATION, STRICT
from hadirector.config.diagnostics import Diagnostic, Rule, choices, render
from hadirector.config.draft import Draft, check_fields
from hadirector.config.explain import found
from hadirector.config.include import Files
from hadirector.config.model import Config, Server
from hadirector.config.nodes import Findings, Mapping, Node, Sequence, is_broken
from hadirector.drill import steps
from hadirector.drill.clients import CONNECTIONS, Experience
from hadirector.drill.links import Netem
from hadirector.drill.scenarios import SCENARIOS, Scenario
from hadirector.drill.steps import Condition, Director, Step

SCENARIOS_MAX = 50
STEPS_MAX = 200
WAIT_S_MAX = 600.0
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
WITH_PROCESS = frozenset({"kill", "freeze"})
OF_SERVER = frozenset({"server_down", "server_up", "server_in", "server_out"})

Seconds = Annotated[float, *DURATION, Ge(0), Le(WAIT_S_MAX)]
Word = Annotated[str, MinLen(1), MaxLen(100)]


class ConditionShape(BaseModel):
    """What must be true; all that is written."""

    model_config = STRICT

    active: Word | None = None
    ready: Word | None = None
    gone: Word | None = None
    server_in: Word | None = None
    server_out: Word | None = None
    journaled: Word | None = None


class WaitForShape(ConditionShape):
    """The same, and how long it may take."""

    within: Seconds = 10.0


class NetemShape(BaseModel):
    """How the links of a director are disturbed."""

    model_config = STRICT

    director: Word
    delay: Seconds = 0.0
    jitter: Seconds = 0.0
    loss: Annotated[float, Ge(0), Le(100)] = Field(default=0.0)


class RunShape(BaseModel):
    """A command on a director."""

    model_config = STRICT

    director: Word
    command: Annotated[list[Word], MinLen(1), MaxLen(50)]


class StepShape(BaseModel):
    """One step; exactly one of these keys."""

    model_config = STRICT

    kill: Word | None = None
    freeze: Word | None = None
    stop: Word | None = None
    start: Word | None = None
    power_off: Word | None = None
    power_on: Word | None = None
    cut: Word | None = None
    heal: Word | None = None
    netem: None = None
    clear: Word | None = None
    cut_vrrp: Word | None = None
    heal_vrrp: Word | None = None
    server_down: Word | None = None
    server_up: Word | None = None
    reload: Word | None = None
    run: None = None
    wait: Seconds | None = None
    wait_for: None = None
    expect: None = None


SECTIONS: dict[str, type[BaseModel]] = {
    "netem": NetemShape,
    "run": RunShape,
    "wait_for": WaitForShape,
    "expect": ConditionShape,
}
"""Steps that take a mapping."""


class ScenarioShape(BaseModel):
    """One scenario."""

    model_config = STRICT

    name: Word
    title: Annotated[str, MaxLen(200)] = ""
    outage: Seconds
    kept: Annotated[int, Ge(0), Le(CONNECTIONS)] = 0
    lost: Annotated[int, Ge(0)] | None = None
    steps: None = None


class FileShape(BaseModel):
    """The whole file."""

    model_config = STRICT

    scenarios: None


@dataclass(frozen=True, slots=True)
class ScenarioFile:
    """What came of a file: its scenarios by name, none if anything is wrong."""

    scenarios: dict[str, Scenario]
    diagnostics: tuple[Diagnostic, ...]
    texts: dict[str, str]

    def render(self) -> str:
        """All findings for people."""
        return render(self.diagnostics, self.texts)


def load_scenarios(path: Path, config: Config) -> ScenarioFile:
    """Read a scenario file for this pair; never raises for what the file holds or lacks."""
    findings = Findings()
    files = Files(findings)
    root = files.read(path)
    reader = _Reader(config, findings)
    made = list(reader.scenarios(root)) if root is not None else []
    wrong = findings.failed
    return ScenarioFile(
        {} if wrong else {each.name: each for each in made}, tuple(findings), files.texts
    )


class _Reader:
    """Makes scenarios of nodes; what is wrong goes into the findings."""

    def __init__(self, config: Config, findings: Findings) -> None:
        self._config = config
        self._findings = findings
        self._servers = {
            str(server): server for service in config.services for server in service.servers
        }
        self._names: dict[str, Node] = {}

    def scenarios(self, root: Mapping) -> Iterator[Scenario]:
        check_fields(Draft(root, ""), FileShape, self._findings, sections=frozenset({"scenarios"}))
        for path, node in self._items(root, "scenarios", "", SCENARIOS_MAX):
            made = self._scenario(node, path)
            if made is not None:
                yield made

    def _items(self, parent: Mapping, key: str, path: str, most: int) -> Iterator[tuple[str, Node]]:
        node = parent.entries.get(key)
        where = f"{path}.{key}" if path else key
        if node is None or (is_broken(node) and not isinstance(node, Sequence)):
            return
        if not isinstance(node, Sequence) or not node.items:
            message = f"expected a list, found {found(node)}"
            if isinstance(node, Sequence):
                message = "the list is empty"
            self._error(Rule.WRONG_TYPE, node, where, message, f"write at least one of {key}")
            return
        if len(node.items) > most:
            self._error(
                Rule.OUT_OF_RANGE, node, where, f"{len(node.items)} {key}", f"{most} at most"
            )
            return
        for number, item in enumerate(node.items):
            yield f"{where}[{number}]", item

    def _error(self, rule: Rule, node: Node, path: str, message: str, hint: str = "") -> None:
        self._findings.error(rule, node, path=path, message=message, hint=hint)

    def _scenario(self, node: Node, path: str) -> Scenario | None:
        draft = Draft(node, path)
        if not check_fields(draft, ScenarioShape, self._findings, sections=frozenset({"steps"})):
            return None
        assert isinstance(node, Mapping)
        name = draft.get("name", str)
        if name is not None:
            self._check_name(name, draft)
        if "steps" not in node.entries:
            self._error(Rule.MISSING_KEY, node, path, '"steps" is missing', "write what happens")
        made = [self._step(n, p) for p, n in self._items(node, "steps", path, STEPS_MAX)]
        outage = draft.get("outage", float)
        ready = [step for step in made if step is not None]
        if name is None or outage is None or len(ready) < len(made):
            return None
        lost = draft.get("lost", int)
        return Scenario(
            name=name,
            title=draft.get("title", str) or name,
            act=partial(steps.play, ready),
            budget_ms=lambda _config: outage * 1000,
            judge=partial(_judge, kept=draft.get("kept", int) or 0, lost=lost),
            settles=bool(draft.get("kept", int)),
        )

    def _check_name(self, name: str, draft: Draft) -> None:
        node, path = draft.at("name"), draft.path_of("name")
        if not NAME.fullmatch(name):
            hint = "write small letters, digits and dashes, such as worker-dies"
            self._error(Rule.BAD_VALUE, node, path, f'"{name}" is no name of a scenario', hint)
        elif name in SCENARIOS:
            message = f'"{name}" is one of hadirector\'s own scenarios'
            self._error(Rule.DUPLICATE_NAME, node, path, message, "choose another name")
        elif name in self._names:
            first = self._names[name].place.seen_from(node.place)
            message = f'a second scenario "{name}"'
            self._error(Rule.DUPLICATE_NAME, node, path, message, f"the first is in {first}")
        else:
            self._names[name] = node

    def _step(self, node: Node, path: str) -> Step | None:
        draft = Draft(node, path)
        before = self._findings.reported
        if not check_fields(draft, StepShape, self._findings, sections=frozenset(SECTIONS)):
            return None
        assert isinstance(node, Mapping)
        written = [key for key in node.entries if key in steps.VERBS]
        if self._findings.reported > before:
            return None
        if len(written) != 1:
            message = f"a step does one thing, this one {' and '.join(written) or 'nothing'}"
            self._error(Rule.BAD_VALUE, node, path, message, "write a line with a dash for each")
            return None
        verb = written[0]
        value = self._value(verb, draft, node.entries[verb])
        if value is None:
            return None
        return Step(verb=verb, value=value, line=node.place.line)

    def _value(self, verb: str, draft: Draft, node: Node) -> steps.Value | None:
        if verb == "wait":
            return draft.get(verb, float)
        if verb in SECTIONS:
            inner = Draft(node, f"{draft.path}.{verb}")
            before = self._findings.reported
            check_fields(inner, SECTIONS[verb], self._findings)
            return self._section(verb, inner) if self._findings.reported == before else None
        if verb in OF_SERVER:
            return self._server(verb, draft)
        return self._director(verb, draft, with_process=verb in WITH_PROCESS)

    def _section(self, verb: str, draft: Draft) -> steps.Value | None:
        if verb in ("netem", "run"):
            on = self._director("director", draft)
            if on is None:
                return None
            if verb == "run":
                argv = draft.get("command", list) or []
                return steps.Command(on, tuple(map(str, argv)))
            return self._netem(on, draft)
        condition = Condition(
            active=self._director("active", draft),
            ready=self._director("ready", draft),
            gone=self._director("gone", draft),
            server_in=self._server("server_in", draft),
            server_out=self._server("server_out", draft),
            journaled=draft.get("journaled", str),
            within_ms=(draft.get("within", float) or 0.0) * 1000,
        )
        asked = [n for n in ConditionShape.model_fields if draft.get(n, str) is not None]
        if not asked:
            hint = f"write one of {', '.join(ConditionShape.model_fields)}"
            self._error(Rule.MISSING_KEY, draft.node, draft.path, "nothing is asked", hint)
            return None
        return condition

    def _netem(self, on: Director, draft: Draft) -> steps.Disturbance | None:
        how = Netem(
            delay_ms=(draft.get("delay", float) or 0.0) * 1000,
            jitter_ms=(draft.get("jitter", float) or 0.0) * 1000,
            loss_percent=draft.get("loss", float) or 0.0,
        )
        if how.jitter_ms and not how.delay_ms:
            node, path = draft.at("jitter"), draft.path_of("jitter")
            self._error(Rule.BAD_VALUE, node, path, "jitter without a delay", "write delay, too")
            return None
        if not str(how):
            hint = "write delay or loss; clear: ends it"
            self._error(Rule.BAD_VALUE, draft.node, draft.path, "nothing is disturbed", hint)
            return None
        return steps.Disturbance(on, how)

    def _director(self, key: str, draft: Draft, *, with_process: bool = False) -> Director | None:
        written = draft.get(key, str)
        if written is None:
            return None
        node, path = draft.at(key), draft.path_of(key)
        name, slash, process = written.partition("/")
        known = [*self._config.nodes, *(steps.ROLES if self._config.virtual_routers else ())]
        if name not in known:
            message = f'no director is called "{name}"'
            self._error(Rule.UNKNOWN_NODE, node, path, message, choices(name, known))
            return None
        if with_process and process not in steps.PROCESSES:
            message = f'"{written}" names no process' if slash else "the process is missing"
            hint = f"write {name}/vrrp; {choices(process, steps.PROCESSES)}"
            self._error(Rule.UNKNOWN_CHOICE, node, path, message, hint)
            return None
        if slash and not with_process:
            message = f"{key} takes a whole director"
            self._error(Rule.BAD_VALUE, node, path, message, f"write {name}")
            return None
        return Director(name, process)

    def _server(self, key: str, draft: Draft) -> Server | None:
        written = draft.get(key, str)
        if written is None or written in self._servers:
            return None if written is None else self._servers[written]
        message = f"no service has a server {written}"
        hint = choices(written, sorted(self._servers))
        self._error(Rule.BAD_VALUE, draft.at(key), draft.path_of(key), message, hint)
        return None


def _judge(experience: Experience, *, kept: int, lost: int | None) -> list[str]:
    """What of the scenario's promises the clients did not see kept."""
    faults = []
    if experience.connections.opened and experience.connections.kept < kept:
        said = f"{experience.connections.kept} of {experience.connections.opened} connections"
        faults.append(f"{said} were kept, {kept} are expected")
    if lost is not None and experience.summary.lost > lost:
        faults.append(f"{experience.summary.lost} requests were lost, {lost} may be")
    return faults
