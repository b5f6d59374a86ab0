"""The supervisor: starts, watches and restarts the VRRP worker and the director process.

It is small so that it does not fail: it reads no configuration file, talks to no server and
programs no table. What it keeps is each worker's *last will*: the VRRP worker hands over, at every
change of state, ready-made priority-0 advertisements and the addresses it holds. When that worker
dies or freezes, the supervisor makes sure that it is dead, executes the will (`vrrp.will`: make
before break) and starts it again. A death of the director process costs no traffic: the kernel's
table stays.

A returning director must not take the addresses before its table is filled. So the VRRP worker is
held (it does not preempt a working peer) until the director process says that it is ready.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import NoReturn

from hadirector import limits, messages
from hadirector.child import Child, Role, environment, python
from hadirector.logs import Log, configure_logs
from hadirector.notify import notify, watchdog_interval_s
from hadirector.watch import Patience, Watch
from vrrp import messages as vrrp_messages
from vrrp import will
from vrrp.turn import hooks_have_ended

SCHEDULER_PRIORITY = 1  # real-time, but below the VRRP worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What `hadirector run` was asked to do."""

    config: str  # config_to_json, for the director process
    vrrp: str  # what the VRRP worker is told of it (`elections.told_to_worker`)
    file: str
    node: str
    runtime_dir: str
    state_dir: str
    on_stop: str = ""
    balances: bool = True  # `Config.balances`


