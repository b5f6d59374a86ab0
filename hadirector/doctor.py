"""What a host lacks to run the daemon or to rehearse, and the command that provides it.

The problem: a director needs a kernel module, privileges, packages and settings that live in five
places, and each is noticed only when it is missed. The approach: one finding per need, each with
its exact remedy, read from /proc, /sys and the search path. Nothing is changed, loaded or installed
here: asking must be safe on a director that carries traffic.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from hadirector.host import SBIN, in_user_namespace, lacking

if TYPE_CHECKING:
    from hadirector.config.model import Config
from hadirector.elections import settings_on

PACKAGES = {
    "kmod": ("modprobe", "loads kernel modules"),
    "iproute2": ("ip", "makes the namespaces and links"),
    "ipvsadm": ("ipvsadm", "disturbs the table in some scenarios, and shows it to people"),
}
"""Debian packages that a rehearsal needs besides a kernel, each with its program and its use."""

EMBEDDED_KERNEL = "linux.uml"
EMBEDDED_MODULES = "usr/lib/uml/modules"


class Purpose(StrEnum):
    """What the host is wanted for."""

    RUN = "run"
    REHEARSE = "rehearse"


class State(StrEnum):
    """Of one need. A warning does not stand in the way."""

    OK = "ok"
    WARN = "warn"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One need and whether it is met; `remedy` is a command or an edit, empty if all is well."""

    purpose: Purpose
    name: str
    state: State
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Where to look; tests give a directory of their own as the root."""

    root: Path = Path("/")
    search_path: str = field(default_factory=lambda: f"{os.environ.get('PATH', '')}:{SBIN}")
    release: str = field(default_factory=platform.release)
    name: str = field(default_factory=platform.node)

    def read(self, path: str) -> str:
        """A file's text; empty if it cannot be read."""
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def has(self, path: str) -> bool:
        """Whether something exists at this path below the root."""
        return (self.root / path).exists()

    def finds(self, program: str) -> bool:
        """Whether a program is on the search path, the administrator's directories included."""
        return shutil.which(program, path=self.search_path) is not None


def examine(host: Host, config: Config | None = None, node: str | None = None) -> list[Finding]:
    """Every need of both purposes; of the file's own where a configuration is given."""
    findings = [_ipvs(host), _privileges(host), _ipvsadm(host)]
    if config is not None:
        findings.append(_node(config, node or host.name))
        findings += _interfaces(host, config, node or host.name)
        findings += _forwarding(host, config)
        findings += _peer(config, node or host.name)
    return [*findings, _rehearsal_kernel(host), *_packages(host)]


def _ipvs(host: Host) -> Finding:
    name = "kernel IPVS"
    if host.has("proc/net/ip_vs"):
        size = host.read("proc/net/ip_vs").partition("(size=")[2].partition(")")[0]
        table = f", connection table of {size} buckets" if size else ""
        return _finding(Purpose.RUN, name, State.OK, f"loaded{table}")
    modules = f"lib/modules/{host.release}"
    known = host.read(f"{modules}/modules.dep") + host.read(f"{modules}/modules.builtin")
    if "/ip_vs.ko" in known:
        return _finding(Purpose.RUN, name, State.OK, "a module of this kernel, loaded when needed")
    return _finding(
        Purpose.RUN,
        name,
        State.MISSING,
        f"kernel {host.release} has no module ip_vs",
        "apt-get install linux-image-$(dpkg --print-architecture), then reboot into it",
    )


def _privileges(host: Host) -> Finding:
    missing = lacking(host.read("proc/self/status"), "CAP_NET_ADMIN", "CAP_NET_RAW")
    if missing:
        message = f"this process lacks {' and '.join(missing)}"
        remedy = "run it as root: sudo hadirector run FILE"
        return _finding(Purpose.RUN, "privileges", State.MISSING, message, remedy)
    if in_user_namespace(host.read("proc/self/uid_map")):
        message = "root in a user namespace only, where the kernel refuses IPVS"
        remedy = "run it outside the user namespace (rootless container)"
        return _finding(Purpose.RUN, "privileges", State.MISSING, message, remedy)
    return _finding(Purpose.RUN, "privileges", State.OK, "root, or the capabilities it takes")


