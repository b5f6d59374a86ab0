"""The drills on a running pair: what each takes, does, and must show. Pure.

The problem: a fault made on purpose on the host that carries traffic. The approach: each drill is
a value, worked out from what is known of the pair before anything happens: what speaks against it,
its steps with their undo (`sequence`), what must be seen while they last, and how long clients may
wait. Every fault is volatile: nothing is written that a reboot does not heal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from hadirector import elections
from hadirector.config.model import Config
from hadirector.drill import budgets
from hadirector.drill.sequence import Run, Signal, Step
from hadirector.ipvs.model import VirtualAddress
from hadirector.peer.switchover import Obstacle

Status = Mapping[str, Any]
"""What `hadirector status --json` says; empty while nobody answers."""

ACTIVE, BACKUP = "active", "backup"
SWITCHOVER_S = 80.0  # for the command to return (`cli.switchover`)
SERVICE_MANAGER_S = 130.0  # TimeoutStopSec of the unit, and a little
RESTART_MS = 75_000.0  # heartbeat and start of the director process
PACKAGES = {"ip": "iproute2", "umount": "mount", "nsenter": "util-linux"}  # else of the same name
SLACK_S = 10.0  # a step lasts no longer than what must be seen may take, and this


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An interface of this host, and what would not come back by itself once it was down.

    `addresses`: static ones of IPv6, as `ip address add` takes them; `routes`: by IP version, as
    `ip route replace` takes them. `why_not`: why the operator may need it; empty: no reason.
    """

    name: str
    up: bool = True
    addresses: tuple[str, ...] = ()
    routes: tuple[tuple[int, str], ...] = ()
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known before a drill begins."""

    node: str
    peer: str  # the other node; empty where there is none
    config: Config
    status: Status
    started: Mapping[str, tuple[int, int]]  # by process: its pid, and when it began (proc(5))
    program: tuple[str, ...]  # how hadirector is called here, the runtime directory not included
    runtime_dir: str
    unit: str = ""  # of systemd, that runs the daemon; empty: none does
    service: str = ""  # of the file, where the operator has named one
    interface: str = ""  # where the operator has named one
    link: Link | None = None  # that interface, if it is there
    own_addresses: frozenset[str] = frozenset()  # of this host
    way_to: Callable[[str], str] = lambda _: ""  # the interface that leads to an address, if any
    tools: frozenset[str] = frozenset()  # programs that are there
    enter: tuple[str, ...] = ()  # before a command that shall see the daemon's own mounts

    @property
    def active_here(self) -> tuple[str, ...]:
        """The virtual routers that are active on this director."""
        return tuple(r["name"] for r in self.status["routers"] if r["state"] == ACTIVE)

    def command(self, *words: str, bound_s: float) -> Run:
        """A command of hadirector on this director."""
        return Run((*self.program, *words, "--runtime-dir", self.runtime_dir), bound_s=bound_s)


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen at one moment: what this director says, and whom the wire tells of."""

    status: Status
    heard: frozenset[str] = frozenset()
    """Virtual routers that another director has advertised since the drill began."""
    journaled: tuple[str, ...] = ()
    """What this director has journaled since: `kind: sentence`."""


@dataclass(frozen=True, slots=True)
class Promise:
    """Something that must become true, and within how many ms of the last step."""

    text: str
    within_ms: float
    holds: Callable[[Look], bool]


