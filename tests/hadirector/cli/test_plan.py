"""`hadirector plan` and `hadirector apply`: what they print, what they do, how they end.

The table is the kernel's twin in memory; the same commands run against a kernel in the rehearsals.
"""

import json
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from hadirector import pool
from hadirector.cli.main import main
from hadirector.cli.plan import look_ahead, show
from hadirector.ipvs.dataplane import DataplaneForbiddenError
from hadirector.ipvs.memory import MemoryTable
from hadirector.ipvs.model import Counters, Protocol, Service, Table, VirtualAddress
from hadirector.preflight import only_one
from tests.hadirector.config.samples import HEAD, config_of

FILE = str(Path(__file__).parent / "two_servers.yaml")
FOREIGN = VirtualAddress(Protocol.TCP, ip_address("203.0.113.9"), 80)
STEPS = [
    "add service tcp 192.0.2.100:80, scheduler wlc",
    "add server 198.51.100.21:8080, weight 1, nat to tcp 192.0.2.100:80",
    "add server 198.51.100.22:8080, weight 3, nat to tcp 192.0.2.100:80",
]
SHOWN = "".join(f"  {step}\n" for step in STEPS)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MemoryTable:
    """The table that the commands find in the kernel's place: somebody else's service in it."""
    loaded = tmp_path / "modules"
    loaded.write_text("ip_vs_wlc 16384 1 - Live 0x0\n")
    monkeypatch.setattr("hadirector.ipvs.modules.LOADED", loaded)
    size = tmp_path / "slab_size"
    size.write_text("256\n")
    monkeypatch.setattr("hadirector.cli.ipvs_settings.OBJECT_BYTES", size)
    twin = MemoryTable(Table.of((Service(FOREIGN), [])))
    monkeypatch.setattr("hadirector.cli.plan.kernel_table", lambda: twin)
    return twin


NOTHING: dict[str, object] = {
    "summary": "the table matches",
    "settings": [],
    "sync": [],
    "remarks": [],
    "drains": [],
    "steps": [],
    "connection_table": None,
    "kept": [],
    "impact": [],
    "changes": 0,
}


def test_against_an_empty_table_every_step_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--empty", FILE]) == 1
    assert capsys.readouterr() == (SHOWN + "plan: add 1 service and 2 servers\n", "")


def test_a_plan_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--empty", "--json", FILE]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document == {**NOTHING, "summary": "add 1 service and 2 servers", "steps": STEPS}


