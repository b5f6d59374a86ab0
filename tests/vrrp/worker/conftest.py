"""Two hosts on one link, and workers on them."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.prerequisites import require
from tests.vrrp.worker.stage import StartWorker, front, peer
from tests.vrrp.world import Host, WorkerProcess, World
from vrrp.config import RouterSettings


@pytest.fixture
def world() -> Iterator[World]:
    require("ip", "nsenter", "unshare", namespaces=True)
    with World() as world:
        yield world


@pytest.fixture
def hosts(world: World) -> tuple[Host, Host]:
    one, other = world.host("lb1"), world.host("lb2")
    world.link({one: "192.0.2.11/24", other: "192.0.2.12/24"})
    return one, other


@pytest.fixture
def start(world: World) -> Iterator[StartWorker]:
    with ExitStack() as stack:

        def start_worker(host: Host, *routers: RouterSettings) -> WorkerProcess:
            worker = WorkerProcess(host, *routers)
            stack.callback(worker.close)
            return worker

        yield start_worker


@pytest.fixture
def pair(hosts: tuple[Host, Host], start: StartWorker) -> tuple[WorkerProcess, WorkerProcess]:
    """lb1 is active, lb2 is backup and has heard it."""
    one = start(hosts[0], front(254))
    one.wait_state("active")
    other = start(hosts[1], front(253))
    other.wait(lambda: peer(other) == "192.0.2.11", "lb2 hears lb1")
    return one, other
