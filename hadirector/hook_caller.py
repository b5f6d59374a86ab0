"""Says when the hooks of services are to run; a child of the director runs them (`hook_program`).

What happens before the director is ready is not told one by one: then, and whenever a child starts
or a reload brings new hooks, everything is told as it is (`replayed`). Must never wait for a hook,
nor for a child that does not read: beyond a bound, what happens is left out, and that is journaled.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

from checkers.health import State, Transition
from hadirector.checks import ServerView
from hadirector.hook_program import LINE_BYTES_MAX, Failed, Run
from hadirector.hooks import Happened, Occasion, ServiceHook
from hadirector.journal import Journal
from hadirector.pool import Pool, server_key
from hadirector.pools import Pools
from vrrp.typed_json import MessageError, read_dataclass, read_line, write_line

KIND: Final = "hook"
RESTART_S: Final = 1.0
UNREAD_BYTES_MAX: Final = 8 * 1024 * 1024
"""What may wait for a child that does not read; the state of some 20,000 servers."""


class HookCaller:
    """The hooks of one director. `pools` and `views` tell how everything is, for a replay."""

    def __init__(
        self,
        node: str,
        journal: Journal,
        pools: Pools,
        views: Mapping[str, ServerView],
        *,
        runtime_dir: Path,
    ) -> None:
        self._node = node
        self._runtime_dir = runtime_dir  # one director's: its helpers run hooks one at a time
        self._journal = journal
        self._pools = pools
        self._views = views
        self._hooks: tuple[ServiceHook, ...] = ()
        self._needed = asyncio.Event()
        self._ready = False
        self._writer: asyncio.StreamWriter | None = None
        self._leaves_out = False

    def adopt(self, hooks: tuple[ServiceHook, ...]) -> None:
        """Run these from now on; those that are new are told how everything is."""
        fresh = tuple(hook for hook in hooks if hook not in self._hooks)
        self._hooks = hooks
        if hooks:
            self._needed.set()
        self._replay(fresh)

    def ready(self) -> None:
        """From now on there is something to tell."""
        self._ready = True
        self._replay(self._hooks)

    def turned(self, key: str, transition: Transition) -> None:
        """The checks' verdict on this server has just changed."""
        if self._ready and self._hooks and transition.after is not State.UNKNOWN:
            what = _of_server(self._node, key, transition.after, transition.sentence)
            self._tell(self._hooks, replace(what, at=transition.at))

    def swung(self, pools: Iterable[Pool]) -> None:
        """These services have just got their quorum, or lost it."""
        if self._ready and self._hooks:
            for each in pools:
                self._tell(self._hooks, _of_quorum(self._node, each))

    async def run(self) -> None:
        """Keep a child while one is needed, until cancelled; it ends by itself then."""
        while True:
            await self._needed.wait()
            try:
                await self._live_with_child()
            except (OSError, ValueError, MessageError) as error:
                self._journal.add(KIND, f"the helper for hooks cannot be kept: {error}")
            await asyncio.sleep(RESTART_S)

    async def _live_with_child(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            child = await asyncio.to_thread(_start, theirs.fileno(), self._runtime_dir)
        reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_BYTES_MAX)
        self._writer = writer
        try:
            self._replay(self._hooks)
            while line := await reader.readline():
                failed = cast(Failed, read_dataclass(Failed, read_line(line), "failed"))
                self._journal.add(KIND, f"hook {failed.sentence}", subject=failed.service)
        except asyncio.CancelledError:
            child.returncode = 0  # it runs on for the last hooks, and nobody waits for it
            raise
        finally:
            self._writer = None
            writer.close()
            if child.returncode is None:
                child.kill()
                child.wait()
        self._journal.add(KIND, "the helper for hooks has ended; another one is started")

    def _replay(self, hooks: tuple[ServiceHook, ...]) -> None:
        if not hooks or not self._ready or self._writer is None:
            return
        for each in self._pools.by_name.values():
            self._tell(hooks, replace(_of_quorum(self._node, each), replayed=True))
            for server in each.service.servers:
                key = server_key(each.service, server)
                view = self._views.get(key)
                if view is not None and view.state is not State.UNKNOWN:
                    what = _of_server(self._node, key, view.state, view.sentence)
                    self._tell(hooks, replace(what, replayed=True))

    def _tell(self, hooks: tuple[ServiceHook, ...], what: Happened) -> None:
        wanted = tuple(hook for hook in hooks if hook.wants(what))
        if not wanted or self._writer is None or self._writer.is_closing():
            return  # a child that starts is told how everything is
        full = self._writer.transport.get_write_buffer_size() > UNREAD_BYTES_MAX
        if full and not self._leaves_out:
            self._journal.add(KIND, f"too much waits for the hooks: {what} is left out, and more")
        self._leaves_out = full
        if not full:
            self._writer.write(write_line(Run(hooks=wanted, happened=what)))


def _of_server(node: str, key: str, state: State, reason: str) -> Happened:
    event = Occasion.SERVER_UP if state is State.UP else Occasion.SERVER_DOWN
    service, _, server = key.partition("/")
    return Happened(
        event=event, node=node, service=service, server=server, reason=reason, at=time.time()
    )


def _of_quorum(node: str, pool: Pool) -> Happened:
    event = Occasion.QUORUM_MET if pool.quorum_met else Occasion.QUORUM_LOST
    return Happened(
        event=event, node=node, service=pool.service.name, reason=pool.sentence, at=time.time()
    )


def _start(descriptor: int, runtime_dir: Path) -> subprocess.Popen[bytes]:
    """Start a child; it inherits its end of the line and the streams that are printed to."""
    warnings = [f"-W{option}" for option in sys.warnoptions]  # as the tests want
    command = [sys.executable, *warnings, "-m", "hadirector.hook_program"]
    return subprocess.Popen(
        [*command, str(descriptor), str(runtime_dir)],
        stdin=subprocess.DEVNULL,
        pass_fds=(descriptor,),
    )
