"""What may happen to the cables of the directors: cut, slow, lossy, without VRRP; and all put back.

A cable is disturbed at both of its ends, so that what comes in suffers as what goes out does. VRRP
alone is dropped by a filter of `tc` at the switch's end, both ways: by multicast or not, in IPv4
and IPv6. The director sees it by silence alone, as with a switch that mislays multicast.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hadirector.host import load_modules
from hadirector.lab.commands import Batch
from hadirector.lab.errors import LabError
from hadirector.lab.namespaces import BuiltWorld, run_batch
from hadirector.lab.world import Machine
from vrrp.packet import PROTOCOL

NO_NETEM = "this kernel cannot slow a link down (no sch_netem)"
FILTERS = ("sch_ingress", "cls_flower", "act_gact")
NO_FILTERS = f"this kernel cannot drop VRRP alone (it takes {', '.join(FILTERS)})"


def no_netem() -> str:
    """Why the kernel at hand cannot disturb links, or empty; loads the module where it can."""
    return "" if _has("sch_netem") else NO_NETEM


def no_filters() -> str:
    """Why the kernel at hand cannot drop VRRP alone, or empty; loads the modules where it can."""
    return "" if all(map(_has, FILTERS)) else NO_FILTERS


def _has(module: str) -> bool:
    load_modules(module)
    loaded = {line.split()[0] for line in Path("/proc/modules").read_text().splitlines()}
    return module in loaded or _is_built_in(module)


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

    def __init__(
        self, built: BuiltWorld, machines: Mapping[str, Machine], done: Callable[[str], None]
    ) -> None:
        """`done` is told of everything that is done, for the report."""
        self._built = built
        self._machines = machines
        self._done = done
        self._cut: set[str] = set()
        self._disturbed: set[str] = set()
        self._without_vrrp: set[str] = set()
        self._servers_cut = False

    def cut(self, name: str) -> None:
        """Pull all cables of a director; its processes go on."""
        self._done(f"{name} cut off")
        self._built.cut_cables(self._machines[name])
        self._cut.add(name)

    def plug(self, name: str) -> None:
        """Plug them in again."""
        self._done(f"cables of {name} plugged in")
        self._built.plug_cables(self._machines[name])
        self._cut.discard(name)

    def disturb(self, name: str, how: Netem) -> None:
        """Slow a director's links down, or have them lose packets. Raises LabError: no netem."""
        self._done(f"links of {name}: {how}")
        self._disturbed.add(name)
        try:
            self._on_both_ends(name, f"qdisc replace dev {{}} root netem {how}")
        except LabError as error:
            raise LabError(f"{NO_NETEM}: {error}") from error

    def clear(self, name: str) -> None:
        """As it was before `disturb`."""
        if name in self._disturbed:
            self._done(f"links of {name} undisturbed")
            self._on_both_ends(name, "qdisc del dev {} root")
            self._disturbed.discard(name)

    def cut_vrrp(self, name: str) -> None:
        """No advertisement comes from a director or to it, all else does. Raises LabError."""
        self._done(f"no VRRP from {name} nor to it")
        self._without_vrrp.add(name)
        lines = [line for leg in self._machines[name].legs for line in without_vrrp(leg.port)]
        try:
            run_batch(Batch(self._built.world.fabric, tuple(lines), "tc"))
        except LabError as error:
            raise LabError(f"{NO_FILTERS}: {error}") from error

    def heal_vrrp(self, name: str) -> None:
        """They get through again."""
        if name in self._without_vrrp:
            self._done(f"VRRP of {name} gets through again")
            ports = [leg.port for leg in self._machines[name].legs]
            lines = tuple(f"qdisc del dev {port} clsact" for port in ports)
            run_batch(Batch(self._built.world.fabric, lines, "tc"))
            self._without_vrrp.discard(name)

    def cut_servers(self) -> None:
        """Pull the cables of all servers at once, as if the switch before them had died."""
        self._done("all servers cut off")
        self._servers_cut = True
        for server in self._built.world.servers.values():
            self._built.cut_cables(server.machine)

    def plug_servers(self) -> None:
        """Plug them in again."""
        self._done("all servers reconnected")
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
        for name in sorted(self._without_vrrp):
            self.heal_vrrp(name)

    def _on_both_ends(self, name: str, line: str) -> None:
        machine = self._machines[name]
        inner = tuple(line.format(leg.interface) for leg in machine.legs)
        outer = tuple(line.format(leg.port) for leg in machine.legs)
        run_batch(Batch(machine.namespace, inner, "tc"))
        run_batch(Batch(self._built.world.fabric, outer, "tc"))


def without_vrrp(port: str) -> tuple[str, ...]:
    """For `tc -batch`: what drops VRRP at a port of the switch, both ways, in both families."""
    return (
        f"qdisc replace dev {port} clsact",
        *(
            f"filter add dev {port} {way} protocol {family} prio {prio} flower "
            f"ip_proto {PROTOCOL:#x} action drop"
            for way in ("ingress", "egress")
            for prio, family in enumerate(("ip", "ipv6"), 1)
        ),
    )
