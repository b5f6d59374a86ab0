"""Settings of the configuration reach the kernel, are shown before, and are put back on request.

How it works: `plan`, `apply` and `ipvs settings` are run as users run them, in a network namespace
whose settings are the kernel's defaults; sysctl files and ipvsadm are asked what is true.
"""

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hadirector.cli.main import main
from tests.hadirector.config.samples import NODES
from tests.kernel.ipvs_namespace import fresh_network

SETTINGS = (
    "ipvs: {tcp_timeout: 10m, udp_timeout: 30s, conntrack: true, sync_threshold: [2, 20],\n"
    "       sync_refresh_period: 10s, sync_ports: 2, sync_qlen_max: 999, run_estimation: true}\n"
)
SYSCTLS = Path("/proc/sys/net/ipv4/vs")


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with fresh_network():
        # The settings appear with the first use of IPVS in a namespace.
        subprocess.run(["ipvsadm", "-L"], check=True, capture_output=True)
        yield


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "pair.yaml"
    file.write_text(f"{NODES}virtual_routers: []\n{SETTINGS}services: []\n")
    return file


def read(name: str) -> list[str]:
    return (SYSCTLS / name).read_text().split()


def everything() -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(SYSCTLS.iterdir())}


def timeouts() -> str:
    done = subprocess.run(
        ["ipvsadm", "-L", "--timeout"], check=True, capture_output=True, text=True
    )
    return done.stdout.strip().rpartition(": ")[2]


def test_settings_are_planned_applied_once_and_put_back(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--runtime-dir", str(tmp_path / "run")]
    assert main(["plan", str(file)]) == 1
    planned = capsys.readouterr().out
    assert "set conntrack to 1 (it is 0)" in planned
    assert "set tcp-timeout to 600 (it is 900)" in planned
    assert "set sync_threshold to 2 20 (it is 3 50)" in planned
    assert "run_estimation" not in planned
    assert re.search(r"^  connection table: \d+ buckets .* 0 connections", planned, re.M)
    assert (read("conntrack"), timeouts()) == (["0"], "900 120 300")

    assert main(["apply", str(file), *place]) == 0
    assert "applied: 0 of 0 steps, 7 settings changed\n" in capsys.readouterr().out
    assert (read("conntrack"), read("sync_threshold"), timeouts()) == (
        ["1"],
        ["2", "20"],
        "600 120 30",
    )
    assert (read("sync_ports"), read("sync_refresh_period")) == (["2"], ["10"])
    capsys.readouterr()
    assert main(["plan", str(file)]) == 0
    file.write_text(file.read_text().replace("10m", "20m"))
    assert main(["apply", str(file), *place]) == 0
    assert timeouts() == "1200 120 30"
    capsys.readouterr()

    assert main(["ipvs", "settings", *place]) == 0
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "conntrack 1 (was 0)" in shown
    assert "tcp-timeout 1200 (was 900)" in shown
    assert "backup_only 0" in shown
    assert shown[-2].startswith("modules: ")
    assert re.fullmatch(
        r"connection table: \d+ buckets \(\d+ KiB\); "
        r"of this network namespace 0 connections \(0 KiB\)",
        shown[-1],
    )

    assert main(["ipvs", "settings", "--restore", *place]) == 0
    assert "restored: 7 settings" in capsys.readouterr().out
    assert (read("conntrack"), read("sync_threshold"), timeouts()) == (
        ["0"],
        ["3", "50"],
        "900 120 300",
    )
    assert main(["ipvs", "settings", "--restore", "--json", *place]) == 0
    assert json.loads(capsys.readouterr().out) == {"restored": {}}


def test_settings_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ipvs", "settings", "--json", "--runtime-dir", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["settings"]["udp-timeout"] == "300"
    assert document["before"] == {}
    assert document["connection_table"]["buckets"] >= 256
    assert "ip_vs" in document["modules"] or not Path("/proc/modules").read_text()


def test_the_memory_of_connections_is_their_size_times_their_number(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["ip", "address", "add", "192.0.2.100/32", "dev", "lo"], check=True)
    rules = "-A -u 192.0.2.100:53 -s rr\n-a -u 192.0.2.100:53 -r 192.0.2.100:53 -g\n"
    subprocess.run(["ipvsadm-restore"], input=rules, text=True, check=True)
    for _ in range(3):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"?", ("192.0.2.100", 53))
    assert main(["ipvs", "settings", "--json", "--runtime-dir", str(tmp_path)]) == 0
    table = json.loads(capsys.readouterr().out)["connection_table"]
    assert table["connections"] == 3
    assert table["connections_bytes"] >= 3 * 128
    capsys.readouterr()
    assert main(["plan", "--json", str(file)]) == 1
    assert json.loads(capsys.readouterr().out)["connection_table"] == table


