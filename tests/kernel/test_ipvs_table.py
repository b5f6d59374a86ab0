"""The kernel's own table keeps the contract, and ipvsadm and /proc see what we see.

How it works: each test has a network namespace to itself, and with it an IPVS table of its own.
"""

import ctypes
import os
from collections.abc import Iterator

import pytest

from hadirector.ipvs.table import KernelTable
from tests.hadirector.ipvs.dataplane_contract import DataplaneContract

_CLONE_NEWNET = 0x40000000


@pytest.fixture
def namespace() -> Iterator[None]:
    """A fresh network namespace for this thread, and the old one again afterwards."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        assert libc.unshare(_CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        yield
        assert libc.setns(before, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    finally:
        os.close(before)


@pytest.fixture
def kernel(namespace: None) -> Iterator[KernelTable]:
    table = KernelTable()
    yield table
    table.close()


class TestKernelTable(DataplaneContract):
    @pytest.fixture
    def dataplane(self, kernel: KernelTable) -> KernelTable:
        return kernel
