"""A network namespace for one test, and with it an IPVS table that nobody else has."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

_CLONE_NEWNET = 0x40000000


@contextmanager
def fresh_network() -> Iterator[None]:
    """This thread in a network namespace of its own, and in the old one again afterwards."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(_CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare of the network namespace")
        try:
            # Without a single IPv4 address the kernel takes every server's for a broadcast one.
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            if libc.setns(before, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "return to the old network namespace")
    finally:
        os.close(before)
