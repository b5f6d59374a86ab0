"""Links with a switch in the middle: a cable can be pulled, or the switch fail unnoticed."""

from __future__ import annotations

import subprocess
from ipaddress import IPv4Address, IPv6Address, ip_interface
from pathlib import Path

from tests.vrrp.world import Host, World, eventually


class Lan:
    """A switch, and an interface of this name in every host that is plugged in."""

    def __init__(self, world: World, interface: str = "eth0") -> None:
        self.interface = interface
        self.switch = world.host(f"switch-{interface}")
        options = ("stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
        self.switch.run("ip", "link", "add", "br0", "type", "bridge", *options)
        self.switch.run("ip", "link", "set", "br0", "up")

    def plug(self, host: Host, *addresses: str) -> None:
        """Give a host an interface in this network, with these addresses."""
        peer = ("peer", "name", self.interface, "netns", str(host.pid))
        self.switch.run("ip", "link", "add", host.name, "type", "veth", *peer)
        self.heal(host)
        host.run("ip", "link", "set", self.interface, "up")
        for address in addresses:
            test = ("nodad",) if ":" in address else ()
            host.run("ip", "address", "add", address, "dev", self.interface, *test)

    def cut(self, host: Host) -> None:
        """Pull the cable of a host: it loses its carrier."""
        self.switch.run("ip", "link", "set", host.name, "down")

    def isolate(self, host: Host) -> None:
        """Let nothing pass to and from a host; it does not notice by its carrier."""
        self.switch.run("ip", "link", "set", host.name, "nomaster")

    def heal(self, host: Host) -> None:
        """Let everything pass again."""
        self.switch.run("ip", "link", "set", host.name, "master", "br0", "up")


class Capture:
    """What passes through a switch, written by one program and judged by another."""

    def __init__(self, lan: Lan, path: Path) -> None:
        self.path = path
        command = ("dumpcap", "-q", "-i", "br0", "-f", "proto 112 or ip6 proto 112 or arp or icmp6")
        self._process = lan.switch.start(
            *command, "-w", str(path), "-a", "duration:170", stderr=subprocess.DEVNULL
        )
        eventually(lambda: path.exists() and path.stat().st_size > 0, "the capture runs")

    def end(self) -> None:
        """Stop writing."""
        self._process.terminate()
        self._process.wait(timeout=15)

    def show(self, display_filter: str, *fields: str) -> list[list[str]]:
        """Return the fields of all packets that match."""
        wanted = [word for name in fields for word in ("-e", name)]
        command = ["tshark", "-n", "-r", str(self.path), "-Y", display_filter, "-T", "fields"]
        outcome = subprocess.run(
            [*command, *wanted], capture_output=True, text=True, timeout=60, check=True
        )
        return [line.split("\t") for line in outcome.stdout.splitlines()]


def holds(host: Host, address: str) -> bool:
    """Whether a host has an address, read without starting a process: it is asked very often."""
    ip = ip_interface(address).ip
    network = Path(f"/proc/{host.pid}/net")
    if isinstance(ip, IPv6Address):
        lines = (network / "if_inet6").read_text().splitlines()
        return any(line.startswith(ip.packed.hex()) for line in lines)
    assert isinstance(ip, IPv4Address)
    lines = (network / "fib_trie").read_text().splitlines()
    leaves = [number for number, line in enumerate(lines) if line.endswith(f"|-- {ip}")]
    return any("/32 host LOCAL" in lines[number + 1] for number in leaves)
