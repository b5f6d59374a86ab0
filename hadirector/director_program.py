"""The director process as a program: `python -m hadirector.director_program FD`.

FD is one end of a socketpair; the supervisor has the other one, and its first line is the
configuration. What a service manager's signals ask comes through the supervisor.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from hadirector import limits, messages
from hadirector.channel import Channel
from hadirector.declared import is_anything_left
from hadirector.logs import configure_logs


def allow_many_descriptors() -> None:
    """Raise the soft limit of open files to the hard one: each probe under way needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def serve_as_told(end: socket.socket) -> None:
    """Hear the configuration on the channel, then be a director until told to stop."""
    channel = await Channel.over(end)
    line = await channel.receive(timeout_s=limits.START_S)
    told = messages.decode(line) if line is not None else None
    if not isinstance(told, messages.Configure):
        raise SystemExit("the director process is started by `hadirector run`, not by hand")
    while told is not None:
        told = await _serve(told, channel)


async def _serve(told: messages.Configure, channel: Channel) -> messages.Configure | None:
    """Be what it takes, until told to stop; or return what to be instead.

    Where nothing is balanced, neither checks nor IPVS are loaded. A table that an earlier
    configuration has left behind is something to balance: it has to go.
    """
    if not told.balances and not is_anything_left(Path(told.runtime_dir)):
        from hadirector.vrrp_alone import VrrpAlone

        return await VrrpAlone(told, channel).run()
    from checkers.limits import COLLECT_AFTER
    from hadirector.director import Director
    from hadirector.ipvs.table import KernelTable

    gc.set_threshold(COLLECT_AFTER)
    await Director(told, channel, KernelTable()).run()
    return None


def main() -> None:
    """Be the director process until the supervisor says stop or is gone."""
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal():
        sys.exit("the director process is started by `hadirector run`, not by hand")
    # What these ask comes through the supervisor; a service manager may signal us all at once.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    configure_logs("director")
    allow_many_descriptors()
    end = socket.socket(fileno=int(sys.argv[1]))
    end.set_inheritable(False)
    asyncio.run(serve_as_told(end))


if __name__ == "__main__":
    main()
