"""A weight that can never change the election is a warning with its sum, whatever is tracked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hadirector.config.samples import load_text

NODES = """\
nodes:
  lb1: {address: 192.0.2.11, priority: 200}
  lb2: {address: 192.0.2.12, priority: 100}
virtual_routers:
"""
SERVICE = """\
services:
  - {name: web, listen: "tcp://192.0.2.100:80", forward: dr, servers: ["192.0.2.21:80"]}
"""
KINDS = {
    "interface": "interface: eth1",
    "script": "script: [/bin/true]",
    "process": "process: bird",
    "route": "route: default",
    "service": "service: web",
}


def warnings(directory: Path, tracker: str, more: str = "") -> list[str]:
    router = f"name: front, vrid: 51, interface: eth0, addresses: [192.0.2.100/24]{more}"
    loaded = load_text(directory, f"{NODES}  - {{{router}, track: [{{{tracker}}}]}}\n{SERVICE}")
    assert loaded.config is not None, loaded.render()
    return [found.message for found in loaded.warnings]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("weight", "total"),
    [
        (-99, "lb1: 200 - 99 = 101, still above lb2's 100"),
        (99, "lb2: 100 + 99 = 199, still below lb1's 200"),
    ],
)
def test_a_weight_that_falls_short_is_a_warning_with_the_sum(
    kind: str, weight: int, total: str, tmp_path: Path
) -> None:
    assert warnings(tmp_path, f"{KINDS[kind]}, weight: {weight}") == [
        f"this weight never moves the addresses: {total}"
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weight", [-101, 101, None])
def test_one_that_matters_is_none(kind: str, weight: int | None, tmp_path: Path) -> None:
    written = "" if weight is None else f", weight: {weight}"
    assert warnings(tmp_path, KINDS[kind] + written) == []


def test_the_number_in_a_file_has_no_bounds_so_its_weight_may_always_matter(tmp_path: Path) -> None:
    assert warnings(tmp_path, "file: /run/load, weight: -1") == []


def test_the_sum_is_that_of_the_virtual_router(tmp_path: Path) -> None:
    """A director may have another priority here than elsewhere."""
    nearer = ", nodes: {lb2: {priority: 150}}"
    assert warnings(tmp_path, "process: bird, weight: -60", nearer) == []
    further = ", nodes: {lb2: {priority: 20}}"
    assert warnings(tmp_path, "process: bird, weight: -101", further) == [
        "this weight never moves the addresses: lb1: 200 - 101 = 99, still above lb2's 20"
    ]


def test_one_director_that_preempts_is_enough(tmp_path: Path) -> None:
    tracker = "process: bird, weight: -150"
    assert len(warnings(tmp_path, tracker, ", preempt: false")) == 1
    one = ", preempt: false, nodes: {lb2: {preempt: true}}"
    assert warnings(tmp_path, tracker, one) == []


def test_what_a_director_tracks_for_itself_is_weighed_too(tmp_path: Path) -> None:
    own = ", nodes: {lb2: {track: [{process: bird, weight: -50}]}}"
    found = warnings(tmp_path, "interface: eth1, weight: -101", own)
    assert found == []  # together with lb2's 50 less, it matters
    alone = ", nodes: {lb2: {track: [{service: none, weight: -50}]}}"
    router = f"name: front, vrid: 51, interface: eth0, addresses: [192.0.2.100/24]{alone}"
    loaded = load_text(tmp_path, f"{NODES}  - {{{router}}}\n{SERVICE}")
    assert [found.path for found in loaded.errors] == [
        "virtual_routers[0].nodes.lb2.track[0].service"
    ]
