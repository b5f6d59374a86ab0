"""Every way of speaking VRRP, against the packaged keepalived, in both roles, on a real link.

For each way there are two stories, told by two hosts and a switch: in one our worker is the better
director, in the other keepalived is. Between them they go through both orders of starting, graceful
stop, crash, a cut link (the carrier is lost) on either side, a switch that fails (nobody notices by
the carrier), and return with and without preemption; after each chapter the addresses are at one
director, all of them, and stay there. What passed is captured at the switch, and a second
implementation (tshark) judges every packet.

The stories mostly wait, so all that were chosen run at once; the tests collect how they ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pytest

from tests.interop.keepalived import Keepalived, configuration
from tests.interop.lan import Capture, Lan, holds
from tests.prerequisites import require
from tests.vrrp.world import Executor, Host, WorkerProcess, World, eventually
from vrrp.config import RouterSettings
from vrrp.messages import Stop
from vrrp.packet import IPAddress

AT_ONCE: Final = 6
SLACK_S: Final = 1.5
"""For a loaded machine, and for the polling of these tests."""
HIGH, LOW = 200, 100

OURS, THEIRS = "ours", "theirs"
OWN: Final = MappingProxyType({OURS: 11, THEIRS: 12})

V3: Final = RouterSettings(
    name="front",
    vrid=51,
    interface="eth0",
    advertise=0.2,
    addresses=(ip_interface("192.0.2.100/24"), ip_interface("192.0.2.101/24")),
    priority=HIGH,
)
V2: Final = replace(V3, version=2, advertise=1.0)
IPV6: Final = replace(
    V3, addresses=(ip_interface("fe80::100/64"), ip_interface("2001:db8::100/64"))
)
GROUPED: Final = replace(V3, group="web")
BACK: Final = replace(
    GROUPED,
    name="back",
    vrid=52,
    interface="eth1",
    addresses=(ip_interface("198.51.100.1/24"),),
)
WAYS: Final[MappingProxyType[str, tuple[RouterSettings, ...]]] = MappingProxyType(
    {
        "v3": (V3,),
        "v2": (V2,),
        "v2-password": (replace(V2, password="s3cretlo"),),
        "v3-ipv6": (IPV6,),
        "unicast-v3": (replace(V3, peers=(ip_address("192.0.2.11"), ip_address("192.0.2.12"))),),
        "unicast-v2": (replace(V2, peers=(ip_address("192.0.2.11"), ip_address("192.0.2.12"))),),
        "unicast-ipv6": (
            replace(
                IPV6,
                peers=(ip_address("2001:db8::11"), ip_address("2001:db8::12")),
                min_ttl=64,  # what keepalived sends
            ),
        ),
        "sync-group": (GROUPED, BACK),
        "vmac-v3": (replace(V3, virtual_mac=True),),
        "vmac-v2": (replace(V2, virtual_mac=True),),
        "vmac-ipv6": (replace(IPV6, virtual_mac=True),),
        "vmac-sync-group": (replace(GROUPED, virtual_mac=True), replace(BACK, virtual_mac=True)),
    }
)


@dataclass
class Pair:
    """Our worker in one host, keepalived in the other, and what is expected of them."""

    routers: tuple[RouterSettings, ...]
    hosts: dict[str, Host]
    lans: list[Lan]
    keepalived: Keepalived
    stack: ExitStack

    def start_ours(self, priority: int, *, preempt: bool = True) -> WorkerProcess:
        members = [replace(one, priority=priority, preempt=preempt) for one in self.routers]
        worker = WorkerProcess(self.hosts[OURS], *members)
        self.stack.callback(worker.close)
        worker.wait(lambda: len(worker.reports) == len(members), "our worker has begun")
        return worker

    def start_theirs(self, priority: int, *, preempt: bool = True) -> None:
        members = [replace(one, priority=priority, preempt=preempt) for one in self.routers]
        own: IPAddress | None = None
        if self.routers[0].peers:
            own = next(peer for peer in self.routers[0].peers if str(peer).endswith("12"))
        self.keepalived.start(configuration(members, own))
        begun = "Entering BACKUP STATE"
        eventually(lambda: self.keepalived.log().count(begun) == len(members), "keepalived begins")

    def crash(self, worker: WorkerProcess) -> None:
        """Our worker dies; the supervisor, which was there before, executes its will."""
        executor = Executor(self.hosts[OURS])
        worker.wait(lambda: len(worker.will.routers) == len(self.routers), "the will is known")
        worker.kill()
        self._will_is_done(executor, worker)

    def stop_ours(self, worker: WorkerProcess) -> None:
        executor = Executor(self.hosts[OURS])
        worker.tell(Stop(reason="stopped by hand"))
        worker.wait(lambda: worker.ended, "it ends")
        self._will_is_done(executor, worker)

    def _will_is_done(self, executor: Executor, worker: WorkerProcess) -> None:
        executor.execute(worker.will)
        sentences = executor.finish()
        assert len(sentences) == len(self.routers), sentences
        assert all("took over; removed" in sentence for sentence in sentences), sentences

    def forget(self, name: str) -> None:
        """What a power loss does to addresses and a reboot has not brought back."""
        for router in self.routers:
            if router.virtual_mac:
                self.hosts[name].run("ip", "link", "del", router.device)
                continue
            for address in router.addresses:
                if holds(self.hosts[name], str(address)):
                    command = ("address", "del", str(address), "dev", router.interface)
                    self.hosts[name].run("ip", *command)

    def cut(self, name: str) -> None:
        for lan in self.lans:
            lan.cut(self.hosts[name])

    def isolate(self) -> None:
        for lan in self.lans:
            lan.isolate(self.hosts[OURS])

    def heal(self, name: str) -> None:
        for lan in self.lans:
            lan.heal(self.hosts[name])

    def holders(self) -> list[str]:
        """Who holds how much: a name for all addresses, one with a mark for only some."""
        addresses = [str(address) for router in self.routers for address in router.addresses]
        found = []
        for name, host in self.hosts.items():
            count = sum(holds(host, address) for address in addresses)
            if count:
                found.append(name if count == len(addresses) else f"{name} partly")
        return found

    def settled(self, where: str, within_s: float) -> None:
        """All addresses get to one director within protocol time, and stay there."""
        interval_s = self.routers[0].advertise
        try:
            _eventually(lambda: self.holders() == [where], within_s + SLACK_S)
            until = time.monotonic() + 2 * interval_s
            while time.monotonic() < until:
                assert self.holders() == [where]
                time.sleep(0.02)
        except AssertionError as error:
            text = f"{where} expected, {self.holders()} found; {self.keepalived.log()}"
            raise AssertionError(text) from error

    def down_s(self, priority: int) -> float:
        """How long the other one waits in silence: RFC 9568 section 6.1."""
        return 3 * self.routers[0].advertise + self.skew_s(priority)

    def skew_s(self, priority: int) -> float:
        unit_s = 1.0 if self.routers[0].version == 2 else self.routers[0].advertise
        return (256 - priority) / 256 * unit_s


def _eventually(holds_now: Callable[[], bool], within_s: float) -> None:
    give_up = time.monotonic() + within_s
    while not holds_now():
        assert time.monotonic() < give_up, f"not within {within_s:.2f} s"
        time.sleep(0.02)


# ------------------------------------------------------------------------------ the stories


def ours_is_better(pair: Pair) -> WorkerProcess:
    """We start first, crash, return, stop, return without preemption; our link is cut."""
    worker = pair.start_ours(HIGH)
    pair.settled(OURS, pair.down_s(HIGH))
    pair.start_theirs(LOW)
    _stays(pair, OURS, pair.down_s(LOW))

    pair.crash(worker)
    pair.settled(THEIRS, pair.skew_s(LOW))
    worker = pair.start_ours(HIGH)
    pair.settled(OURS, pair.down_s(HIGH))

    pair.stop_ours(worker)
    pair.settled(THEIRS, pair.skew_s(LOW))
    worker = pair.start_ours(HIGH, preempt=False)
    worker.wait(lambda: _hears(worker), "it hears keepalived")
    _stays(pair, THEIRS, pair.down_s(HIGH))

    pair.keepalived.stop()
    pair.settled(OURS, pair.skew_s(HIGH))
    pair.start_theirs(LOW)
    _stays(pair, OURS, pair.down_s(LOW))

    pair.cut(OURS)
    pair.settled(THEIRS, pair.down_s(LOW))
    pair.heal(OURS)
    worker.wait(lambda: _hears(worker), "it hears keepalived")
    _stays(pair, THEIRS, pair.down_s(HIGH))
    return worker


def theirs_is_better(pair: Pair) -> WorkerProcess:
    """We start second; the switch fails; keepalived loses its link, is killed, returns, stops."""
    pair.start_theirs(HIGH)
    pair.settled(THEIRS, pair.down_s(HIGH))
    worker = pair.start_ours(LOW)
    worker.wait(lambda: _hears(worker), "it hears keepalived")
    _stays(pair, THEIRS, pair.down_s(LOW))

    pair.isolate()
    _eventually(lambda: pair.holders() == [OURS, THEIRS], pair.down_s(LOW) + SLACK_S)
    pair.heal(OURS)
    pair.settled(THEIRS, 3 * pair.routers[0].advertise)

    pair.cut(THEIRS)
    pair.settled(OURS, pair.down_s(LOW))
    pair.heal(THEIRS)
    pair.settled(THEIRS, pair.down_s(HIGH))

    pair.keepalived.kill()
    pair.forget(THEIRS)
    pair.settled(OURS, pair.down_s(LOW))
    pair.start_theirs(HIGH)
    pair.settled(THEIRS, pair.down_s(HIGH))

    pair.keepalived.stop()
    pair.settled(OURS, pair.skew_s(LOW))
    pair.start_theirs(HIGH, preempt=False)
    _stays(pair, OURS, pair.down_s(HIGH))

    pair.stop_ours(worker)
    pair.settled(THEIRS, pair.skew_s(HIGH))
    return worker


def _hears(worker: WorkerProcess) -> bool:
    return bool(worker.reports) and all(
        report.active_peer is not None for report in worker.reports.values()
    )


def _stays(pair: Pair, where: str, for_s: float) -> None:
    """Nothing moves for so long that it would have."""
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        assert pair.holders() == [where], pair.keepalived.log()
        time.sleep(0.02)


STORIES: Final = MappingProxyType(
    {"ours-is-better": ours_is_better, "theirs-is-better": theirs_is_better}
)


# ------------------------------------------------------------------------------ the telling


def tell(way: str, story: str, directory: Path) -> None:
    """Build the world of one story, play it, and have the captures judged."""
    routers = WAYS[way]
    with World() as world, ExitStack() as stack:
        hosts = {name: world.host(name) for name in (OURS, THEIRS)}
        lans = [Lan(world, router.interface) for router in routers]
        for lan, net in zip(lans, ("192.0.2", "198.51.100"), strict=False):
            for name, host in hosts.items():
                six = (f"2001:db8::{OWN[name]}/64",) if lan is lans[0] else ()
                lan.plug(host, f"{net}.{OWN[name]}/24", *six)
        captures = [Capture(lan, directory / f"{lan.interface}.pcapng") for lan in lans]
        keepalived = Keepalived(hosts[THEIRS], directory / "keepalived")
        worker = STORIES[story](Pair(routers, hosts, lans, keepalived, stack))
        told = worker.kinds()
        assert not [kind for kind in told if kind.startswith(("rejected", "vrid"))], told
        assert not [kind for kind in told if kind.endswith(("differs", "differ"))], told
        for capture, router in zip(captures, routers, strict=True):
            capture.end()
            judge(capture, router)


def judge(capture: Capture, router: RouterSettings) -> None:
    """Have the second implementation look at every advertisement of both sides."""
    assert capture.show("_ws.malformed", "frame.number") == []
    six = router.family == 6
    network = (
        ("ipv6.hlim", "ipv6.tclass", "ipv6.dst") if six else ("ip.ttl", "ip.dsfield", "ip.dst")
    )
    seen = capture.show(
        "vrrp and not icmp and not icmpv6", "vrrp.version", "vrrp.checksum.status", *network
    )
    multicast = "ff02::12" if six else "224.0.0.18"
    to = {str(peer) for peer in router.peers} or {multicast}
    assert {fields[4] for fields in seen} == to
    assert {fields[0] for fields in seen} == {str(router.version)}
    assert {fields[1] for fields in seen} == {"1"}, "a checksum is wrong"
    assert {fields[2] for fields in seen} == {"255", str(router.min_ttl)}
    goodbyes = capture.show("vrrp.prio == 0", "ipv6.src" if six else "ip.src")
    assert len({fields[0] for fields in goodbyes}) == 2, "both said goodbye"
    macs = {router.virtual_mac_in_words} if router.virtual_mac else None
    if macs is not None:
        sent = capture.show("vrrp and not icmp and not icmpv6", "eth.src")
        assert {fields[0] for fields in sent} == macs, "advertisements come from the virtual MAC"
    for address in router.plain_addresses:
        told = _announcers(capture, address)
        if macs is None:
            assert len(told) == 2, f"both told the neighbours of {address}"
        else:
            assert told == macs, f"{address} is nowhere but at the virtual MAC"


def _announcers(capture: Capture, address: IPAddress) -> set[str]:
    """Return from where an address was announced, and see to it that it was done rightly."""
    if address.version == 4:
        told = f"arp.isgratuitous == 1 and arp.src.proto_ipv4 == {address}"
        return {fields[0] for fields in capture.show(told, "eth.src")}
    told = (
        f"icmpv6.type == 136 and ipv6.dst == ff02::1 and icmpv6.nd.na.target_address == {address}"
    )
    shown = capture.show(
        told, "eth.src", "icmpv6.checksum.status", "icmpv6.nd.na.flag.o", "icmpv6.nd.na.flag.s"
    )
    assert {tuple(fields[1:]) for fields in shown} <= {("1", "1", "0"), ("1", "True", "False")}
    return {fields[0] for fields in shown}


@pytest.fixture(scope="module")
def endings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, str], Future[None]]]:
    """All stories of the tests that were chosen, under way; they end by themselves."""
    require("ip", "keepalived", "tshark", "dumpcap", namespaces=True)
    chosen = sorted(
        {
            (str(item.callspec.params["way"]), str(item.callspec.params["story"]))
            for item in request.session.items
            if isinstance(item, pytest.Function)
            and item.function is test_the_addresses_are_at_one_director
        },
        key=lambda pair: "v2" not in pair[0],  # the long ones first
    )
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            (way, story): pool.submit(tell, way, story, tmp_path_factory.mktemp(f"{way}-{story}"))
            for way, story in chosen
        }


@pytest.mark.timeout(200)
@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("way", WAYS)
def test_the_addresses_are_at_one_director(
    endings: dict[tuple[str, str], Future[None]], way: str, story: str
) -> None:
    endings[way, story].result()
