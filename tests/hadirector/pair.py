"""A configuration file for the tests of the director: one service whose servers are at hand."""

from collections.abc import Sequence
from pathlib import Path

FILE = """\
nodes:
  lb1: {{address: 192.0.2.11, priority: 254}}
  lb2: {{address: 192.0.2.12, priority: 253}}
virtual_routers:
  - {{name: front, vrid: 51, interface: eth0, addresses: [192.0.2.100/24]}}
defaults:
  check: {{{check}, interval: 100ms, timeout: 100ms, rise: 1, fall: 1}}
services:
  - name: web
    listen: tcp://192.0.2.100:80
    scheduler: {scheduler}
    forward: nat
    servers: [{servers}]
    fallback: 127.0.0.1:9
"""


def write_pair(
    path: Path, ports: Sequence[int], *, scheduler: str = "wlc", check: str = "type: tcp"
) -> Path:
    """Write the file, with a server on each of these ports of 127.0.0.1."""
    servers = ", ".join(f"127.0.0.1:{port}" for port in ports)
    path.write_text(FILE.format(servers=servers, scheduler=scheduler, check=check))
    return path
