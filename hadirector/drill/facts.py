"""What a drill has to know of the director that it runs on: its word, its file, its processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from hadirector.cli.client import ask
from hadirector.cli.errors import EXIT_CANNOT, EXIT_NO, CliError
from hadirector.config.model import Config
from hadirector.drill.keeper import started_at
from hadirector.drill.live import Facts, Link
from hadirector.host import SBIN

IP_S: Final = 10.0
TOOLS: Final = ("ip", "ipvsadm", "mount", "umount", "nsenter")
ANCESTORS_MAX: Final = 32
SSH_WORDS: Final = 4  # client, its port, server, its port: ssh(1)
_STATES_OF_ROUTES = frozenset({"linkdown", "dead", "offload", "trap", "rt_offload", "rt_trap"})


def gather(runtime_dir: Path, *, service: str = "", interface: str = "") -> Facts:
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
    addresses = _addresses()
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
        service=service,
        interface=interface,
        link=_link(interface, addresses, loaded.config) if interface else None,
        own_addresses=frozenset(
            each["local"] for link in addresses for each in link["addr_info"] if "local" in each
        ),
        way_to=_way_to,
        tools=frozenset(name for name in TOOLS if shutil.which(name, path=_path())),
        enter=_enter(supervisor[0]),
    )


def _enter(pid: int) -> tuple[str, ...]:
    """What leads to the mounts of the daemon, where a service manager gave it its own."""
    place = Path(f"/proc/{pid}/ns/mnt")
    if place.readlink() == Path("/proc/self/ns/mnt").readlink():
        return ()
    return ("nsenter", f"--mount={place}", "--")


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:{SBIN}"


def _ip(*words: str) -> str:
    """What `ip` says; empty where there is none."""
    program = shutil.which("ip", path=_path())
    if program is None:
        return ""
    done = subprocess.run(
        [program, *words], capture_output=True, text=True, timeout=IP_S, check=False
    )
    return done.stdout


def _addresses() -> list[dict[str, Any]]:
    return list(json.loads(_ip("-json", "address", "show") or "[]"))


def _link(name: str, addresses: list[dict[str, Any]], config: Config) -> Link | None:
    found = next((each for each in addresses if each["ifname"] == name), None)
    if found is None:
        return None
    virtual = {str(a.ip) for router in config.virtual_routers for a in router.all_addresses}
    return Link(
        name=name,
        up="UP" in found["flags"],
        addresses=lost_addresses(found["addr_info"], virtual),
        routes=tuple(
            (version, route)
            for version in (4, 6)
            for route in lost_routes(
                _ip(f"-{version}", "route", "show", "table", "all", "dev", name)
            )
        ),
        why_not=needed_by_operator(name, _ssh_client(), found["addr_info"], _way_to),
    )


def lost_addresses(known: list[dict[str, Any]], virtual: set[str]) -> tuple[str, ...]:
    """The addresses that a link loses for good by going down: static ones of IPv6.

    Those of IPv4 stay, link-local ones and those from advertisements come back by themselves, and
    virtual ones are the VRRP worker's.
    """
    return tuple(
        f"{each['local']}/{each['prefixlen']}"
        for each in known
        if each["family"] == "inet6"
        and each.get("scope") != "link"
        and not each.get("dynamic")
        and each["local"] not in virtual
    )


def lost_routes(shown: str) -> list[str]:
    """The routes of `ip route show table all dev X` that somebody has added, to be added again.

    Those of the kernel and of router advertisements come back by themselves.
    """
    found = []
    for line in shown.splitlines():
        words = [word for word in line.split() if word not in _STATES_OF_ROUTES]
        by_itself = "proto kernel" in line or "proto ra" in line or "table local" in line
        if (
            words
            and not by_itself
            and words[0] not in ("local", "broadcast", "multicast", "anycast")
        ):
            found.append(" ".join(words))
    return found


def needed_by_operator(
    name: str,
    client: str,
    known: list[dict[str, Any]],
    way_to: Callable[[str], str],
) -> str:
    """Why the one who types must not lose this interface; empty: there is no reason."""
    if not client:
        return ""
    from_address, _, to_address = client.partition(" ")
    if any(each.get("local") == to_address for each in known) or way_to(from_address) == name:
        return f"your own session, from {from_address}, goes over {name}"
    return ""


@cache
def _way_to(address: str) -> str:
    told = json.loads(_ip("-json", "route", "get", address) or "[]")
    return str(told[0].get("dev", "")) if told else ""


def _ssh_client() -> str:
    """`CLIENT SERVER`, the addresses of the session that this runs in; empty: none.

    sudo hides it, so the processes above are asked, too.
    """
    pid = os.getpid()
    for _ in range(ANCESTORS_MAX):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return ""
        for each in environment:
            words = each.decode(errors="replace").removeprefix("SSH_CONNECTION=").split()
            if each.startswith(b"SSH_CONNECTION=") and len(words) == SSH_WORDS:
                return f"{words[0]} {words[2]}"
        pid = int(stat.rpartition(")")[2].split()[1])
        if pid <= 1:
            break
    return ""


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
