"""Two hosts on one link, and workers on them."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.prerequisites import require
from tests.vrrp.world import Host, StartWorker, WorkerProcess, World
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
