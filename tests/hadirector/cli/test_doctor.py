"""`hadirector doctor`: each need, met and unmet, on hosts made of a few files."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType

import pytest

from hadirector.cli.main import main
from hadirector.config.loader import load
from hadirector.config.model import Config
from hadirector.doctor import Finding, Host, Purpose, State, examine
from hadirector.peer.material import make, utc_now
from hadirector.peer.settings import PeerSettings

CONFIGS = Path(__file__).parent.parent.parent.parent / "configs"
ROOT_CAPABILITIES = "CapEff:\t000001ffffffffff\n"
PROGRAMS = ("linux.uml", "modprobe", "ip", "ipvsadm")

COMPLETE = {
    "proc/net/ip_vs": "",
    "proc/self/status": ROOT_CAPABILITIES,
    "proc/self/uid_map": "         0          0 4294967295\n",
    "proc/sys/net/ipv4/ip_forward": "1\n",
    "sys/class/net/eth0/address": "",
    "sys/class/net/eth1/address": "",
    "usr/lib/uml/modules/6.1/modules.dep": "",
}


def host(
    root: Path,
    *without: str,
    programs: tuple[str, ...] = PROGRAMS,
    files: Mapping[str, str] = MappingProxyType({}),
) -> Host:
    """A host with everything, less some files and programs."""
    for name, text in {**COMPLETE, **files}.items():
        if not name.startswith(without or ("-",)):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    binaries = root / "bin"
    binaries.mkdir()
    for program in programs:
        (binaries / program).touch(mode=0o755)
    return Host(root=root, search_path=str(binaries), release="6.1.0", name="lb1")


@pytest.fixture(scope="module")
def quickstart() -> Config:
    config = load(CONFIGS / "quickstart.yaml").config
    assert config is not None
    return config


def by_name(findings: list[Finding], purpose: Purpose = Purpose.RUN) -> dict[str, Finding]:
    return {found.name: found for found in findings if found.purpose is purpose}


def test_a_complete_host_lacks_nothing(tmp_path: Path, quickstart: Config) -> None:
    findings = examine(host(tmp_path), quickstart)
    assert {found.state for found in findings} == {State.OK}
    assert not any(found.remedy for found in findings)


def test_every_gap_has_a_remedy(tmp_path: Path, quickstart: Config) -> None:
    bare = Host(root=tmp_path, search_path=str(tmp_path), release="6.1.0", name="laptop")
    findings = examine(bare, quickstart)
    assert State.OK not in {found.state for found in findings}
    assert all(found.remedy for found in findings)


def test_ipvs_may_be_a_module_that_is_not_loaded(tmp_path: Path) -> None:
    depends = "kernel/net/netfilter/ipvs/ip_vs.ko.xz: kernel/lib/libcrc32c.ko.xz\n"
    unloaded = host(tmp_path, "proc/net", files={"lib/modules/6.1.0/modules.dep": depends})
    assert by_name(examine(unloaded))["kernel IPVS"].state is State.OK


def test_the_size_of_the_connection_table_is_told(tmp_path: Path) -> None:
    heading = "IP Virtual Server version 1.2.1 (size=4096)\n"
    loaded = host(tmp_path, files={"proc/net/ip_vs": heading})
    told = by_name(examine(loaded))["kernel IPVS"].message
    assert told == "loaded, connection table of 4096 buckets"


def test_root_in_a_user_namespace_is_not_enough(tmp_path: Path) -> None:
    inside = host(tmp_path, files={"proc/self/uid_map": "0 1000 1\n"})
    found = by_name(examine(inside))["privileges"]
    assert found.state is State.MISSING
    assert "user namespace" in found.message


def test_a_missing_capability_is_named(tmp_path: Path) -> None:
    without_raw = f"CapEff:\t{1 << 12:016x}\n"
    found = by_name(examine(host(tmp_path, files={"proc/self/status": without_raw})))["privileges"]
    assert found.message == "this process lacks CAP_NET_RAW"


def test_the_file_names_the_node_the_interfaces_and_forwarding(
    tmp_path: Path, quickstart: Config
) -> None:
    lacking = host(tmp_path, "sys/class/net/eth1", files={"proc/sys/net/ipv4/ip_forward": "0\n"})
    found = by_name(examine(lacking, quickstart, "lb3"))
    assert found["node"].remedy == "give --node with one of lb1, lb2"
    assert found["interface eth0"].state is State.OK
    assert "virtual router back" in found["interface eth1"].message
    assert found["net.ipv4.ip_forward"].remedy == "sysctl -w net.ipv4.ip_forward=1"


def test_only_nat_needs_forwarding(tmp_path: Path) -> None:
    config = load(CONFIGS / "dr.yaml").config
    still = host(tmp_path, files={"proc/sys/net/ipv4/ip_forward": "0\n"})
    assert "net.ipv4.ip_forward" not in by_name(examine(still, config))


@pytest.mark.parametrize(
    ("without", "programs", "state"),
    [
        ((), ("modprobe",), State.OK),  # the host's own kernel will do
        (("proc/net",), PROGRAMS, State.OK),  # the embedded one will do
        (("proc/net",), ("modprobe",), State.MISSING),
        (("proc/net", "usr"), PROGRAMS, State.MISSING),
    ],
)
def test_a_rehearsal_takes_either_kernel(
    tmp_path: Path, without: tuple[str, ...], programs: tuple[str, ...], state: State
) -> None:
    findings = examine(host(tmp_path, *without, programs=programs))
    assert by_name(findings, Purpose.REHEARSE)["a kernel to rehearse in"].state is state


def test_the_command_prints_json_and_says_no_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", str(CONFIGS / "quickstart.yaml"), "--node", "nobody", "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert (code, shown["ready"]) == (1, False)
    assert {"purpose", "name", "state", "message", "remedy"} == set(shown["findings"][0])


def test_the_command_prints_each_remedy_below_its_need(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", str(CONFIGS / "quickstart.yaml"), "--node", "nobody", "--for", "run"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "to run the daemon (hadirector run)"
    [index] = [number for number, line in enumerate(lines) if "nobody is not in" in line]
    assert lines[index + 1].strip() == "-> give --node with one of lb1, lb2"


def test_the_peer_channel_needs_its_certificates_and_somebody_at_the_other_end(
    tmp_path: Path, quickstart: Config, unused_tcp_port: int
) -> None:
    peer = PeerSettings(
        addresses={"lb1": ip_address("127.0.0.1"), "lb2": ip_address("127.0.0.2")},
        port=unused_tcp_port,
        certificate=f"{tmp_path}/{{node}}.pem",
        key=f"{tmp_path}/{{node}}.key",
        ca=f"{tmp_path}/ca.pem",
    )
    here, config = host(tmp_path / "host"), replace(quickstart, peer=peer)
    found = by_name(examine(here, config))
    assert found["peer channel"].state is State.MISSING
    assert found["peer channel"].remedy == "make it with: hadirector peer init FILE"
    assert found["peer"].state is State.WARN
    assert f"127.0.0.2 port {unused_tcp_port}: Connection refused" in found["peer"].message
    make(config.nodes, tmp_path, now=utc_now())
    with socket.create_server(("127.0.0.2", unused_tcp_port)):
        found = by_name(examine(here, config))
    assert found["peer channel"].state is State.OK
    assert found["peer"].state is State.OK
    (tmp_path / "lb1.key").chmod(0o644)
    found = by_name(examine(here, config))
    assert "may be read by others" in found["peer channel"].message
    assert found["peer channel"].remedy.startswith("chmod 600")
    assert "peer" not in by_name(examine(here, config, "lb2"))  # it is dialled
