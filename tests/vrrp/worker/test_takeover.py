"""Who is active after a crash, a stop, a pause, a reload: real processes in network namespaces."""

import os
import signal
from dataclasses import replace
from ipaddress import IPv4Interface

from tests.vrrp.worker.stage import BACK_VIP, VIP, front, peer, received, wait_held
from tests.vrrp.world import Executor, Host, StartWorker, WorkerProcess, World, eventually
from vrrp.config import RouterSettings
from vrrp.messages import Event, Hold, Stop


def test_a_crash_is_taken_over_and_the_will_cleans_up(
    pair: tuple[WorkerProcess, WorkerProcess],
) -> None:
    one, other = pair
    wait_held(one, VIP)
    assert [router.name for router in one.will.routers] == ["front"]
    assert other.will.routers == ()
    executor = Executor(one.host)
    one.kill()
    assert VIP in one.host.addresses()  # the kernel forwards on
    executor.execute(one.will)
    other.wait_state("active")
    assert other.reports["front"].reason.startswith("heard priority 0 from 192.0.2.11; no other")
    wait_held(other, VIP)
    assert executor.finish() == ["front: 192.0.2.12 took over; removed 1 of 1 addresses"]
    assert one.host.addresses() == {"192.0.2.11/24"}
    assert one.host.arp_ignore() == 0


def test_a_will_without_a_successor_removes_the_addresses_after_its_linger(
    hosts: tuple[Host, Host], start: StartWorker
) -> None:
    worker = start(hosts[0], front(254))
    worker.wait_state("active")
    wait_held(worker, VIP)
    worker.kill()
    executor = Executor(hosts[0])
    executor.execute(worker.will)
    [sentence] = executor.finish()
    assert sentence == "front: no peer was heard within 101 ms; removed 1 of 1 addresses"
    assert hosts[0].addresses() == {"192.0.2.11/24"}


def test_without_a_will_three_intervals_pass(pair: tuple[WorkerProcess, WorkerProcess]) -> None:
    one, other = pair
    one.kill()
    other.wait_state("active")
    assert other.reports["front"].reason.startswith("no advertisement from 192.0.2.11 for 30")


def test_the_better_one_returns_and_removes_what_it_left(
    pair: tuple[WorkerProcess, WorkerProcess], start: StartWorker
) -> None:
    one, other = pair
    wait_held(one, VIP)
    one.kill()
    other.wait_state("active")
    returned = start(one.host, front(254))
    returned.wait_event("address-leftover")
    returned.wait_state("active")
    other.wait_state("backup")
    assert returned.reports["front"].reason == "priority 253 of 192.0.2.12 is lower than our 254"
    wait_held(returned, VIP)
    eventually(lambda: other.host.addresses() == {"192.0.2.12/24"}, "lb2 released")
    assert [event.kind for event in other.events].count("transition") == 3


def test_stop_leaves_the_addresses_to_the_supervisor(
    pair: tuple[WorkerProcess, WorkerProcess],
) -> None:
    one, other = pair
    wait_held(one, VIP)
    one.tell(Stop(reason="the unit is stopped"))
    one.wait(lambda: one.ended, "lb1 ends")
    assert one.process.wait(timeout=5) == 0
    assert VIP in one.host.addresses()
    assert Event(kind="stopping", router=None, sentence="the unit is stopped") in one.events
    executor = Executor(one.host)
    executor.execute(one.will)
    other.wait_state("active")
    executor.finish()
    assert VIP not in one.host.addresses()


def test_left_alone_it_executes_its_own_will(pair: tuple[WorkerProcess, WorkerProcess]) -> None:
    one, other = pair
    wait_held(one, VIP)
    one.socket.close()
    other.wait_state("active")
    assert one.process.wait(timeout=5) == 0
    assert one.host.addresses() == {"192.0.2.11/24"}
    assert one.host.arp_ignore() == 0
    assert other.reports["front"].reason.startswith("heard priority 0")


def test_sigterm_is_a_stop(pair: tuple[WorkerProcess, WorkerProcess]) -> None:
    one, _ = pair
    wait_held(one, VIP)
    os.kill(one.process.pid, signal.SIGTERM)
    one.wait(lambda: one.ended, "lb1 ends")
    assert one.process.wait(timeout=5) == 0
    assert len(one.will.routers) == 1
    assert VIP in one.host.addresses()


