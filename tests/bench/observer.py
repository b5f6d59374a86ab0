"""The client of a pair under test: asks all the time, hears the adverts, keeps the times.

    python -m tests.bench.observer INTERFACE ADDRESS PERIOD_MS

Runs in the client's network namespace. Every PERIOD_MS it sends an echo request to ADDRESS, which
the kernel of whoever holds the address answers: so what is measured is the way to the address, not
a server. It prints one line per thing that happened, `TIME KIND DETAIL`, with the time in seconds
of the monotonic clock, the same in all namespaces of a host:

    sent       a request was sent
    answered   a request that was answered, at the time it was sent
    advert     a VRRP advertisement: source and priority, at the time the kernel saw it
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time
from contextlib import suppress

from vrrp.dissect import dissect
from vrrp.listen import open_socket
from vrrp.packet import internet_checksum

_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")


def main() -> None:
    """Run until standard input is closed."""
    interface, address, period_ms = sys.argv[1], sys.argv[2], float(sys.argv[3])
    echo = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    echo.setblocking(False)
    ear = open_socket(interface)
    ear.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    real_to_monotonic = time.monotonic() - time.time()
    sent: dict[int, float] = {}
    number, due = 0, time.monotonic()
    while True:
        wait_s = max(0.0, due - time.monotonic())
        ready, _, _ = select.select([echo, ear, sys.stdin], [], [], wait_s)
        if sys.stdin in ready:
            return
        if echo in ready:
            reply = echo.recv(2048)
            if reply[20] == 0:  # an echo reply
                at = sent.pop(int.from_bytes(reply[26:28]), None)
                if at is not None:
                    print(f"{at:.6f} answered", flush=True)
        if ear in ready:
            try:
                frame, control, _, _ = ear.recvmsg(2048, 64)
            except OSError:
                return  # the interface has gone: this world is taken down
            told = dissect(frame)
            seconds, nanoseconds = _TIMESPEC.unpack(control[0][2])
            at = seconds + nanoseconds / 1e9 + real_to_monotonic
            print(f"{at:.6f} advert {told.source} {told.priority}", flush=True)
        if time.monotonic() >= due:
            number = (number + 1) & 0xFFFF
            sent[number] = time.monotonic()
            print(f"{sent[number]:.6f} sent", flush=True)
            due = max(due + period_ms / 1000, time.monotonic())
            with suppress(OSError):  # nobody answers for the address just now
                echo.sendto(_request(number), (address, 0))


def _request(number: int) -> bytes:
    blank = struct.pack("!BBHHH", 8, 0, 0, 1, number)
    return struct.pack("!BBHHH", 8, 0, internet_checksum(blank), 1, number)


if __name__ == "__main__":
    main()
