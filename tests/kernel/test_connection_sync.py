"""The sync daemons of a real kernel follow duty and file, and ipvsadm sees the same.

How it works: a network namespace with one link; the keeper's turns are those of its unit tests,
where the daemons are a twin in memory, and `plan` and `apply` are run as users run them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hadirector.cli.main import main
from hadirector.connection_sync import ConnectionSync, Decision, SyncDuty
from hadirector.ipvs.settings import KernelSettings
from hadirector.journal import Journal
from hadirector.sync_keeper import SyncKeeper
from tests.hadirector.config.samples import NODES
from tests.kernel.ipvs_namespace import fresh_network

SYNC = ConnectionSync(interface="sync0", sync_id=51, follows=("front",), ttl=3)
SENDS = Decision(SyncDuty.ACTIVE, "sends: front active here")
RECEIVES = Decision(SyncDuty.BACKUP, "receives: front not active here")
OPTIONS = "mcast=sync0, syncid=51, maxlen=1472, group=224.0.0.81, port=8848, ttl=3"
MASTER, BACKUP = f"master sync daemon ({OPTIONS})", f"backup sync daemon ({OPTIONS})"


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with fresh_network():
        link = ["ip", "link", "add", "sync0", "up", "type", "veth", "peer", "name", "sync1"]
        subprocess.run(link, check=True)
        for command in ("link set sync1 up", "address add 192.0.2.11/24 dev sync0"):
            subprocess.run(["ip", *command.split()], check=True)
        subprocess.run(["ipvsadm", "-L"], check=True, capture_output=True)  # the settings appear
        yield


def daemons(*arguments: str) -> list[str]:
    """What ipvsadm says of them, after doing something with it."""
    if arguments:
        subprocess.run(["ipvsadm", *arguments], check=True)
    done = subprocess.run(["ipvsadm", "-L", "--daemon"], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


@pytest.mark.asyncio
async def test_the_daemons_follow_the_duty_and_are_restored(tmp_path: Path) -> None:
    kernel, journal = KernelSettings(), Journal(tmp_path / "journal.ndjson")
    now = 100.0
    keeper = SyncKeeper(kernel, journal, clock=lambda: now)
    await keeper.turn(SYNC, RECEIVES)
    assert daemons() == [BACKUP]
    await keeper.turn(SYNC, SENDS)
    assert daemons() == [MASTER]
    await keeper.turn(SYNC, RECEIVES)
    assert daemons() == [MASTER, BACKUP]
    now += 3.0
    await keeper.turn(SYNC, RECEIVES)
    assert daemons() == [BACKUP]

    assert daemons("--stop-daemon", "backup") == []
    await keeper.turn(SYNC, RECEIVES)
    assert daemons() == [BACKUP]
    assert daemons("--start-daemon", "master", "--mcast-interface", "sync0") != [BACKUP]
    await keeper.turn(SYNC, RECEIVES)
    assert daemons() == [BACKUP]
    repairs = [event.sentence for event in journal.newest(20) if event.kind == "repair"]
    assert len(repairs) == 2
    assert "after: none" in repairs[0]
    assert "before: no active sync daemon" in repairs[1]

    await keeper.turn(replace(SYNC, sync_id=52), RECEIVES)
    assert daemons() == [BACKUP.replace("syncid=51", "syncid=52")]
    await keeper.turn(None, RECEIVES)
    assert daemons() == []
    kernel.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "pair.yaml"
    sync = "connection_sync: {interface: sync0, mode: both, id: 51, ttl: 3}\n"
    file.write_text(f"{NODES}virtual_routers: []\n{sync}services: []\n")
    return file


def test_a_static_duty_is_planned_and_applied_without_a_daemon(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = ["--node", "lb2"]
    assert main(["plan", str(file), *here]) == 1
    planned = capsys.readouterr().out
    assert "set sync_threshold to 0 0 (it is 3 50)" in planned
    assert "start the active sync daemon on sync0, id 51" in planned
    assert "change 2 sync daemons" in planned
    assert daemons() == []
    assert main(["apply", str(file), *here, "--runtime-dir", str(tmp_path)]) == 0
    assert "2 sync daemons changed" in capsys.readouterr().out
    assert daemons() == [MASTER, BACKUP]
    assert main(["plan", str(file), *here]) == 0
    file.write_text(file.read_text().replace("id: 51", "id: 52"))
    capsys.readouterr()
    assert main(["plan", str(file), *here, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [step.startswith("stop the ") for step in document["sync"]] == [True, True]
    assert "id 52" in document["sync"][0]


def test_where_vrrp_decides_a_plan_says_so_and_leaves_the_role(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    router = "[{name: front, vrid: 51, interface: eth0, addresses: [192.0.2.100/24]}]"
    text = file.read_text().replace("mode: both, ", "").replace("routers: []", f"routers: {router}")
    file.write_text(text)
    main(["plan", str(file)])
    said = capsys.readouterr().out
    assert "`hadirector run` starts it, by the role in VRRP" in said
    assert "sync daemon on" not in said
    daemons("--start-daemon", "backup", "--mcast-interface", "sync0", "--syncid", "9")
    main(["plan", str(file)])
    assert "stop the backup sync daemon on sync0, id 9" in capsys.readouterr().out