def test_a_pause_ends_in_backup_before_anything_is_said(
    pair: tuple[WorkerProcess, WorkerProcess],
) -> None:
    one, other = pair
    wait_held(one, VIP)
    os.kill(one.process.pid, signal.SIGSTOP)
    other.wait_state("active")
    os.kill(one.process.pid, signal.SIGCONT)
    one.wait_event("late")
    late = next(e for e in one.events if "this process was" in e.sentence)
    assert late.sentence.startswith("active to backup: this process was")
    one.wait_state("active")  # and takes over again, as the better one
    other.wait_state("backup")


def test_a_lower_priority_hands_over_without_a_stop(
    pair: tuple[WorkerProcess, WorkerProcess],
) -> None:
    one, other = pair
    one.configure(front(100))
    other.wait_state("active")
    one.wait_state("backup")


def test_a_removed_router_hands_over_and_the_others_stay(
    hosts: tuple[Host, Host], start: StartWorker
) -> None:
    second = RouterSettings(
        name="second",
        vrid=77,
        interface="eth0",
        advertise=0.1,
        addresses=(IPv4Interface("192.0.2.177/32"),),
        priority=254,
    )
    worker = start(hosts[0], front(254), second)
    worker.wait_state("active", "second")
    worker.wait_state("active")
    wait_held(worker, VIP)
    worker.configure(front(254))
    assert worker.wait_event("handed-over").sentence.startswith("second: no peer was heard")
    assert hosts[0].addresses() == {"192.0.2.11/24", VIP}
    worker.wait(lambda: [w.name for w in worker.will.routers] == ["front"], "one will left")
    assert worker.state() == "active"


def test_a_router_removed_from_an_active_group_leaves_the_peer_a_backup(
    hosts: tuple[Host, Host], start: StartWorker
) -> None:
    def second(priority: int) -> RouterSettings:
        addresses = (IPv4Interface("192.0.2.177/32"),)
        return replace(front(priority, group="web"), name="second", vrid=77, addresses=addresses)

    one = start(hosts[0], front(254, group="web"), second(254))
    one.wait_state("active")
    other = start(hosts[1], front(253, group="web"), second(253))
    other.wait(lambda: peer(other) == "192.0.2.11", "lb2 hears lb1")
    one.configure(front(254, group="web"))
    assert one.wait_event("handed-over").sentence == "second: removed 1 of 1 addresses"
    assert hosts[0].addresses() == {"192.0.2.11/24", VIP}
    heard = received(other)
    other.wait(lambda: received(other) > heard + 3, "lb2 goes on hearing lb1")
    assert {report.state.value for report in other.reports.values()} == {"backup"}
    assert not [event for event in other.events if "backup to active" in event.sentence]


def test_a_held_director_does_not_preempt_until_it_is_released(
    hosts: tuple[Host, Host], start: StartWorker
) -> None:
    weaker = start(hosts[1], front(100))
    weaker.wait_state("active")
    better = start(hosts[0])
    better.tell(Hold(held=True, reason="the services are not checked yet"))
    better.configure(front(254))
    better.wait(lambda: received(better) > 5, "hears the weaker one for more than three intervals")
    assert better.state() == "backup"
    better.tell(Hold(held=False, reason="ready"))
    better.wait_state("active")


def test_both_sides_of_nat_move_together(world: World, start: StartWorker) -> None:
    one, other = world.host("lb1"), world.host("lb2")
    world.link({one: "192.0.2.11/24", other: "192.0.2.12/24"})
    world.link({one: "198.51.100.11/24", other: "198.51.100.12/24"}, "eth1")

    def both(priority: int) -> tuple[RouterSettings, RouterSettings]:
        back = RouterSettings(
            name="back",
            vrid=52,
            interface="eth1",
            advertise=0.1,
            addresses=(IPv4Interface(BACK_VIP),),
            group="web",
            priority=priority,
        )
        return front(priority, group="web"), back

    lb1 = start(one, *both(254))
    lb1.wait_state("active", "back")
    lb2 = start(other, *both(253))
    lb2.wait(lambda: peer(lb2) is not None, "lb2 hears lb1")
    one.run("ip", "link", "set", "eth1", "down")  # takes the carrier from lb2's side as well
    lb1.wait_state("fault")
    assert lb1.reports["front"].reason == (
        "group web: back cannot take part: interface eth1 is switched off"
    )
    lb2.wait_state("fault", "back")
    eventually(lambda: VIP not in one.addresses(), "lb1 released")
    one.run("ip", "link", "set", "eth1", "up")
    lb1.wait_state("active", "back")
    lb1.wait_state("active", "front")
    eventually(lambda: BACK_VIP in one.addresses("eth1"), "lb1 has the inside address")
    assert lb2.state("front") == lb2.state("back") == "backup"
