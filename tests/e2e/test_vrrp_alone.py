"""A configuration without services is VRRP alone: it needs no IPVS in the kernel, and nothing of
health checks or IPVS is loaded.

Two directors as users start them, in network namespaces of this host, whatever its kernel has.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.prerequisites import require
from tests.vrrp.world import World, eventually, open_place

CONFIGURATION = """
nodes:
  lb1: {address: 192.0.2.11, priority: 254}
  lb2: {address: 192.0.2.12, priority: 253}
virtual_routers:
  - {name: front, vrid: 51, interface: eth0, advertise: 100ms, addresses: [192.0.2.100/24]}
services: []
"""
VIP = "192.0.2.100/24"
PROGRAM = (sys.executable, "-W", "error", "-m", "hadirector")
SAYS_WHAT_IT_LOADED = """
import atexit, json, pathlib, sys
def tell():
    name = sys.orig_argv[sys.orig_argv.index("-m") + 1] if "-m" in sys.orig_argv else "none"
    pathlib.Path({place!r}, name + ".json").write_text(json.dumps(sorted(sys.modules)))
atexit.register(tell)
"""
"""As `sitecustomize`, which every Python process of the daemon loads."""
PROCESSES = ("hadirector.supervisor", "hadirector.director_program", "vrrp.worker")
UNUSED = ("checkers", "hadirector.ipvs", "hadirector.config", "hadirector.pool", "pydantic", "yaml")
"""What VRRP alone has no use for, nor a supervisor whatever the file says."""


def loaded_of(modules: list[str], unused: tuple[str, ...] = UNUSED) -> list[str]:
    return [name for name in modules if any(f"{name}.".startswith(f"{one}.") for one in unused)]


def test_a_pair_without_services_fails_over_and_complains_of_nothing(tmp_path: Path) -> None:
    require(namespaces=True)
    file = tmp_path / "vrrp.yaml"
    file.write_text(CONFIGURATION)
    with World() as world:
        hosts = {name: world.host(name) for name in ("lb1", "lb2")}
        world.link({hosts["lb1"]: "192.0.2.11/24", hosts["lb2"]: "192.0.2.12/24"})
        daemons: dict[str, subprocess.Popen[str]] = {}

        def start(name: str) -> None:
            state = tmp_path / name
            state.mkdir(exist_ok=True)
            (state / "sitecustomize.py").write_text(SAYS_WHAT_IT_LOADED.format(place=str(state)))
            environment = {**os.environ, "PYTHONPATH": str(state)}
            run = ("run", str(file), "--node", name, "--state-dir", str(state))
            with (tmp_path / f"{name}.log").open("a") as log:
                daemons[name] = hosts[name].start(
                    *PROGRAM, *run, stdout=log, stderr=log, env=environment
                )

        for name in hosts:
            start(name)
        eventually(lambda: VIP in hosts["lb1"].addresses(), "lb1 is active")
        eventually(lambda: VIP not in hosts["lb2"].addresses(), "lb2 is not")

        def status() -> str:
            return hosts["lb1"].run(*PROGRAM, "status", check=False)

        eventually(lambda: "active" in status(), "status tells it")
        assert "table" not in status()  # nothing about an IPVS that is not there
        daemons["lb1"].terminate()
        eventually(lambda: VIP in hosts["lb2"].addresses(), "lb2 took over")
        assert daemons["lb1"].wait(timeout=10) == 0
        assert VIP not in hosts["lb1"].addresses()
        start("lb1")  # nothing has to be ready here first: it takes over from a working peer
        eventually(lambda: VIP in hosts["lb1"].addresses(), "lb1 is active again")
        eventually(lambda: VIP not in hosts["lb2"].addresses(), "lb2 has yielded")
        daemons["lb1"].terminate()
        assert daemons["lb1"].wait(timeout=10) == 0
        daemons["lb2"].terminate()
        assert daemons["lb2"].wait(timeout=10) == 0
    for name in hosts:
        log_text = (tmp_path / f"{name}.log").read_text()
        assert "cannot be kept" not in log_text
        assert "Traceback" not in log_text
        for process in PROCESSES:
            modules = json.loads((tmp_path / name / f"{process}.json").read_text())
            assert "vrrp.messages" in modules
            assert not loaded_of(modules), process


def test_a_supervisor_loads_nothing_of_what_the_file_may_say() -> None:
    program = "import json, sys, hadirector.supervisor; print(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert not loaded_of(json.loads(done.stdout), (*UNUSED, "aiohttp", "rich", "pyroute2"))


def everybody(pid: int) -> list[int]:
    """A process and all that it and its children have started."""
    found = [pid]
    with suppress(FileNotFoundError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += everybody(int(child))
    return found


def test_hooks_for_the_end_are_not_cut_short_by_a_service_manager() -> None:
    """It signals all processes at once, and again what is left when the first one has ended."""
    require(namespaces=True)
    with open_place() as place, World() as world:
        told, file = place / "told", place / "vrrp.yaml"
        script = f"test $VRRP_STATE != init || sleep 4; echo $VRRP_STATE >> {told}"
        hook = f"hooks: [{{command: [/bin/sh, -c, '{script}']}}]"
        file.write_text(CONFIGURATION.replace("vrid: 51", f"vrid: 51, {hook}"))
        host, other = world.host("lb1"), world.host("lb2")
        world.link({host: "192.0.2.11/24", other: "192.0.2.12/24"})
        run = ("run", str(file), "--node", "lb1", "--state-dir", str(place / "state"))
        daemon = host.start(*PROGRAM, *run)
        eventually(lambda: told.exists() and "active" in told.read_text(), "the hook is told")
        for pid in everybody(daemon.pid):
            os.kill(pid, signal.SIGTERM)
        assert daemon.wait(timeout=15) == 0
        assert told.read_text().splitlines()[-1] == "init"
        assert VIP not in host.addresses()
