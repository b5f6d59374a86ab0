"""A pair of workers."""

import pytest

from tests.vrrp.worker.stage import front, peer
from tests.vrrp.world import Host, StartWorker, WorkerProcess


@pytest.fixture
def pair(hosts: tuple[Host, Host], start: StartWorker) -> tuple[WorkerProcess, WorkerProcess]:
    """lb1 is active, lb2 is backup and has heard it."""
    one = start(hosts[0], front(254))
    one.wait_state("active")
    other = start(hosts[1], front(253))
    other.wait(lambda: peer(other) == "192.0.2.11", "lb2 hears lb1")
    return one, other