def test_settings_are_those_of_one_network_namespace(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another one keeps its own, both when they are set and when they are put back."""
    place = ["--runtime-dir", str(tmp_path / "run")]
    with fresh_network():
        subprocess.run(["ipvsadm", "--set", "700", "0", "0"], check=True)
        (SYSCTLS / "sync_threshold").write_text("4 40")
        others = (everything(), timeouts())
        with fresh_network():
            subprocess.run(["ipvsadm", "-L"], check=True, capture_output=True)
            before = (everything(), timeouts())
            assert main(["apply", str(file), *place]) == 0
            assert read("sync_threshold") == ["2", "20"]
            assert timeouts() == "600 120 30"
            changed = everything()
            assert {name for name in changed if changed[name] != before[0][name]} == {
                "conntrack",
                "sync_threshold",
                "sync_refresh_period",
                "sync_ports",
                "sync_qlen_max",
            }
            assert main(["ipvs", "settings", "--restore", *place]) == 0
            assert (everything(), timeouts()) == before
            assert main(["apply", str(file), *place]) == 0
        assert (everything(), timeouts()) == others
        capsys.readouterr()
        assert main(["plan", str(file)]) == 1
        assert "set sync_threshold to 2 20 (it is 4 40)" in capsys.readouterr().out
        assert (everything(), timeouts()) == others


def test_the_plan_tells_which_modules_are_loaded_for_it(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As if nothing were loaded yet: tests before this one may have used the same schedulers."""
    monkeypatch.setattr("hadirector.ipvs.modules.LOADED", Path("/nonexistent"))
    monkeypatch.setattr("hadirector.ipvs.modules.LIBRARY", Path("/nonexistent"))
    ftp = "listen: 'tcp://192.0.2.100:21', forward: nat, servers: ['198.51.100.21:21']"
    sip = (
        "listen: 'udp://192.0.2.100:5060', scheduler: mh, forward: nat, "
        "persistence: {engine: sip}, servers: ['198.51.100.21:5060']"
    )
    services = f"services: [{{name: ftp, {ftp}}}, {{name: sip, {sip}}}]"
    file.write_text(file.read_text().replace("services: []", services))
    assert main(["plan", str(file)]) == 1
    assert (
        "  modules that are loaded for it: ip_vs_ftp, ip_vs_mh, ip_vs_pe_sip, ip_vs_wlc; "
        "whether this kernel has them is not known\n"
    ) in capsys.readouterr().out


def test_a_setting_that_this_kernel_lacks_is_named(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hadirector.tuner.SYSCTLS", Path("/proc/sys/net/ipv4"))
    assert main(["plan", str(file)]) == 3
    assert "the setting conntrack cannot be read: No such file" in capsys.readouterr().err


def test_what_cannot_be_remembered_is_not_changed(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["apply", str(file), "--runtime-dir", "/proc/nowhere"]) == 3
    assert "no setting was changed" in capsys.readouterr().err
    assert read("conntrack") == ["0"]


def test_without_settings_none_is_looked_at(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hadirector.tuner.SYSCTLS", Path("/nonexistent"))
    file.write_text(file.read_text().replace(SETTINGS, ""))
    assert main(["plan", str(file)]) == 0
