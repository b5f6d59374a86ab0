"""A rehearsal on the kernel at hand, as root on a host with IPVS: no embedded kernel is booted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "configs" / "dr.yaml"
NAMESPACES = Path("/run/netns")


@pytest.mark.timeout(120)
def test_the_world_is_built_here_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    before = set(NAMESPACES.iterdir()) if NAMESPACES.exists() else set()
    out = tmp_path / "report.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "hadirector", "rehearse", str(FILE)),
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
    assert report["kernel"] == "this host's kernel"
    assert [scenario["verdict"] for scenario in report["scenarios"]] == ["pass"]
    assert set(NAMESPACES.iterdir()) == before
