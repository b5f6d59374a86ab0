"""The keeper of the sync daemons: what it does to them at each change of duty, and what it tells.

How it works: the daemons are a twin in memory, the clock is a number.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hadirector.connection_sync import ConnectionSync, Decision, SyncDuty, SyncStop
from hadirector.ipvs.control import SyncRole
from hadirector.ipvs.settings import SettingRefusedError
from hadirector.journal import Journal
from hadirector.sync_keeper import SyncKeeper
from tests.hadirector.memory_daemons import MemoryDaemons

SYNC = ConnectionSync(interface="eth1", sync_id=51, follows=("front",))
SENDS = Decision(SyncDuty.ACTIVE, "sends: front active here")
RECEIVES = Decision(SyncDuty.BACKUP, "receives: front not active here")
UNKNOWN = Decision(None, "left as it is: nothing is known of front")


class Scene:
    """A keeper, its kernel, its clock and its journal."""

    def __init__(self, directory: Path) -> None:
        self.now = 100.0
        self.kernel = MemoryDaemons()
        self.journal = Journal(directory / "journal.ndjson")
        self.keeper = SyncKeeper(
            self.kernel, self.journal, clock=lambda: self.now, wall=lambda: self.now
        )

    def told(self, kind: str) -> list[str]:
        return [event.sentence for event in self.journal.newest(50) if event.kind == kind]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.mark.asyncio
async def test_a_takeover_starts_to_send_before_it_stops_to_receive(scene: Scene) -> None:
    assert await scene.keeper.turn(SYNC, RECEIVES) is None
    assert await scene.keeper.turn(SYNC, SENDS) is None
    assert scene.kernel.done == ["start backup", "start active", "stop backup"]
    assert "connection sync sends: front active here" in scene.told("sync")
    assert scene.keeper.view is not None
    assert list(scene.keeper.view.running) == [SyncRole.ACTIVE]


@pytest.mark.asyncio
async def test_who_lost_the_role_sends_what_the_kernel_has_gathered(scene: Scene) -> None:
    await scene.keeper.turn(SYNC, SENDS)
    assert await scene.keeper.turn(SYNC, RECEIVES) == 3.0
    assert set(scene.kernel.running) == set(SyncRole)
    scene.now += 1.0
    assert await scene.keeper.turn(SYNC, RECEIVES) == 2.0
    scene.now += 2.0
    assert await scene.keeper.turn(SYNC, RECEIVES) is None
    assert set(scene.kernel.running) == {SyncRole.BACKUP}


@pytest.mark.asyncio
async def test_the_role_back_within_the_window_goes_on_sending(scene: Scene) -> None:
    await scene.keeper.turn(SYNC, SENDS)
    await scene.keeper.turn(SYNC, RECEIVES)
    assert await scene.keeper.turn(SYNC, SENDS) is None
    assert set(scene.kernel.running) == {SyncRole.ACTIVE}
    assert "stop active" not in scene.kernel.done


@pytest.mark.asyncio
async def test_nothing_known_changes_nothing(scene: Scene) -> None:
    await scene.keeper.turn(SYNC, SENDS)
    await scene.keeper.turn(SYNC, UNKNOWN)
    await scene.keeper.turn(SYNC, SENDS)
    assert scene.kernel.done == ["start active"]


@pytest.mark.asyncio
async def test_drift_is_repaired_and_journaled_with_before_and_after(scene: Scene) -> None:
    await scene.keeper.turn(SYNC, RECEIVES)
    await scene.kernel.stop_daemon(SyncRole.BACKUP)
    await scene.keeper.turn(SYNC, RECEIVES)
    [told] = scene.told("repair")
    assert "before: backup sync daemon on eth1, id 51" in told
    assert "after: none" in told
    assert set(scene.kernel.running) == {SyncRole.BACKUP}
    running = scene.kernel.running[SyncRole.BACKUP]
    scene.kernel.running[SyncRole.BACKUP] = replace(running, sync_id=7)
    await scene.keeper.turn(SYNC, RECEIVES)
    assert "after: backup sync daemon on eth1, id 7" in scene.told("repair")[1]
    assert scene.kernel.running[SyncRole.BACKUP].sync_id == 51


@pytest.mark.asyncio
async def test_what_is_refused_is_tried_again_and_is_no_drift(scene: Scene) -> None:
    scene.kernel.refuse = "ENODEV, there is no such interface"
    for _ in range(2):
        with pytest.raises(SettingRefusedError):
            await scene.keeper.turn(SYNC, RECEIVES)
    scene.kernel.refuse = ""
    await scene.keeper.turn(SYNC, RECEIVES)
    assert set(scene.kernel.running) == {SyncRole.BACKUP}
    assert not scene.told("repair")


@pytest.mark.asyncio
async def test_a_section_taken_out_ends_what_was_started_and_nothing_else(scene: Scene) -> None:
    others = SYNC.daemons([SyncRole.ACTIVE])[SyncRole.ACTIVE]
    await scene.keeper.turn(SYNC, RECEIVES)
    await scene.kernel.start_daemon(others)
    await scene.keeper.turn(None, UNKNOWN)
    assert set(scene.kernel.running) == {SyncRole.ACTIVE}
    assert scene.keeper.view is None
    assert await scene.keeper.turn(None, UNKNOWN) is None


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("on_stop", "left"),
    [
        (SyncStop.RECEIVE, {SyncRole.BACKUP}),
        (SyncStop.KEEP, {SyncRole.ACTIVE, SyncRole.BACKUP}),
        (SyncStop.STOP, set()),
    ],
)
async def test_the_stop_leaves_what_the_file_says(
    scene: Scene, on_stop: SyncStop, left: set[SyncRole]
) -> None:
    sync = replace(SYNC, on_stop=on_stop)
    await scene.keeper.turn(sync, SENDS)
    await scene.keeper.turn(sync, RECEIVES)
    scene.now += 3.0  # so that nothing is waited for here
    await scene.keeper.stop()
    assert set(scene.kernel.running) == left


@pytest.mark.asyncio
async def test_a_cold_director_listens_before_it_takes_over(scene: Scene) -> None:
    assert scene.keeper.cold_for_s(SYNC) == 15.0
    await scene.keeper.turn(SYNC, RECEIVES)
    scene.now += 6.0
    assert scene.keeper.cold_for_s(SYNC) == 9.0
    await scene.keeper.turn(SYNC, SENDS)  # nobody was there to learn from
    assert scene.keeper.cold_for_s(SYNC) == 0.0


@pytest.mark.asyncio
async def test_one_that_always_does_both_listens_first_although_it_sends(scene: Scene) -> None:
    both = replace(SYNC, follows=(), duties={"lb1": SyncDuty.BOTH})
    await scene.keeper.turn(both, Decision(SyncDuty.BOTH, "sends and receives: so the file says"))
    assert scene.keeper.cold_for_s(both) == 15.0
    scene.now += 15.0
    assert scene.keeper.cold_for_s(both) == 0.0
    alone = replace(both, duties={"lb1": SyncDuty.ACTIVE})
    await scene.keeper.turn(alone, SENDS)
    assert scene.keeper.cold_for_s(alone) == 0.0


@pytest.mark.asyncio
async def test_who_finds_a_receiver_running_is_warm(scene: Scene) -> None:
    await scene.kernel.start_daemon(SYNC.daemons([SyncRole.BACKUP])[SyncRole.BACKUP])
    await scene.keeper.turn(SYNC, RECEIVES)
    assert scene.keeper.cold_for_s(SYNC) == 0.0
    assert scene.keeper.cold_for_s(None) == 0.0
