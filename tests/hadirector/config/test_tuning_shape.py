"""The section `ipvs:` becomes the kernel's names and texts; impossible values are explained."""

from pathlib import Path

import pytest

from hadirector.config.codec import config_from_json, config_to_json
from tests.hadirector.config.samples import NODES, config_of, findings_of

HEAD = f"{NODES}virtual_routers: []\n"


def test_what_is_written_becomes_the_kernels_words(tmp_path: Path) -> None:
    text = (
        "ipvs: {tcp_fin_timeout: 1m, sloppy_tcp: true, backup_only: false, conn_reuse_mode: 0,\n"
        "       sync_threshold: [3, 0], sync_refresh_period: 1m, sync_ports: 4}\n"
    )
    config = config_of(tmp_path, HEAD + text)
    assert config.settings == {
        "tcp-fin-timeout": "60",
        "sloppy_tcp": "1",
        "backup_only": "0",
        "conn_reuse_mode": "0",
        "sync_threshold": "3 0",
        "sync_refresh_period": "60",
        "sync_ports": "4",
    }
    assert config_from_json(config_to_json(config)) == config
    assert config_of(tmp_path, HEAD).settings == {}


@pytest.mark.parametrize(
    ("written", "finding"),
    [
        ("yes", "yes without quotes is the truth value"),
        ("[]", "expected a mapping"),
        ("{conntrack: 1}", "expected true or false, found the number 1"),
        ("{conntracks: true}", 'unknown key "conntracks"'),
        ("{tcp_timeout: 900}", "900 has no unit"),
        ("{sync_ports: 3}", "3 is no power of two"),
        ("{sync_threshold: 3}", "expected a list, found the number 3"),
        ("{sync_threshold: [3]}", "two numbers are expected here"),
        ("{sync_threshold: [50, 3]}", "two numbers are expected here"),
        ("{sync_threshold: [-1, 3]}", "two numbers are expected here"),
        ("{sync_retries: 4}", "4 is out of range"),
        ("{conn_reuse_mode: 4}", "4 is out of range"),
    ],
)
def test_what_is_no_such_value_is_explained(tmp_path: Path, written: str, finding: str) -> None:
    [found] = findings_of(tmp_path, f"{HEAD}ipvs: {written}\n")
    assert finding in found
