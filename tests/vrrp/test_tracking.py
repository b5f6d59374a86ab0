"""Trackers and hooks of a real worker, in network namespaces: what is seen moves the addresses."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

import pytest

from tests.vrrp.world import Host, StartWorker, WorkerProcess, World, eventually, open_place
from vrrp.config import RouterSettings
from vrrp.events import State
from vrrp.hooks import Hook
from vrrp.messages import Facts, Stop
from vrrp.tracked import Tracker

VIP = "192.0.2.100/24"


@pytest.fixture
def place() -> Iterator[Path]:
    with open_place() as directory:
        yield directory


def front(priority: int, *track: Tracker, **more: Any) -> RouterSettings:
    return RouterSettings(
        name="front",
        vrid=51,
        interface="eth0",
        advertise=0.1,
        addresses=(IPv4Interface(VIP),),
        priority=priority,
        track=track,
        **more,
    )


def arithmetic(worker: WorkerProcess) -> str:
    worker.state()
    report = worker.reports.get("front")
    return "" if report is None else report.arithmetic


def wait_arithmetic(worker: WorkerProcess, sentence: str) -> None:
    worker.wait(lambda: arithmetic(worker) == sentence, sentence)


# ------------------------------------------------------------------------------ interfaces


def test_a_lost_link_elsewhere_moves_the_addresses_and_is_explained(
    world: World, hosts: tuple[Host, Host], start: StartWorker
) -> None:
    third = world.host("switch")
    world.link({hosts[0]: "198.51.100.11/24", third: "198.51.100.1/24"}, "eth1")
    eth1 = Tracker(interface="eth1", weight=-50, debounce=0.05)
    one, other = start(hosts[0], front(150, eth1)), start(hosts[1], front(120))
    one.wait_state("active")
    assert one.reports["front"].trackers == ("eth1 is up",)
    third.run("ip", "link", "set", "eth1", "down")
    other.wait_state("active")
    one.wait_state("backup")
    wait_arithmetic(one, "base 150, -50 eth1 has no carrier = 100")
    assert one.wait_event("priority").sentence == (
        "priority 150 to 100: base 150, -50 eth1 has no carrier = 100"
    )
    assert one.reports["front"].priority == 100
    third.run("ip", "link", "set", "eth1", "up")
    one.wait_state("active")
    wait_arithmetic(one, "base 150")


def test_a_short_loss_is_debounced(
    world: World, hosts: tuple[Host, Host], start: StartWorker
) -> None:
    third = world.host("switch")
    world.link({hosts[0]: "198.51.100.11/24", third: "198.51.100.1/24"}, "eth1")
    worker = start(hosts[0], front(150, Tracker(interface="eth1", debounce=1.0)))
    worker.wait_state("active")
    third.run("sh", "-c", "ip link set eth1 down; ip link set eth1 up")
    # A change of the real thing that is certainly noticed after it.
    hosts[0].run("ip", "address", "del", VIP, "dev", "eth0")
    worker.wait_event("address-restored")
    assert "fault" not in worker.kinds()
    third.run("ip", "link", "set", "eth1", "down")
    worker.wait_state("fault")
    assert worker.reports["front"].reason == "eth1 has no carrier"


def test_a_tracked_interface_that_is_missing_is_waited_for(
    world: World, hosts: tuple[Host, Host], start: StartWorker
) -> None:
    worker = start(hosts[0], front(150, Tracker(interface="eth1", debounce=0)))
    worker.wait_state("fault")
    assert worker.reports["front"].reason == "eth1 is missing"
    third = world.host("switch")
    for _ in range(2):
        world.link({hosts[0]: "198.51.100.11/24", third: "198.51.100.1/24"}, "eth1")
        worker.wait_state("active")
        hosts[0].run("ip", "link", "delete", "eth1")
        worker.wait_state("fault")


# ------------------------------------------------------------------------------ the others


def test_a_script_decides_and_is_killed_when_it_hangs(
    hosts: tuple[Host, Host], start: StartWorker, place: Path
) -> None:
    how = place / "how"
    how.write_text("exit 0")
    script = Tracker(
        script=("/bin/sh", str(how)), interval=0.2, timeout=0.2, rise=1, fall=2, weight=-100
    )
    worker = start(hosts[0], front(150, script))
    worker.wait_state("active")
    wait_arithmetic(worker, "base 150")
    how.write_text("echo no answer; exit 1")
    wait_arithmetic(worker, "base 150, -100 /bin/sh exit code 1: no answer = 50")
    how.write_text("exit 0")
    wait_arithmetic(worker, "base 150")
    how.write_text("sleep 100")
    wait_arithmetic(worker, "base 150, -100 /bin/sh killed after 200 ms = 50")
    assert worker.state() == "active"  # nobody is better


def test_no_part_is_taken_before_the_script_has_said_that_all_is_well(
    hosts: tuple[Host, Host], start: StartWorker, place: Path
) -> None:
    marker = place / "marker"
    wait = f"while ! [ -e {marker} ]; do sleep 0.05; done"
    script = Tracker(script=("/bin/sh", "-c", wait), interval=60.0, timeout=60.0)
    worker = start(hosts[0], front(150, script))
    worker.wait_state("fault")
    assert worker.reports["front"].reason == "script /bin/sh is not known yet"
    marker.write_text("")
    worker.wait_state("active")


def test_a_file_a_process_and_a_route(
    hosts: tuple[Host, Host], start: StartWorker, place: Path
) -> None:
    load, host = place / "load", hosts[0]
    one_look = {"interval": 0.1, "rise": 1, "fall": 1}
    trackers = (
        Tracker(file=str(load), weight=-2, interval=3600),  # seen by inotify, or too late
        Tracker(process="vrrp-tracked", weight=10, **one_look),  # type: ignore[arg-type]
        Tracker(route="default", weight=-20, **one_look),  # type: ignore[arg-type]
    )
    worker = start(host, front(100, *trackers))
    wait_arithmetic(worker, "base 100, -20 no route to default = 80")
    host.run("ip", "route", "add", "default", "via", "192.0.2.1")
    wait_arithmetic(worker, "base 100")
    load.write_text("7")
    wait_arithmetic(worker, f"base 100, -14 {load} holds 7 = 86")
    load.unlink()
    wait_arithmetic(worker, "base 100")
    program = place / "vrrp-tracked"
    program.symlink_to("/bin/sleep")
    process = host.start(str(program), "60")
    wait_arithmetic(worker, "base 100, +10 vrrp-tracked runs = 110")
    process.kill()
    wait_arithmetic(worker, "base 100")


def test_a_service_without_its_quorum_lowers_the_priority(
    hosts: tuple[Host, Host], start: StartWorker
) -> None:
    service = Tracker(service="web", weight=-100)
    one, other = start(hosts[0], front(150, service)), start(hosts[1], front(120, service))
    one.wait_state("active")  # as long as nothing is said, all is well
    other.wait_state("backup")
    one.tell(Facts(services={"web": False}))
    other.wait_state("active")
    wait_arithmetic(one, "base 150, -100 web has no quorum = 50")
    one.tell(Facts(services={"web": True}))
    one.wait_state("active")


def test_trackers_of_one_member_count_for_the_group(
    world: World, hosts: tuple[Host, Host], start: StartWorker
) -> None:
    world.link({hosts[0]: "198.51.100.11/24", hosts[1]: "198.51.100.12/24"}, "eth1")
    service = Tracker(service="web", weight=-100)

    def both(priority: int) -> tuple[RouterSettings, RouterSettings]:
        one = front(priority, service, group="web")
        back = replace(
            one,
            name="back",
            vrid=52,
            interface="eth1",
            track=(),
            addresses=(IPv4Interface("198.51.100.1/24"),),
        )
        return one, back

    one, other = start(hosts[0], *both(150)), start(hosts[1], *both(120))
    one.wait_state("active", "back")
    other.wait_state("backup", "back")
    one.tell(Facts(services={"web": False}))
    other.wait_state("active", "back")
    other.wait_state("active", "front")
    one.wait_state("backup", "back")
    assert one.reports["back"].arithmetic == "base 150, -100 web has no quorum = 50"


def test_a_reload_changes_trackers_without_a_change_of_state(
    hosts: tuple[Host, Host], start: StartWorker, place: Path
) -> None:
    worker = start(hosts[0], front(150))
    worker.wait_state("active")
    drain = place / "drain"
    drain.write_text("1")
    worker.configure(front(150, Tracker(file=str(drain), weight=-100, interval=0.1)))
    wait_arithmetic(worker, f"base 150, -100 {drain} holds 1 = 50")
    worker.configure(front(140))
    wait_arithmetic(worker, "base 140")
    assert worker.state() == "active"
    assert worker.kinds().count("transition") == 2


# ------------------------------------------------------------------------------ hooks


def told(path: Path) -> list[dict[str, Any]]:
    """The events that a hook has written down so far."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def changes(path: Path) -> list[str]:
    return [f"{event['old']} to {event['new']}" for event in told(path)]


