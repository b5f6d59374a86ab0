"""What stories about a worker begin with: its settings, and what can be seen of it."""

from ipaddress import IPv4Address, IPv4Interface

from tests.vrrp.world import WorkerProcess
from vrrp.config import RouterSettings

VIP = "192.0.2.100/24"
BACK_VIP = "198.51.100.1/24"


def front(
    priority: int,
    *addresses: str,
    group: str | None = None,
    source: IPv4Address | None = None,
) -> RouterSettings:
    return RouterSettings(
        name="front",
        vrid=51,
        interface="eth0",
        advertise=0.1,
        addresses=tuple(IPv4Interface(address) for address in addresses or (VIP,)),
        priority=priority,
        group=group,
        source=source,
    )


def peer(worker: WorkerProcess) -> str | None:
    report = worker.reports.get("front")
    return None if report is None else report.active_peer


def received(worker: WorkerProcess) -> int:
    report = worker.reports.get("front")
    return 0 if report is None else report.counters.get("received", 0)


def wait_held(worker: WorkerProcess, *addresses: str) -> None:
    worker.wait(lambda: worker.reports["front"].held == addresses, f"holds {addresses}")
