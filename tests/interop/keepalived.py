"""The packaged keepalived as a director: its configuration made from ours, its life in a host."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.vrrp.world import Host
from vrrp.config import RouterSettings
from vrrp.packet import IPAddress


def configuration(routers: Iterable[RouterSettings], own: IPAddress | None) -> str:
    """Return what makes a keepalived the other director of `routers`; `own`: to unicast from."""
    members = list(routers)
    parts = [
        f"global_defs {{\n vrrp_version {members[0].version}\n vrrp_garp_master_delay 1\n}}",
        *(_instance(settings, own) for settings in members),
    ]
    if members[0].group is not None:
        names = "\n  ".join(settings.name for settings in members)
        parts.append(f"vrrp_sync_group {members[0].group} {{\n group {{\n  {names}\n }}\n}}")
    return "\n".join(parts) + "\n"


def _instance(settings: RouterSettings, own: IPAddress | None) -> str:
    lines = [
        "state BACKUP",
        f"interface {settings.interface}",
        f"virtual_router_id {settings.vrid}",
        f"priority {settings.priority}",
        f"advert_int {settings.advertise:g}",
    ]
    if not settings.preempt:
        lines.append("nopreempt")
    if settings.virtual_mac:
        lines.append(f"use_vmac {settings.device}")
    if settings.password is not None:
        lines.append(f"authentication {{\n auth_type PASS\n auth_pass {settings.password}\n}}")
    if settings.peers:
        others = "\n ".join(str(peer) for peer in settings.peers if peer != own)
        lines.append(f"unicast_src_ip {own}\nunicast_peer {{\n {others}\n}}")
    listed = "\n ".join(str(address) for address in settings.addresses)
    lines.append(f"virtual_ipaddress {{\n {listed}\n}}")
    body = "\n".join(lines).replace("\n", "\n ")
    return f"vrrp_instance {settings.name} {{\n {body}\n}}"


@dataclass
class Keepalived:
    """A keepalived in a host; everything it writes stays in its own directory."""

    host: Host
    directory: Path
    process: subprocess.Popen[str] | None = None
    _runs: Iterator[int] = field(default_factory=itertools.count)
    _run: Path = Path()

    def start(self, text: str) -> None:
        """Start it with this configuration."""
        self._run = self.directory / f"run-{next(self._runs)}"
        self._run.mkdir(parents=True)
        (self._run / "keepalived.conf").write_text(text)
        with (self._run / "log").open("w") as log:
            self.process = self.host.start(
                *("keepalived", "-n", "-l", "-G", "-P", "-f", str(self._run / "keepalived.conf")),
                *("-p", str(self._run / "pid"), "-r", str(self._run / "vrrp.pid")),
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        """Stop it in good order: it says goodbye."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(timeout=10)

    def kill(self) -> None:
        """End it as a power loss does: its processes at once, without a word."""
        pids = [(self._run / name).read_text().strip() for name in ("vrrp.pid", "pid")]
        self.host.run("kill", "-STOP", *pids)  # or the parent would say goodbye for its child
        self.host.run("kill", "-KILL", *pids)

    def log(self) -> str:
        """What it said in its last life."""
        log = self._run / "log"
        return log.read_text() if log.is_file() else "keepalived was never started"
