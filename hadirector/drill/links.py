"""What may happen to the cables of the directors: cut, slow, lossy; and all of it put back.

A cable is disturbed at both of its ends, so that what comes in suffers as what goes out does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hadirector.host import load_modules
from hadirector.lab.commands import Batch
from hadirector.lab.errors import LabError
from hadirector.lab.namespaces import BuiltWorld, run_batch
from hadirector.lab.world import Machine

NO_NETEM = "this kernel cannot slow a link down (no sch_netem)"


def has_netem() -> bool:
    """Whether the kernel at hand can disturb links; loads the module where it can."""
    load_modules("sch_netem")
    return "sch_netem" in Path("/proc/modules").read_text() or _is_built_in("sch_netem")


def _is_built_in(module: str) -> bool:
    built_in = Path("/lib/modules", os.uname().release, "modules.builtin")
    return built_in.exists() and f"/{module}.ko" in built_in.read_text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Netem:
    """How a link is disturbed, each way: see tc-netem(8)."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss_percent: float = 0.0

    def __str__(self) -> str:
        """As tc writes it, and as people read it."""
        delay = [f"delay {self.delay_ms:g}ms"] if self.delay_ms else []
        jitter = [f"{self.jitter_ms:g}ms"] if self.delay_ms and self.jitter_ms else []
        loss = [f"loss {self.loss_percent:g}%"] if self.loss_percent else []
        return " ".join([*delay, *jitter, *loss])


class Links:
    """Cables of the directors by name, and of all servers; it knows what is not as it should be."""

    def __init__(self, built: BuiltWorld, machines: Mapping[str, Machine]) -> None:
        self._built = built
        self._machines = machines
        self._cut: set[str] = set()
        self._disturbed: set[str] = set()
        self._servers_cut = False

    def cut(self, name: str) -> None:
        """Pull all cables of a director; its processes go on."""
        self._built.cut_cables(self._machines[name])
        self._cut.add(name)

    def plug(self, name: str) -> None:
        """Plug them in again."""
        self._built.plug_cables(self._machines[name])
        self._cut.discard(name)

    def disturb(self, name: str, how: Netem) -> None:
        """Slow a director's links down, or have them lose packets. Raises LabError: no netem."""
        self._disturbed.add(name)
        try:
            self._on_both_ends(name, f"qdisc replace dev {{}} root netem {how}")
        except LabError as error:
            raise LabError(f"{NO_NETEM}: {error}") from error

    def clear(self, name: str) -> None:
        """As it was before `disturb`."""
        if name in self._disturbed:
            self._on_both_ends(name, "qdisc del dev {} root")
            self._disturbed.discard(name)

    def cut_servers(self) -> None:
        """Pull the cables of all servers at once, as if the switch before them had died."""
        self._servers_cut = True
        for server in self._built.world.servers.values():
            self._built.cut_cables(server.machine)

    def plug_servers(self) -> None:
        """Plug them in again."""
        for server in self._built.world.servers.values():
            self._built.plug_cables(server.machine)
        self._servers_cut = False

    def heal(self) -> None:
        """All links as they should be."""
        if self._servers_cut:
            self.plug_servers()
        for name in sorted(self._cut):
            self.plug(name)
        for name in sorted(self._disturbed):
            self.clear(name)

    def _on_both_ends(self, name: str, line: str) -> None:
        machine = self._machines[name]
        inner = tuple(line.format(leg.interface) for leg in machine.legs)
        outer = tuple(line.format(leg.port) for leg in machine.legs)
        run_batch(Batch(machine.namespace, inner, "tc"))
        run_batch(Batch(self._built.world.fabric, outer, "tc"))