def noting(path: Path, **options: Any) -> Hook:
    """A hook that writes its event down."""
    return Hook(command=("/bin/sh", "-c", f"cat >> {path}; echo >> {path}"), **options)


def test_hooks_are_told_of_every_change_in_order_and_of_the_end(
    hosts: tuple[Host, Host], start: StartWorker, place: Path
) -> None:
    path, active_only = place / "all", place / "active"
    hooks = (noting(path), noting(active_only, states=(State.ACTIVE,)))
    worker = start(hosts[0], front(150, hooks=hooks))
    worker.wait_state("active")
    eventually(lambda: [e["new"] for e in told(path)][-1:] == ["active"], "the hook is told")
    event = told(path)[-1]
    assert (event["router"], event["priority"], event["addresses"]) == ("front", 150, [VIP])
    hosts[1].run("ip", "link", "set", "eth0", "down")
    worker.wait_state("fault")
    eventually(lambda: "active to fault" in changes(path), "the hook is told of the fault")
    hosts[1].run("ip", "link", "set", "eth0", "up")
    worker.wait_state("active")
    eventually(lambda: changes(path)[-1] == "backup to active", "and of the return")
    worker.tell(Stop(reason="the unit is stopped"))
    worker.wait(lambda: worker.ended, "the worker ends")
    eventually(lambda: changes(path)[-1] == "active to init", "the hook is told of the end")
    assert told(path)[-1]["reason"] == "the VRRP worker has ended"
    assert [event["new"] for event in told(active_only)] == ["active", "active"]