Planned = tuple[tuple[Step, ...], tuple[Promise, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One of them. `moves`: the other director becomes active, so this one must be active now."""

    name: str
    title: str
    plan: Callable[[Facts], Planned]
    budget_ms: Callable[[Facts], float]
    moves: bool = False
    lacks: Callable[[Facts], list[Obstacle]] = field(default=lambda _facts: [])


def obstacles(drill: Drill, facts: Facts) -> list[Obstacle]:
    """Everything that speaks against a drill now; nothing was touched yet."""
    status = facts.status
    found = []
    if not status["ready"]:
        found.append(Obstacle(f"{facts.node} is not ready: its first round of checks goes on"))
    found += [Obstacle(f"{facts.node}: {sentence}") for sentence in status["trouble"]]
    failures = status["table"]["failures"]
    found += [Obstacle(f"{facts.node}: the kernel refused {sentence}") for sentence in failures]
    if drill.moves:
        found += _of_pair(facts)
    return [*found, *drill.lacks(facts)]


def tool(facts: Facts, name: str) -> list[Obstacle]:
    """A program that a drill takes, if it is not there."""
    package = PACKAGES.get(name, name)
    missing = Obstacle(f"{name} is not there: install {package}", final=True)
    return [] if name in facts.tools else [missing]


def _of_pair(facts: Facts) -> list[Obstacle]:
    peer = facts.status["peer"]
    if peer is None:
        sentence = "there is no peer channel in the file: whether the other one lives is not known"
        return [Obstacle(sentence, final=True)]
    if not peer["connected"] or peer["ready"] is None:
        return [Obstacle(f"{facts.peer} is not heard on the peer channel", final=True)]
    found = []
    if not facts.active_here:
        sentence = f"{facts.node} is active for nothing: run it on {facts.peer}"
        found.append(Obstacle(sentence, final=True))
    for name in facts.active_here:
        state = peer["routers"].get(name, {}).get("state", "unknown")
        if state != BACKUP:
            found.append(Obstacle(f"{name} is {state} on {facts.peer}, not backup", final=True))
    if not peer["ready"]:
        found.append(Obstacle(f"{facts.peer} is not ready: its first round of checks goes on"))
    if peer["paused"]:
        found.append(Obstacle(f"{facts.peer} is paused"))
    if not peer["same_file"]:
        found.append(Obstacle(f"{facts.node} and {facts.peer} run different configurations"))
    found += [Obstacle(f"{facts.peer}: {sentence}") for sentence in peer["trouble"]]
    found += [Obstacle(sentence) for sentence in peer["disagreements"]]
    sync = facts.status["sync"]
    if sync is not None and not sync["running"]:
        found.append(Obstacle(f"connections are not synced: {sync['sentence']}"))
    return found


def first_url(facts: Facts) -> str:
    """What a client may ask unless told otherwise: the first service that has an address."""
    for service in facts.config.services:
        listen = service.listen
        if isinstance(listen, VirtualAddress) and str(listen.protocol) in ("tcp", "udp"):
            host = f"[{listen.address}]" if listen.address.version == 6 else str(listen.address)
            return f"{listen.protocol}://{host}:{listen.port}"
    return ""


# What must be seen


def taken_over(facts: Facts, within_ms: float) -> Promise:
    """The peer is active, by its own word or on the wire."""
    names = frozenset(facts.active_here)

    def holds(look: Look) -> bool:
        theirs = (look.status.get("peer") or {}).get("routers", {})
        told = {name for name in names if theirs.get(name, {}).get("state") == ACTIVE}
        return names <= told | look.heard

    return Promise(f"{facts.peer} is active", within_ms, holds)


def restarted(facts: Facts, name: str, within_ms: float) -> Promise:
    """The process is another one than before."""
    before = facts.started[name][0]

    def holds(look: Look) -> bool:
        pid = (look.status.get("processes") or {}).get(name, {}).get("pid")
        return bool(look.status.get("ready")) and pid not in (None, before)

    return Promise(
        f"the {name} process is another one, and this director is ready", within_ms, holds
    )


def healed(facts: Facts, look: Look) -> str:
    """What is not yet as it should be after a drill; empty: all is well."""
    status = look.status
    if not status:
        return f"the director process of {facts.node} does not answer"
    if not status["ready"]:
        return f"{facts.node} is not ready"
    if None in (each.get("pid") for each in status["processes"].values()):
        return f"a process of {facts.node} is down"
    peer = status["peer"] or {}
    if facts.status["peer"] and not peer.get("connected"):
        return f"{facts.peer} is not heard on the peer channel"
    for router in status["routers"]:
        name, here = router["name"], router["state"]
        there = peer.get("routers", {}).get(name, {}).get("state", BACKUP)
        if facts.status["peer"] and sorted((here, there)) != [ACTIVE, BACKUP]:
            return f"{name} is {here} on {facts.node} and {there} on {facts.peer}"
        if here == ACTIVE and set(router["held"]) != set(router["addresses"]):
            return f"{facts.node} does not hold all addresses of {name}"
        if name in facts.active_here and here != ACTIVE and _comes_back(facts, name):
            return f"{name} is not back on {facts.node}, which preempts"
    for server in sorted(servers_up(facts.status) - servers_up(status)):
        return f"{server} is not up again"
    new = set(status["trouble"]) - set(facts.status["trouble"])
    return "; ".join(sorted(new))


def servers_up(status: Status) -> set[str]:
    """The servers that are up by their checks, as `service/server`."""
    return {
        f"{service['name']}/{server['server']}"
        for service in status["services"]
        for server in service["servers"]
        if server["state"] == "up"
    }


def _comes_back(facts: Facts, name: str) -> bool:
    router = next(each for each in facts.config.virtual_routers if each.name == name)
    return bool(facts.peer) and elections.outranks(facts.config, router, facts.node, facts.peer)


# The drills of roles and processes


def lasting(promises: tuple[Promise, ...]) -> float:
    """How long the step is held at most, in seconds."""
    return sum(promise.within_ms for promise in promises) / 1000 + SLACK_S


def _switchover(facts: Facts) -> Planned:
    promises = (taken_over(facts, 5000.0),)
    there, back = (
        facts.command("switchover", "--to", node, "--json", bound_s=SWITCHOVER_S)
        for node in (facts.peer, facts.node)
    )
    text = f"give the active role to {facts.peer}"
    return (Step(text=text, act=there, undo=back, hold_s=lasting(promises)),), promises


def _stop(facts: Facts) -> Planned:
    promises = (taken_over(facts, budgets.will_ms(facts.config) + 2000.0),)
    stop = Run(("systemctl", "stop", facts.unit), bound_s=SERVICE_MANAGER_S)
    step = Step(
        text=f"stop {facts.unit}",
        act=stop,
        undo=_started_again(facts),
        hold_s=lasting(promises),
    )
    return (step,), promises


def _started_again(facts: Facts) -> Run:
    return Run(("systemctl", "start", facts.unit), bound_s=SERVICE_MANAGER_S)


def _unit(facts: Facts) -> list[Obstacle]:
    if facts.unit:
        return []
    sentence = "the daemon is run by no service of systemd: nobody would start it again"
    return [Obstacle(sentence, final=True)]


def _crash(process: str, text: str) -> Callable[[Facts], Planned]:
    def plan(facts: Facts) -> Planned:
        pid, started = facts.started[process]
        promises = [restarted(facts, process, RESTART_MS)]
        if process != "director":
            promises.insert(0, taken_over(facts, budgets.will_ms(facts.config) + 2000.0))
        # The supervisor is started again by the service manager, or, where that does not, by us.
        undo = _started_again(facts) if process == "supervisor" else None
        act = Signal(pid, started, "SIGKILL")
        step = Step(text=text, act=act, undo=undo, hold_s=lasting(tuple(promises)))
        return (step,), tuple(promises)

    return plan


def _freeze(process: str, text: str) -> Callable[[Facts], Planned]:
    def plan(facts: Facts) -> Planned:
        pid, started = facts.started[process]
        promises = [restarted(facts, process, RESTART_MS)]
        if process == "vrrp":
            promises.insert(0, taken_over(facts, budgets.freeze_ms(facts.config) + 2000.0))
        step = Step(
            text=text,
            act=Signal(pid, started, "SIGSTOP"),
            undo=Signal(pid, started, "SIGCONT"),
            hold_s=lasting(tuple(promises)),
        )
        return (step,), tuple(promises)

    return plan


def _processes(*names: str) -> Callable[[Facts], list[Obstacle]]:
    def lacks(facts: Facts) -> list[Obstacle]:
        return [
            Obstacle(f"the {name} process is not there", final=True)
            for name in names
            if name not in facts.started
        ]

    return lacks


def _last_will(_facts: Facts) -> float:
    return budgets.LAST_WILL_MS


def unharmed(_facts: Facts) -> float:
    """What is meant to cost nothing."""
    return budgets.UNHARMED_MS


ROLE_DRILLS: Mapping[str, Drill] = MappingProxyType(
    {
        drill.name: drill
        for drill in (
            Drill(
                name="switchover",
                title="planned switchover, there and back",
                plan=_switchover,
                budget_ms=_last_will,
                moves=True,
            ),
            Drill(
                name="stop",
                title="this director's daemon is stopped; started again",
                plan=_stop,
                budget_ms=_last_will,
                moves=True,
                lacks=_unit,
            ),
            Drill(
                name="crash-director",
                title="kill -9 of this director's director process",
                plan=_crash("director", "kill -9 the director process"),
                budget_ms=unharmed,
                lacks=_processes("director"),
            ),
            Drill(
                name="crash-vrrp",
                title="kill -9 of this director's VRRP worker",
                plan=_crash("vrrp", "kill -9 the VRRP worker"),
                budget_ms=_last_will,
                moves=True,
                lacks=_processes("vrrp"),
            ),
            Drill(
                name="crash-supervisor",
                title="kill -9 of this director's supervisor",
                plan=_crash("supervisor", "kill -9 the supervisor"),
                budget_ms=unharmed,
                moves=True,
                lacks=lambda facts: [*_unit(facts), *_processes("supervisor")(facts)],
            ),
            Drill(
                name="freeze-director",
                title="this director's director process freezes (SIGSTOP)",
                plan=_freeze("director", "freeze the director process"),
                budget_ms=unharmed,
                lacks=_processes("director"),
            ),
            Drill(
                name="freeze-vrrp",
                title="this director's VRRP worker freezes (SIGSTOP)",
                plan=_freeze("vrrp", "freeze the VRRP worker"),
                budget_ms=unharmed,
                moves=True,
                lacks=_processes("vrrp"),
            ),
        )
    }
)
"""Those that concern roles and processes, in the order of `drill list`."""
