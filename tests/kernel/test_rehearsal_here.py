"""A rehearsal on the kernel at hand, as root on a host with IPVS: no embedded kernel is booted.

The file is one that no example shows: its clients are told by a firewall mark, which the lab sets.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MARKED = """\
nodes:
  lb1: {address: 192.0.2.11, priority: 254}
  lb2: {address: 192.0.2.12, priority: 253}
virtual_routers:
  - {name: front, vrid: 51, interface: eth0, addresses: [192.0.2.100/24]}
services:
  - name: marked
    listen: fwmark:7
    forward: dr
    check: {type: tcp, port: 8080}
    servers: [192.0.2.31:0, 192.0.2.32:0]
"""
NAMESPACES = Path("/run/netns")


@pytest.mark.timeout(120)
def test_the_world_is_built_here_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    before = set(NAMESPACES.iterdir()) if NAMESPACES.exists() else set()
    out, file = tmp_path / "report.json", tmp_path / "marked.yaml"
    file.write_text(MARKED)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "hadirector", "rehearse", str(file)),
            *("--scenario", "weight-changed", "--json", str(out)),
        ],
        env={**os.environ, "HADIRECTOR_LAB": "host"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(out.read_text())
    assert report["scenarios"][0]["requests"] > 0
    assert report["kernel"] == "this host's kernel"
    assert [scenario["verdict"] for scenario in report["scenarios"]] == ["pass"]
    assert set(NAMESPACES.iterdir()) == before
