"""What a drill has to know of the director that it runs on: its word, its file, its processes."""

from __future__ import annotations

import sys
from pathlib import Path

from hadirector.cli.client import ask
from hadirector.cli.errors import EXIT_CANNOT, EXIT_NO, CliError
from hadirector.drill.keeper import started_at
from hadirector.drill.live import Facts


def gather(runtime_dir: Path) -> Facts:
    """Ask the daemon of this host. Raises CliError: no daemon, or its file says something else."""
    from hadirector.config.loader import load

    status = dict(ask(runtime_dir, "/status"))
    file, node = str(status["file"]), str(status["node"])
    loaded = load(file)
    if loaded.config is None or loaded.digest != status["digest"]:
        sentence = f"{file} is not what the daemon runs"
        raise CliError(sentence, "reload it first: hadirector reload", EXIT_NO)
    processes = status["processes"]
    assert isinstance(processes, dict)
    started = {}
    for name, told in processes.items():
        since = None if told["pid"] is None else started_at(told["pid"])
        if since is not None:
            started[name] = (int(told["pid"]), since)
    supervisor = started.get("supervisor")
    if supervisor is None:
        sentence = "the supervisor's process is not seen from here"
        raise CliError(sentence, "run this beside the daemon, not in a container", EXIT_CANNOT)
    others = [name for name in loaded.config.nodes if name != node]
    return Facts(
        node=node,
        peer=others[0] if others else "",
        config=loaded.config,
        status=status,
        started=started,
        program=(sys.executable, "-m", "hadirector"),
        runtime_dir=str(runtime_dir),
        unit=_unit(supervisor[0]),
    )


def _unit(pid: int) -> str:
    """The service of systemd that a process belongs to, by its control group (cgroups(7))."""
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""
    for line in groups.splitlines():
        hierarchy, _, path = line.split(":", 2)
        name = path.rpartition("/")[2]
        if (hierarchy == "0" or "name=systemd" in line) and name.endswith(".service"):
            # A login shell belongs to user@.service, whatever was started from it.
            return "" if name.startswith("user@") else name
    return ""