def test_hooks_are_told_of_a_crash(
    hosts: tuple[Host, Host], start: StartWorker, place: Path
) -> None:
    path = place / "told"
    worker = start(hosts[0], front(150, hooks=(noting(path),)))
    worker.wait_state("active")
    eventually(lambda: "backup to active" in changes(path), "the hook is told")
    worker.kill()
    eventually(lambda: changes(path)[-1] == "active to init", "the hook is told of the end")


def test_hooks_for_the_end_of_a_worker_come_before_those_of_its_successor(
    hosts: tuple[Host, Host], start: StartWorker, place: Path
) -> None:
    path = place / "told"
    slow = Hook(command=("/bin/sh", "-c", f"sleep 0.7; cat >> {path}; echo >> {path}"))
    first = start(hosts[0], front(150, hooks=(slow,)))
    first.wait_state("active")
    eventually(lambda: changes(path)[-1:] == ["backup to active"], "the hook is told")
    first.kill()
    second = start(hosts[0], front(150, hooks=(slow,)))
    second.wait_state("active")
    eventually(lambda: "active to init" in changes(path), "and of the end")
    end = changes(path).index("active to init")
    eventually(lambda: [e["new"] for e in told(path)[end:]][-1] == "active", "and of the new one")
    assert changes(path).count("active to init") == 1
    assert [event["new"] for event in told(path)[end:]] in (
        ["init", "backup", "active"],
        ["init", "active"],  # the helper came when the worker was active already
    )


def test_a_hook_that_hangs_holds_nobody_up(
    hosts: tuple[Host, Host], start: StartWorker, place: Path
) -> None:
    path = place / "told"
    hanging = Hook(command=("/bin/sleep", "60"), timeout=0.3, retries=0)
    worker = start(hosts[0], front(150, hooks=(hanging, noting(path))))
    worker.wait_state("active")
    sentence = worker.wait_event("hook-failed").sentence
    assert sentence.startswith("/bin/sleep for ")
    assert sentence.endswith("killed after 300 ms")
    eventually(lambda: changes(path)[-1:] == ["backup to active"], "the next hook is run")
    assert "late" not in worker.kinds()


def test_a_hook_that_fails_is_tried_again(
    hosts: tuple[Host, Host], start: StartWorker, place: Path
) -> None:
    marker, path = place / "marker", place / "told"
    script = f"[ -e {marker} ] || {{ touch {marker}; exit 7; }}; cat > {path}"
    hook = Hook(command=("/bin/sh", "-c", script), states=(State.ACTIVE,))
    worker = start(hosts[0], front(150, hooks=(hook,)))
    assert worker.wait_event("hook-failed").sentence == "/bin/sh for active: exit code 7"
    eventually(path.exists, "the second try")


SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("192.0.2.12", 8080), Handler).serve_forever()
"""


def test_a_webhook_is_posted_to(hosts: tuple[Host, Host], start: StartWorker, place: Path) -> None:
    path = place / "posted"
    with path.open("w") as output:
        hosts[1].start("python3", "-c", SERVER, stdout=output)
    eventually(lambda: "8080" in hosts[1].run("ss", "-tln"), "the server listens")
    hook = Hook(webhook="http://192.0.2.12:8080/events", states=(State.ACTIVE,))
    start(hosts[0], front(150, hooks=(hook,)))
    eventually(lambda: [event["new"] for event in told(path)] == ["active"], "it is posted")


def test_a_helper_that_dies_is_started_again_and_told_how_things_are(
    hosts: tuple[Host, Host], start: StartWorker, place: Path
) -> None:
    path, drain = place / "told", place / "drain"
    tracker = Tracker(file=str(drain), weight=-100, interval=0.1)
    worker = start(hosts[0], front(150, tracker, hooks=(noting(path),)))
    worker.wait_state("active")
    eventually(lambda: changes(path)[-1:] == ["backup to active"], "the hook is told")
    [child] = (
        Path(f"/proc/{worker.process.pid}/task/{worker.process.pid}/children").read_text().split()
    )
    os.kill(int(child), signal.SIGKILL)
    assert "another one is started" in worker.wait_event("chores").sentence
    eventually(lambda: told(path)[-1]["replayed"], "the hooks are run for how things are")
    assert changes(path)[-1] == "active to active"
    drain.write_text("1")
    wait_arithmetic(worker, f"base 150, -100 {drain} holds 1 = 50")
    worker.wait_state("active")
