"""The rehearsal itself, run where there is IPVS:
`python -m hadirector.drill.inside FILE WORKDIR SCENARIO-FILE NAME...`.

It builds the world of a file, starts the pair in it, plays the named scenarios (of hadirector, or
of the scenario file; "" is none) and emits what happens, event by event, for whoever shows it
(`hadirector rehearse`). It knows nothing of terminals.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path

from hadirector.config.loader import load
from hadirector.config.model import Config
from hadirector.connection_sync import SYNC_WINDOW_S
from hadirector.drill import timeline
from hadirector.drill.actor import DirectorActor
from hadirector.drill.clients import Clients, Experience
from hadirector.drill.result import Result
from hadirector.drill.scenario_file import load_scenarios
from hadirector.drill.scenarios import SCENARIOS, Scenario
from hadirector.drill.scene import BrokenPromiseError
from hadirector.drill.stage import Stage
from hadirector.drill.world_file import WorldFile, with_extra_server
from hadirector.ipvs.model import FirewallMark, Protocol, ServiceKey, VirtualAddress
from hadirector.lab.actors import Actor, start_actors
from hadirector.lab.client_loop import ProbeTarget
from hadirector.lab.errors import LabError
from hadirector.lab.marks import marked
from hadirector.lab.namespaces import BuiltWorld
from hadirector.lab.observe import Observer
from hadirector.lab.place import PREFIX_VARIABLE, emit
from hadirector.lab.probes import Client
from hadirector.lab.roles import Listener
from hadirector.lab.world import Machine, RealServer, build_world

REFERENCE_TARGET = ProbeTarget(Protocol.TCP, "127.0.0.1", 1024)
"""Below the ports that the client's probes leave from."""


def main() -> int:
    """Play what the command line says; the file was checked before."""
    file, workdir, scenario_file, *names = sys.argv[1:]
    config = load(file).config
    assert config is not None, f"{file} is not valid"
    scenarios = dict(SCENARIOS)
    if scenario_file:
        scenarios |= load_scenarios(Path(scenario_file), config).scenarios
    chosen = [scenarios[name] for name in names]
    rehearse(Path(file), config, Path(workdir), chosen=chosen)
    return 0


def rehearse(file: Path, config: Config, workdir: Path, *, chosen: list[Scenario]) -> None:
    """Build the world and play the scenarios; what cannot be done is an `error` event."""
    try:
        with ExitStack() as exits:
            _tell("phase", text="building the world")
            stage, clients = _set_up(exits, file, config, workdir)
            _tell("phase", text="starting the directors")
            for director in stage.directors.values():
                director.start()
                exits.callback(director.stop)
            started_at = time.monotonic()
            stage.heal()
            _tell("ready", seconds=time.monotonic() - started_at, memory=_memory(stage))
            for scenario in chosen:
                if why := scenario.lacks():
                    _tell("left-out", name=scenario.name, why=why)
                    continue
                _tell("scenario", name=scenario.name, title=scenario.title)
                result = _play(scenario, stage, clients)
                _tell("result", result=result.to_json())
                if result.faults:
                    _tell("evidence", name=scenario.name, logs=_tails(workdir))
            _tell("phase", text="taking the world down")
    except (LabError, BrokenPromiseError) as error:
        _tell("error", text=str(error), logs=_tails(workdir))


def _tell(event: str, **facts: object) -> None:
    emit({"event": event, "at": time.time(), **facts})


def _set_up(exits: ExitStack, file: Path, config: Config, workdir: Path) -> tuple[Stage, Clients]:
    working = WorldFile(file, config, workdir)
    world = build_world(
        with_extra_server(config, working.extra), prefix=os.environ[PREFIX_VARIABLE]
    )
    built = exits.enter_context(BuiltWorld(world))
    servers = start_actors(world.servers, workdir)
    for actor in servers.values():
        exits.callback(actor.kill)
    observer = Observer(
        {name: machine.namespace for name, machine in world.directors.items()}, home=world.fabric
    )
    observer.start()
    exits.callback(observer.stop)
    target = _target(config)
    reference = Actor(_beside(world.client))
    reference.start()
    exits.callback(reference.kill)
    client = Client(world.client, [target, REFERENCE_TARGET])
    client.start()
    exits.callback(client.stop)
    clients = Clients(client, connects=target.protocol is Protocol.TCP)
    directors = {
        name: DirectorActor(name, machine, built, workdir=workdir, file=working.path)
        for name, machine in world.directors.items()
    }
    stage = Stage(
        config=config,
        file=working,
        built=built,
        directors=directors,
        servers=servers,
        clients=clients,
        observer=observer,
    )
    return stage, clients


