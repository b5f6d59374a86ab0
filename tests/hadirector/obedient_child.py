"""A child process for the tests of `hadirector.child`: does what its first line asks.

It reads `BEHAVIOUR HEARTBEAT_S`, answers `ready`, and says `heartbeat` at that rate from then on.
It ends with status 0 at `goodbye` or at the end of its channel. Behaviours other than `orderly`:

    deaf        ignores `goodbye`
    chatty      says `heartbeat` once and then nothing but `noise`, all the time
    closed      closes its channel and stays
    short-lived ends with status 7 at once
"""

import select
import socket
import sys
import time


def main() -> int:
    channel = socket.socket(fileno=int(sys.argv[1]))
    lines = channel.makefile("rb", buffering=0)
    behaviour, period_s = lines.readline().split()
    channel.sendall(b"ready\n")
    match behaviour:
        case b"short-lived":
            return 7
        case b"closed":
            channel.shutdown(socket.SHUT_RDWR)
            time.sleep(60)
        case b"chatty":
            channel.sendall(b"heartbeat\n")
            while True:
                channel.sendall(b"noise\n" * 100)
    while True:
        readable, _, _ = select.select([channel], [], [], float(period_s))
        if not readable:
            channel.sendall(b"heartbeat\n")
            continue
        line = lines.readline()
        if line == b"" or (line == b"goodbye\n" and behaviour != b"deaf"):
            return 0


if __name__ == "__main__":
    sys.exit(main())
