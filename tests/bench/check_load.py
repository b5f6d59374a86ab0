"""A neighbour that burns a processor with health checks: 5,000 TCP checks, five a second each.

    python -m tests.bench.check_load

It runs the very scheduler of the director process, without a table: so it needs no IPVS. The
servers are addresses of this host, 10.77.0.0/16, which has to be local, and one listener.
"""

from __future__ import annotations

import asyncio
import os
import socket
from ipaddress import IPv4Address

from checkers.base import Target
from checkers.check import Check
from checkers.scheduler import Scheduler
from checkers.tcp import TcpOptions
from checkers.timing import Timing
from hadirector.director_program import allow_many_descriptors

CHECKS = 5000
PORT = 8080
TIMING = Timing(interval=0.2, timeout=0.2)
FIRST = IPv4Address("10.77.0.1")


def listen() -> None:
    """Accept and close, in a process of its own, until killed with its parent."""
    parent = os.getppid()
    with socket.create_server(("", PORT), backlog=4096) as listening:
        listening.settimeout(1.0)
        while os.getppid() == parent:
            try:
                listening.accept()[0].close()
            except TimeoutError:
                continue


async def check() -> None:
    """Check until killed."""
    scheduler = Scheduler(on_transition=lambda key, transition: None)
    checks = {}
    for number in range(CHECKS):
        target = Target(FIRST + number, PORT)
        key = f"busy {target}"
        checks[key] = Check(key=key, target=target, options=TcpOptions(), timing=TIMING)
    scheduler.update(checks)
    await scheduler.run()


if __name__ == "__main__":
    if os.fork() == 0:
        listen()
    else:
        allow_many_descriptors()
        asyncio.run(check())
