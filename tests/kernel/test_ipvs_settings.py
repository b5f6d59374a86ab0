"""Time-outs, sync daemons and counters: what we set is what ipvsadm shows, and the reverse."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from hadirector.ipvs.control import SyncDaemon, SyncRole, Timeouts
from hadirector.ipvs.model import Table
from hadirector.ipvs.settings import KernelSettings, SettingRefusedError
from hadirector.ipvs.steps import AddDestination, AddService
from hadirector.ipvs.table import KernelTable
from tests.hadirector.ipvs.dataplane_contract import SERVER, SERVICE, WEB
from tests.kernel.ipvs_namespace import fresh_network

ACTIVE = SyncDaemon(
    role=SyncRole.ACTIVE, interface="sync0", sync_id=5, maxlen=1400, port=9000, ttl=3
)


@pytest.fixture
def settings() -> Iterator[KernelSettings]:
    with fresh_network():
        link = ["ip", "link", "add", "sync0", "up", "type", "veth", "peer", "name", "sync1"]
        subprocess.run(link, check=True)
        subprocess.run(["ip", "link", "set", "sync1", "up"], check=True)
        address = ["ip", "address", "add", "fe80::1/64", "dev", "sync0", "nodad"]
        subprocess.run(address, check=True)  # the active daemon sends from it, and at once
        settings = KernelSettings()
        yield settings
        settings.close()


def ipvsadm(*arguments: str) -> list[str]:
    done = subprocess.run(["ipvsadm", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


@pytest.mark.asyncio
async def test_timeouts_are_those_ipvsadm_shows(settings: KernelSettings) -> None:
    await settings.set_timeouts(Timeouts(tcp_s=600, tcp_fin_s=60))
    assert await settings.timeouts() == Timeouts(tcp_s=600, tcp_fin_s=60, udp_s=300)
    assert ipvsadm("-L", "--timeout") == ["Timeout (tcp tcpfin udp): 600 60 300"]
    ipvsadm("--set", "0", "0", "30")
    assert await settings.timeouts() == Timeouts(tcp_s=600, tcp_fin_s=60, udp_s=30)


@pytest.mark.asyncio
@pytest.mark.parametrize("group", ["224.0.0.81", "239.1.2.3", "ff02::81"])
@pytest.mark.parametrize(
    ("role", "word"), [(SyncRole.ACTIVE, "master"), (SyncRole.BACKUP, "backup")]
)
async def test_a_daemon_is_the_one_ipvsadm_shows(
    settings: KernelSettings, role: SyncRole, word: str, group: str
) -> None:
    daemon = replace(ACTIVE, role=role, group=ip_address(group))
    await settings.start_daemon(daemon)
    assert await settings.daemons() == {role: daemon}
    details = f"mcast=sync0, syncid=5, maxlen=1400, group={group}, port=9000, ttl=3"
    assert ipvsadm("-L", "--daemon") == [f"{word} sync daemon ({details})"]
    await settings.stop_daemon(role)
    assert await settings.daemons() == {}


@pytest.mark.asyncio
async def test_both_daemons_run_at_once_and_ipvsadms_are_read(settings: KernelSettings) -> None:
    ipvsadm("--start-daemon", "master", "--mcast-interface", "sync0", "--syncid", "7")
    await settings.start_daemon(replace(ACTIVE, role=SyncRole.BACKUP))
    found = await settings.daemons()
    assert set(found) == set(SyncRole)
    read = found[SyncRole.ACTIVE]
    assert (read.interface, read.sync_id, read.port, read.ttl) == ("sync0", 7, 8848, 1)


@pytest.mark.asyncio
async def test_what_the_kernel_refuses_is_told_by_name(settings: KernelSettings) -> None:
    await settings.start_daemon(ACTIVE)
    with pytest.raises(SettingRefusedError, match="EEXIST, one runs already"):
        await settings.start_daemon(ACTIVE)
    with pytest.raises(SettingRefusedError, match="stop the backup sync daemon: ESRCH"):
        await settings.stop_daemon(SyncRole.BACKUP)
    with pytest.raises(SettingRefusedError, match="ENODEV, there is no such interface"):
        await settings.start_daemon(replace(ACTIVE, role=SyncRole.BACKUP, interface="absent"))


@pytest.mark.asyncio
async def test_flush_leaves_nothing_and_zero_wants_a_service(settings: KernelSettings) -> None:
    table = KernelTable()
    assert (await table.apply([AddService(SERVICE), AddDestination(WEB, SERVER)])).ok
    await settings.zero()
    await settings.zero(WEB)
    await settings.flush()
    assert await table.read() == Table()
    with pytest.raises(SettingRefusedError, match="ESRCH"):
        await settings.zero(WEB)
    table.close()