def _beside(client: Machine) -> RealServer:
    """The server beside the client, which answers whatever becomes of the directors."""
    return RealServer(
        name="reference",
        address=ip_address(REFERENCE_TARGET.address),
        machine=client,
        listeners=(Listener(protocol=Protocol.TCP, port=REFERENCE_TARGET.port),),
        udp_addresses=(),
    )


def _target(config: Config) -> ProbeTarget:
    """What the clients ask: the first service."""
    service = config.services[0]
    listen: ServiceKey | None = service.listen
    if isinstance(listen, FirewallMark):
        listen = marked(config).get(listen)
    if listen is None:
        raise LabError(
            f"{service.name} listens on a firewall mark, and no virtual address of IPv"
            f"{service.listen.version} is free to ask it at; add one, or another service before it"
        )
    assert isinstance(listen, VirtualAddress)
    return ProbeTarget(listen.protocol, str(listen.address), listen.port)


def _play(scenario: Scenario, stage: Stage, clients: Clients) -> Result:
    """One scenario, from healthy to measured."""
    started_at = time.monotonic()
    faults: list[str] = []
    before: str | None = None
    with _noting(faults):
        scenario.prepare(stage)
    promised = scenario.promises_connections(stage.config)
    settles = promised or scenario.settles
    clients.begin(settle_s=SYNC_WINDOW_S if settles else 0.0)
    stage.begin()
    began_at = time.monotonic()
    if not faults:
        before = stage.who_is_active()
        with _noting(faults):
            scenario.act(stage)
    after = stage.who_is_active()
    ended_at = time.monotonic()
    experience = clients.finish()
    summary = experience.summary
    course = timeline.make(
        began_at=began_at,
        ended_at=ended_at,
        moments=stage.moments,
        active=stage.active_spans(),
        outage=(summary.gap_began_at, (summary.longest_gap_ms + summary.stalled_ms) / 1000),
    )
    return _result(
        scenario,
        stage,
        experience,
        course=course,
        before=before,
        after=after,
        faults=[*faults, *stage.faults, *experience.faults, *scenario.judge(experience)],
        seconds=time.monotonic() - started_at,
    )


@contextmanager
def _noting(faults: list[str]) -> Iterator[None]:
    """Turn what breaks a scenario into a fault of it."""
    try:
        yield
    except (BrokenPromiseError, LabError) as error:
        faults.append(str(error))


def _result(
    scenario: Scenario,
    stage: Stage,
    experience: Experience,
    *,
    course: timeline.Timeline,
    before: str | None,
    after: str | None,
    faults: list[str],
    seconds: float,
) -> Result:
    return Result(
        name=scenario.name,
        title=scenario.title,
        outage_ms=experience.summary.longest_gap_ms,
        budget_ms=scenario.budget_ms(stage.config),
        stalled_ms=experience.summary.stalled_ms,
        requests=experience.summary.requests,
        requests_lost=experience.summary.lost,
        losses=experience.summary.failures,
        connections_opened=experience.connections.opened,
        connections_kept=experience.connections.kept,
        connections_promised=scenario.promises_connections(stage.config),
        active_before=before,
        active_after=after,
        notes=tuple(stage.notes),
        faults=tuple(faults),
        seconds=seconds,
        timeline=course,
    )


def _memory(stage: Stage) -> dict[str, dict[str, int]]:
    """Resident memory of each process of each director, in KiB (proc(5): VmRSS)."""
    found: dict[str, dict[str, int]] = {}
    for name, director in stage.directors.items():
        found[name] = {}
        for process, pid in director.pids().items():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    found[name][process] = int(line.split()[1])
    return found


def _tails(workdir: Path) -> dict[str, str]:
    return {path.stem: _tail(path) for path in sorted(workdir.glob("*.log"))}


def _tail(path: Path, lines: int = 40) -> str:
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


if __name__ == "__main__":
    sys.exit(main())