def _ipvsadm(host: Host) -> Finding:
    if host.finds("ipvsadm"):
        return _finding(Purpose.RUN, "ipvsadm", State.OK, "installed")
    return _finding(
        Purpose.RUN,
        "ipvsadm",
        State.WARN,
        "not installed: not needed, but people look at the table with it",
        "apt-get install ipvsadm",
    )


def _node(config: Config, node: str) -> Finding:
    if node in config.nodes:
        return _finding(Purpose.RUN, "node", State.OK, f"{node} is in the file")
    known = ", ".join(config.nodes)
    return _finding(
        Purpose.RUN,
        "node",
        State.MISSING,
        f"{node} is not in the file; it has {known}",
        f"give --node with one of {known}",
    )


def _interfaces(host: Host, config: Config, node: str) -> Iterator[Finding]:
    here = config.nodes.get(node)
    routers = {
        (router if here is None else settings_on(here, router)).interface: router.name
        for router in reversed(config.virtual_routers)
    }
    for interface, router in routers.items():
        name = f"interface {interface}"
        if host.has(f"sys/class/net/{interface}"):
            yield _finding(Purpose.RUN, name, State.OK, f"there, for virtual router {router}")
        else:
            message = f"not on this host; virtual router {router} needs it"
            remedy = f"correct interface: of {router} in the file (ip -brief link shows what is)"
            yield _finding(Purpose.RUN, name, State.MISSING, message, remedy)


def _forwarding(host: Host, config: Config) -> Iterator[Finding]:
    """NAT needs the kernel to forward packets between its interfaces."""
    versions = {
        server.address.version
        for service in config.services
        if str(service.forward) == "nat"
        for server in service.servers
    }
    for version in sorted(versions):
        key = "net.ipv4.ip_forward" if version == 4 else "net.ipv6.conf.all.forwarding"
        if host.read("proc/sys/" + key.replace(".", "/")).strip() == "1":
            yield _finding(Purpose.RUN, key, State.OK, "1, as forward: nat needs")
        else:
            message = "not 1; with forward: nat no packet would pass"
            yield _finding(Purpose.RUN, key, State.MISSING, message, f"sysctl -w {key}=1")


def _peer(config: Config, node: str) -> Iterator[Finding]:
    """The certificates of the peer channel, and whether the peer can be reached."""
    settings = config.peer
    if settings is None or node not in config.nodes:
        return
    from hadirector.peer.examine import material_findings, unreachable
    from hadirector.peer.material import utc_now

    name, found = "peer channel", False
    for fatal, message, remedy in material_findings(settings, node, now=utc_now()):
        found = True
        state = State.MISSING if fatal else State.WARN
        yield _finding(Purpose.RUN, name, state, message, remedy)
    if not found:
        yield _finding(Purpose.RUN, name, State.OK, "certificates that can be used")
    if why := unreachable(settings, node):
        peer = settings.peer_of(node)
        remedy = f"start hadirector on {peer}, and let port {settings.port} through its firewall"
        yield _finding(Purpose.RUN, "peer", State.WARN, f"not reached at {why}", remedy)
    elif settings.dials(node):
        yield _finding(Purpose.RUN, "peer", State.OK, "somebody listens where it should be")


def _rehearsal_kernel(host: Host) -> Finding:
    """Either the host's own kernel, or the embedded one that needs no root."""
    name = "a kernel to rehearse in"
    if _ipvs(host).state is State.OK and _privileges(host).state is State.OK:
        return _finding(Purpose.REHEARSE, name, State.OK, "this host's, with IPVS and as root")
    if host.finds(EMBEDDED_KERNEL) and host.has(EMBEDDED_MODULES):
        return _finding(Purpose.REHEARSE, name, State.OK, "the embedded one (user-mode-linux)")
    return _finding(
        Purpose.REHEARSE,
        name,
        State.MISSING,
        "neither IPVS as root here nor the embedded kernel",
        "apt-get install user-mode-linux",
    )


def _packages(host: Host) -> Iterator[Finding]:
    for package, (program, use) in PACKAGES.items():
        if host.finds(program):
            yield _finding(Purpose.REHEARSE, package, State.OK, "installed")
        else:
            message = f"no {program} here; it {use}"
            remedy = f"apt-get install {package}"
            yield _finding(Purpose.REHEARSE, package, State.MISSING, message, remedy)


def _finding(purpose: Purpose, name: str, state: State, message: str, remedy: str = "") -> Finding:
    return Finding(purpose=purpose, name=name, state=state, message=message, remedy=remedy)