class Supervisor:
    """Keeps the two workers of one director running."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._config = assignment.config
        self._balances = assignment.balances
        self._told_worker = _understood(assignment.vrrp)
        self._log = Log()
        self._will = vrrp_messages.LastWill(routers=())
        self._reports: dict[str, bytes] = {}  # the newest line about each virtual router
        self._untold: deque[bytes] = deque(maxlen=limits.NOTES_KEPT_MAX)
        self._facts = vrrp_messages.Facts(services={})  # of a service nothing is said yet
        self._guidance = vrrp_messages.Guidance()
        self._held = True
        self._director_lives = False
        self._stop_reason = ""
        self._vrrp = Child(
            Role(
                name="vrrp",
                module="vrrp.worker",
                greet=self._greet_vrrp,
                hear=self._hear_vrrp,
                bury=self._bury_vrrp,
                goodbye=lambda reason: vrrp_messages.encode(vrrp_messages.Stop(reason=reason)),
            ),
            Watch(self._vrrp_patience()),
        )
        self._director = Child(
            Role(
                name="director",
                module="hadirector.director_program",
                greet=self._greet_director,
                hear=self._hear_director,
                bury=self._bury_director,
                goodbye=lambda reason: messages.encode(messages.Stop(reason)),
            ),
            Watch(
                Patience(
                    start_s=limits.START_S,
                    heartbeat_s=limits.DIRECTOR_HEARTBEAT_S,
                    stop_s=limits.DIRECTOR_STOP_S,
                )
            ),
        )

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; the addresses are gone when it returns."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number.name)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        chores = [
            asyncio.create_task(self._feed_the_watchdog()),
            asyncio.create_task(self._report_a_long_hold()),
        ]
        try:
            async with asyncio.TaskGroup() as children:
                # The VRRP worker first: it is the one whose absence the peer counts.
                vrrp = children.create_task(self._vrrp.run())
                children.create_task(self._director.run())
                await vrrp
                # The addresses are handed over, and the director process has journaled how.
                self._director.stop(self._stop_reason)
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)
        await self._let_hooks_end()

    async def _let_hooks_end(self) -> None:
        """Stay until the hooks for the end have run, within their bound.

        Once this process is gone, the service manager ends whatever it has left behind.
        """
        whose = [self._assignment.runtime_dir]  # of services; nobody waits where none run
        if any(router.hooks for router in self._told_worker.routers):
            whose.append("")
        if not all(await asyncio.gather(*map(hooks_have_ended, whose))):
            self._log.warning("hooks for the end still run, and are left to the service manager")

    def _stop(self, reason: str) -> None:
        self._stop_reason = reason
        notify("STOPPING=1")
        self._log.info("stopping", reason=reason)
        self._vrrp.stop(reason)

    def _reload(self) -> None:
        self._tell(messages.Reload("SIGHUP"))

    # The VRRP worker

    def _vrrp_patience(self) -> Patience:
        heartbeat_s = self._told_worker.heartbeat_s
        return Patience(start_s=limits.START_S, heartbeat_s=heartbeat_s, stop_s=limits.STOP_S)

    def _greet_vrrp(self) -> list[bytes]:
        self._tell_processes()
        facts = vrrp_messages.encode(self._facts)
        # A bar is said again every moment, by whoever knows that it still holds.
        caps = vrrp_messages.encode(replace(self._guidance, bars={}))
        return [vrrp_messages.encode(self._told_worker), self._hold_line(), facts, caps]

    def _hold_line(self) -> bytes:
        reason = "the director process is not ready yet" if self._held else "ready"
        return vrrp_messages.encode(vrrp_messages.Hold(held=self._held, reason=reason))

    def _hear_vrrp(self, line: bytes) -> bool:
        try:
            message = vrrp_messages.decode(line)
        except vrrp_messages.MessageError as error:
            self._note("process", f"the VRRP worker said something unknown: {error}")
            return False
        match message:
            case vrrp_messages.Heartbeat():
                return True
            case vrrp_messages.LastWill():
                self._will = message
            case vrrp_messages.RouterReport():
                self._reports[message.name] = line
                if self._director_lives:  # a new one is greeted with the newest of each
                    self._tell(messages.FromVrrp(line.decode()))
            case vrrp_messages.Timing() if not self._director_lives:
                pass  # the next one comes in some seconds
            case vrrp_messages.Event() | vrrp_messages.Timing():
                self._tell(messages.FromVrrp(line.decode()))
        return False

    async def _bury_vrrp(self, how: str) -> None:
        """Execute the last will: the worker is dead for certain when this is called."""
        self._note("process", f"the VRRP worker {how}")
        self._tell_processes()
        wish, self._will = self._will, vrrp_messages.LastWill(routers=())
        if not wish.is_empty:
            for sentence in await will.execute(wish):
                self._note("last-will", sentence)
        self._reports.clear()

    # The director process

    def _greet_director(self) -> list[bytes]:
        configure = messages.Configure(
            config=self._config,
            vrrp=vrrp_messages.encode(self._told_worker).decode().rstrip("\n"),
            balances=self._balances,
            file=self._assignment.file,
            node=self._assignment.node,
            runtime_dir=self._assignment.runtime_dir,
            state_dir=self._assignment.state_dir,
            on_stop=self._assignment.on_stop,
        )
        self._director_lives = True
        reports = [messages.encode(messages.FromVrrp(r.decode())) for r in self._reports.values()]
        untold = list(self._untold)
        self._untold.clear()
        return [messages.encode(configure), self._processes_line(), *reports, *untold]

    def _hear_director(self, line: bytes) -> bool:
        try:
            message = messages.decode(line)
        except messages.MessageError as error:
            self._note("process", f"the director process said something unknown: {error}")
            return False
        match message:
            case messages.Heartbeat():
                return True
            case messages.Ready(sentence):
                notify("READY=1", f"STATUS={sentence}")
                self._release()
            case messages.Quorums(met):
                self._facts = vrrp_messages.Facts(services=dict(met))
                self._vrrp.send(vrrp_messages.encode(self._facts))
            case messages.ToVrrp(text):
                self._guide(text)
            case messages.Adopted():
                self._adopt(message)
        return False

    def _guide(self, text: str) -> None:
        """Pass on what the pair agreed; a new VRRP worker is told of it as well."""
        try:
            message = vrrp_messages.decode(text.encode())
        except vrrp_messages.MessageError as error:
            self._note("process", f"the director process has nothing to say to VRRP: {error}")
            return
        if isinstance(message, vrrp_messages.Guidance):
            self._guidance = message
        elif not isinstance(message, vrrp_messages.Promote | vrrp_messages.Reannounce):
            self._note("process", f"no {type(message).__name__} comes from the director process")
            return
        self._vrrp.send(vrrp_messages.encode(message))

    async def _bury_director(self, how: str) -> None:
        self._director_lives = False
        if not self._stop_reason:
            self._note("process", f"the director process {how}; traffic goes on, the table stays")

    def _adopt(self, adopted: messages.Adopted) -> None:
        """Take a reloaded configuration, which the director process has already checked."""
        try:
            self._told_worker = _understood(adopted.vrrp)
        except vrrp_messages.MessageError as error:
            self._note("process", f"the director process adopted what is not understood: {error}")
            return
        self._config, self._balances = adopted.config, adopted.balances
        self._vrrp.watch.change_patience(self._vrrp_patience(), time.monotonic())
        self._vrrp.send(vrrp_messages.encode(self._told_worker))

    # What both need

    def _release(self) -> None:
        if self._held:
            self._held = False
            self._vrrp.send(self._hold_line())

    async def _report_a_long_hold(self) -> None:
        """Say that the director process takes long; held, it leaves a working peer alone for good.

        Nobody goes without a director for that: a held one still takes over from silence.
        """
        await asyncio.sleep(limits.HOLD_EXPECTED_S)
        if self._held:
            sentence = f"the director process is not ready after {limits.HOLD_EXPECTED_S:g} s"
            self._note("process", f"{sentence}: this node does not preempt a working peer")
            # Else the service manager would take an unready table for a failed start and kill us.
            notify("READY=1", f"STATUS={sentence}")

    def _note(self, kind: str, sentence: str) -> None:
        self._tell(messages.Note(kind, sentence, time.time()))
        if not self._director_lives:
            self._log.warning(sentence, kind=kind)

    def _tell(self, message: messages.Message) -> None:
        """Tell the director process, now or when there is one again."""
        line = messages.encode(message)
        if self._director_lives:
            self._director.send(line)
        else:
            self._untold.append(line)

    def _tell_processes(self) -> None:
        if self._director_lives:
            self._director.send(self._processes_line())

    def _processes_line(self) -> bytes:
        children = {
            child.role.name: {
                "pid": child.pid,
                "restarts": child.watch.restarts,
                "since": child.since,
            }
            for child in (self._vrrp, self._director)
        }
        supervisor = {"pid": os.getpid(), "restarts": 0, "since": None}
        return messages.encode(messages.Processes({"supervisor": supervisor, **children}))

    async def _feed_the_watchdog(self) -> None:
        interval_s = watchdog_interval_s()
        while interval_s is not None:
            notify("WATCHDOG=1")
            await asyncio.sleep(interval_s)


def _understood(line: str) -> vrrp_messages.Configure:
    """What the VRRP worker is told. Raises MessageError."""
    told = vrrp_messages.decode(line.encode())
    if not isinstance(told, vrrp_messages.Configure):
        raise vrrp_messages.MessageError(f"{type(told).__name__} configures nothing")
    return told


def take_real_time_priority() -> str | None:
    """Run before ordinary processes, below the VRRP worker; return why not, where not allowed.

    The priority is not inherited by children: each takes its own.
    """
    try:
        os.sched_setscheduler(
            0,
            os.SCHED_RR | os.SCHED_RESET_ON_FORK,
            os.sched_param(SCHEDULER_PRIORITY),
        )
    except OSError as error:
        return f"no real-time priority for the supervisor: {error.strerror}"
    return None


def become_supervisor(assignment: Assignment, lock: int) -> NoReturn:
    """Replace this process, grown large by reading the configuration, by a supervisor.

    The process id stays, so a service manager sees one program; the lock (a file descriptor) stays
    held. The assignment goes over in memory: the file could have changed meanwhile.
    """
    told = os.memfd_create("assignment", os.MFD_CLOEXEC)
    os.write(told, json.dumps(asdict(assignment)).encode())
    for descriptor in (told, lock):
        os.set_inheritable(descriptor, True)
    command = [*python("hadirector.supervisor"), str(told), str(lock)]
    sys.stdout.flush()
    # What follows the descriptors is for `ps`.
    os.execve(sys.executable, [*command, assignment.file, assignment.node], environment())


def main() -> None:
    """`python -m hadirector.supervisor ASSIGNMENT LOCK`: started by `hadirector run`."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the loop takes it: no reason to die of it
    configure_logs("supervisor")
    told, lock = int(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(lock, False)
    os.lseek(told, 0, os.SEEK_SET)
    with os.fdopen(told, "rb") as file:
        assignment = Assignment(**json.load(file))
    log = Log()
    if (why_not := take_real_time_priority()) is not None:
        log.warning(why_not)
    asyncio.run(Supervisor(assignment).run())


if __name__ == "__main__":
    main()
