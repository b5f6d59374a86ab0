"""What to do about other programs, and how much an apply may change: from the file on."""

from pathlib import Path

import pytest

from hadirector.config.codec import config_from_json, config_to_json
from hadirector.drift import Drift
from hadirector.plan import Undeclared
from tests.hadirector.config.samples import NODES, config_of, findings_of

HEAD = f"{NODES}virtual_routers: []\n"
SERVICE = "{name: a, listen: 'tcp://192.0.2.100:80', forward: nat, servers: ['198.51.100.21:80']"


def test_the_defaults_repair_and_tell(tmp_path: Path) -> None:
    config = config_of(tmp_path, f"{HEAD}services: [{SERVICE}}}]\n")
    assert (config.undeclared, config.max_changes) == (Undeclared.REPORT, None)
    assert config.services[0].drift is Drift.REPAIR


def test_policies_are_read_and_survive_the_way_to_the_director(tmp_path: Path) -> None:
    text = f"undeclared: remove\nmax_changes: 0\nservices: [{SERVICE}, drift: ignore}}]\n"
    config = config_of(tmp_path, HEAD + text)
    assert (config.undeclared, config.max_changes) == (Undeclared.REMOVE, 0)
    assert config.services[0].drift is Drift.IGNORE
    assert config_from_json(config_to_json(config)) == config


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("undeclared: drop\n", '"drop" is none of the choices'),
        ("max_changes: -1\n", "-1 is out of range"),
        (f"services: [{SERVICE}, drift: repare}}]\n", '"repare" is none of the choices'),
    ],
)
def test_what_is_no_policy_is_explained(tmp_path: Path, text: str, finding: str) -> None:
    [found] = findings_of(tmp_path, HEAD + text)
    assert finding in found