def test_apply_does_what_plan_shows_and_a_second_time_nothing(
    table: MemoryTable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = (
        f"  leave alone, not in the file: {FOREIGN}\n"
        "  connection table: 4096 buckets (32 KiB); "
        "of this network namespace 0 connections (0 KiB)\n"
    )
    assert main(["plan", FILE]) == 1
    assert table.writes == 0
    assert capsys.readouterr().out == SHOWN + kept + "plan: add 1 service and 2 servers\n"

    apply = ["apply", FILE, "--runtime-dir", str(tmp_path)]
    assert main(apply) == 0
    assert capsys.readouterr().out.endswith("applied: 3 of 3 steps\n")
    assert table.writes == 3

    assert main(["plan", FILE]) == 0
    assert capsys.readouterr().out == kept + "plan: the table matches\n"
    assert main([*apply, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        **NOTHING,
        "connection_table": {
            "buckets": 4096,
            "buckets_bytes": 32768,
            "connections": 0,
            "connections_bytes": 0,
        },
        "kept": [str(FOREIGN)],
        "applied": 0,
        "failures": [],
    }
    assert table.writes == 3


def test_apply_names_what_the_kernel_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = MemoryTable(schedulers={"rr"})
    monkeypatch.setattr("hadirector.cli.plan.kernel_table", lambda: twin)
    assert main(["apply", FILE, "--runtime-dir", str(tmp_path)]) == 1
    output = capsys.readouterr()
    assert f"refused: could not {STEPS[0]}: ENOENT, this kernel has no scheduler" in output.out
    assert output.out.endswith("applied: 0 of 3 steps\n")


def test_apply_does_not_fight_a_running_daemon(
    table: MemoryTable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with only_one(tmp_path):
        assert main(["apply", FILE, "--runtime-dir", str(tmp_path)]) == 3
    assert "hadirector reload" in capsys.readouterr().err
    assert table.writes == 0


class Forbidden(MemoryTable):
    async def read(self, *, traffic: bool = False) -> Table:
        raise DataplaneForbiddenError("the kernel refuses to show IPVS (EPERM)")


@pytest.mark.parametrize("verb", ["plan", "apply"])
def test_a_table_that_cannot_be_read(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hadirector.cli.plan.kernel_table", Forbidden)
    assert main([verb, FILE]) == 3
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("hadirector: the kernel refuses to show IPVS (EPERM); run as root")
    assert len(output.err.splitlines()) == 1


@pytest.mark.parametrize("verb", ["plan", "apply", "run"])
def test_a_wrong_file_is_refused_with_its_line(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pair.yaml"
    file.write_text("sevices: []\n")
    assert main([verb, str(file)]) == 2
    errors = capsys.readouterr().err
    assert f"{file}:1:1: error:" in errors
    assert errors.endswith(f"hadirector: {file} cannot be used; correct it and try again\n")


def test_a_plan_that_takes_is_shown_with_its_impact_and_limited(
    table: MemoryTable,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    apply = ["apply", "--runtime-dir", str(tmp_path)]
    file = tmp_path / "pair.yaml"
    text = Path(FILE).read_text(encoding="utf-8")
    file.write_text(text)
    assert main([*apply, str(file)]) == 0
    writes = table.writes
    file.write_text(text.replace("weight: 3", "weight: 0") + "max_changes: 0\n")
    capsys.readouterr()

    assert main(["plan", str(file)]) == 1
    impact = "impact: takes new connections from 1 server with 0 active connections"
    assert impact in capsys.readouterr().out
    assert main([*apply, str(file)]) == 1
    assert "change or remove more entries (1) than are allowed (0)" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer in ("", "n"):
        monkeypatch.setattr("builtins.input", lambda _, answer=answer: answer)
        assert main([*apply, str(file), "--max-changes", "1"]) == 1
    assert table.writes == writes
    assert main([*apply, str(file), "--max-changes", "1", "--yes"]) == 0
    assert table.writes == writes + 1
    with pytest.raises(SystemExit):
        main([*apply, str(file), "--max-changes", "some"])


class Busy(MemoryTable):
    """A server keeps one connection until it was looked at twice."""

    looks = 0

    async def read(self, *, traffic: bool = False) -> Table:
        self.looks += 1
        counted = Counters(active=1) if self.looks <= 2 else Counters()
        return Table(
            {
                key: replace(entry, counters=dict.fromkeys(entry.destinations, counted))
                for key, entry in self.table.items()
            }
        )


@pytest.mark.parametrize("drain", ["30s", "0s"])
def test_what_apply_removes_gets_weight_0_and_is_waited_for(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    drain: str,
) -> None:
    monkeypatch.setattr("hadirector.limits.DRAIN_LOOK_S", 0.01)
    file = tmp_path / "pair.yaml"
    text = Path(FILE).read_text(encoding="utf-8")
    whole = pool.desired_table(map(pool.everything_up, config_of(tmp_path, text).services))
    twin = Busy(whole)
    monkeypatch.setattr("hadirector.cli.plan.kernel_table", lambda: twin)
    kept = [line for line in text.splitlines() if "198.51.100.22" not in line]
    file.write_text("\n".join([*kept, f"drain_removed: {drain}"]) + "\n")
    assert main(["apply", "--runtime-dir", str(tmp_path), "--yes", str(file)]) == 0
    output = capsys.readouterr()
    if drain == "0s":
        assert output.out.endswith("applied: 1 of 1 steps\n")
        assert twin.looks == 1
    else:
        assert "weight 0 for 1 server, until the connections have ended, 30 s at most" in output.out
        assert output.out.endswith("applied: 2 of 2 steps\n")
        assert output.err == "waits for 1 connection of what is removed, 30 s at most\n"
        assert twin.looks == 3
    assert len(twin.table[next(iter(whole))].destinations) == 1


class OddTable(MemoryTable):
    async def read(self, *, traffic: bool = False) -> Table:
        return Table(self.table.entries, ("service 192.0.2.9 port 7 has IP protocol 47",))


def test_what_our_values_cannot_express_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show(look_ahead(config_of(tmp_path, HEAD), OddTable()), as_json=False)
    assert (
        capsys.readouterr()
        .out.splitlines()[0]
        .endswith("in the kernel, and left alone: service 192.0.2.9 port 7 has IP protocol 47")
    )
