"""The same worker over IPv6, by unicast, and in version 2: real sockets in network namespaces."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface

import pytest

from tests.prerequisites import require
from tests.vrrp.world import Executor, Host, WorkerProcess, World, eventually
from vrrp.choices import ChecksumChoice
from vrrp.config import RouterSettings
from vrrp.keys import HmacKey
from vrrp.packet import ChecksumForm, decode

IPV4 = RouterSettings(
    name="front",
    vrid=51,
    interface="eth0",
    advertise=0.1,
    addresses=(ip_interface("192.0.2.100/24"),),
    priority=254,
)
IPV6 = replace(IPV4, addresses=(ip_interface("fe80::100/64"), ip_interface("2001:db8::100/64")))
BY_UNICAST = replace(IPV4, peers=(ip_address("192.0.2.11"), ip_address("192.0.2.12")))
BY_UNICAST_6 = replace(IPV6, peers=(ip_address("2001:db8::11"), ip_address("2001:db8::12")))
OLD = replace(IPV4, version=2, advertise=1.0, password="s3cretlo")
KEY, NEXT_KEY = HmacKey(1, "0f" * 32), HmacKey(2, "f0" * 32)
SEALED = replace(IPV4, hmac_keys=(KEY,))
KINDS = {
    "keyed hash": SEALED,
    "keyed hash over ipv6": replace(IPV6, hmac_keys=(KEY,)),
    "ipv6": IPV6,
    "unicast": BY_UNICAST,
    "unicast over ipv6": BY_UNICAST_6,
    "version 2": OLD,
}


@dataclass
class Pair:
    """Two hosts on a link, with workers that are closed at the end."""

    one: Host
    other: Host
    stack: ExitStack

    def start(self, host: Host, settings: RouterSettings) -> WorkerProcess:
        worker = WorkerProcess(host, settings)
        self.stack.callback(worker.close)
        return worker

    def both(self, settings: RouterSettings) -> tuple[WorkerProcess, WorkerProcess]:
        """One is active, the other is backup and has heard it."""
        active = self.start(self.one, settings)
        active.wait_state("active", within_s=15)
        backup = self.start(self.other, replace(settings, priority=253))
        backup.wait(lambda: _hears(backup), "the backup hears the active one")
        active.wait(lambda: set(active.reports["front"].held) == _texts(settings), "it holds all")
        return active, backup


def _hears(worker: WorkerProcess) -> bool:
    report = worker.reports.get("front")
    return report is not None and report.active_peer is not None


def _texts(settings: RouterSettings) -> set[str]:
    return {str(address) for address in settings.addresses}


def _held(host: Host, settings: RouterSettings) -> set[str]:
    return (host.addresses() | host.addresses_6()) & _texts(settings)


@pytest.fixture
def pair() -> Iterator[Pair]:
    require("ip", "nsenter", "unshare", namespaces=True)
    with World() as world, ExitStack() as stack:
        one, other = world.host("lb1"), world.host("lb2")
        world.link({one: "192.0.2.11/24", other: "192.0.2.12/24"})
        for host, address in ((one, "2001:db8::11/64"), (other, "2001:db8::12/64")):
            host.run("ip", "address", "add", address, "dev", "eth0", "nodad")
        yield Pair(one, other, stack)


@pytest.mark.parametrize("kind", KINDS)
def test_a_crash_is_taken_over_and_the_will_cleans_up(pair: Pair, kind: str) -> None:
    settings = KINDS[kind]
    active, backup = pair.both(settings)
    assert backup.state() == "backup"
    executor = Executor(pair.one)
    active.kill()
    assert _held(pair.one, settings) == _texts(settings)  # the kernel forwards on
    executor.execute(active.will)
    backup.wait_state("active")
    assert "heard priority 0 from" in backup.reports["front"].reason
    [sentence] = executor.finish()
    count = len(settings.addresses)
    assert sentence.endswith(f"took over; removed {count} of {count} addresses")
    assert _held(pair.one, settings) == set()
    eventually(lambda: _held(pair.other, settings) == _texts(settings), "the peer holds all")
    counters = backup.reports["front"].counters
    assert not [name for name in counters if name.startswith("rejected")], counters


def test_the_other_form_of_the_checksum_is_understood_and_followed(pair: Pair) -> None:
    """Packaged keepalived has one form only, so both roles are ours here."""
    active, backup = pair.both(replace(IPV4, checksum=ChecksumChoice.PLAIN))
    backup.configure(replace(IPV4, priority=253))
    active.kill()
    backup.wait_state("active")
    backup.wait(lambda: backup.will.routers != (), "the will is known")
    [will] = backup.will.routers
    goodbye = bytes.fromhex(will.goodbyes[0].packet)
    assert decode(goodbye, will.source)[1] is ChecksumForm.PLAIN


def test_ipv6_addresses_are_deprecated_and_never_tentative(pair: Pair) -> None:
    pair.one.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_dad")
    pair.both(IPV6)
    shown = pair.one.run("ip", "-6", "-oneline", "address", "show", "dev", "eth0")
    virtual = [line for line in shown.splitlines() if "::100/64" in line]
    assert len(virtual) == 2
    for line in virtual:
        assert "nodad" in line
        assert "deprecated" in line  # connections of this host keep its own address
        assert "tentative" not in line


def test_a_deleted_ipv6_address_comes_back(pair: Pair) -> None:
    active, _ = pair.both(IPV6)
    pair.one.run("ip", "address", "del", "2001:db8::100/64", "dev", "eth0")
    active.wait_event("address-restored")
    assert "2001:db8::100/64" in pair.one.addresses_6()
    assert active.state() == "active"


def test_a_link_local_address_that_is_still_tested_is_waited_for(pair: Pair) -> None:
    pair.one.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_dad")
    pair.one.run("ip", "-6", "address", "flush", "dev", "eth0", "scope", "link")
    pair.one.run("ip", "address", "add", "fe80::11/64", "dev", "eth0")
    worker = pair.start(pair.one, IPV6)
    worker.wait_state("active", within_s=15)
    reasons = [event.sentence for event in worker.events if event.kind == "fault"]
    assert reasons == ["eth0 has no link-local IPv6 address of its own to send from"]


def test_one_vrid_for_each_version_of_ip_on_one_interface(pair: Pair) -> None:
    second = replace(IPV6, name="second")
    worker = WorkerProcess(pair.one, IPV4, second)
    pair.stack.callback(worker.close)
    worker.wait_state("active")
    worker.wait_state("active", "second")
    peer = WorkerProcess(pair.other, replace(IPV4, priority=100), replace(second, priority=100))
    pair.stack.callback(peer.close)
    peer.wait(lambda: _hears(peer), "front is heard")
    assert str(peer.reports["front"].active_peer) == "192.0.2.11"
    peer.wait(lambda: peer.reports["second"].active_peer is not None, "second is heard")
    assert str(peer.reports["second"].active_peer).startswith("fe80::")


def test_keys_are_replaced_without_a_gap(pair: Pair) -> None:
    """The new key last on both, then first, then the old one goes; nobody misses a beat."""
    active, backup = pair.both(replace(IPV4, hmac_keys=(KEY,), hmac_required=False))
    for keys in ((KEY, NEXT_KEY), (NEXT_KEY, KEY), (NEXT_KEY,)):
        for worker, priority in ((active, 254), (backup, 253)):
            worker.configure(replace(IPV4, hmac_keys=keys, priority=priority))
            heard = backup.reports["front"].counters["received"]
            backup.wait(
                lambda heard=heard: backup.reports["front"].counters["received"] > heard,  # type: ignore[misc]
                "it still hears",
            )
    assert (active.state(), backup.state()) == ("active", "backup")
    assert not [kind for kind in backup.kinds() if kind.startswith("rejected")]
    assert backup.kinds().count("transition") == 1


def test_unicast_joins_no_group_and_multicast_is_refused_there(pair: Pair) -> None:
    active = pair.start(pair.one, BY_UNICAST)
    active.wait_state("active")
    assert "224.0.0.18" not in pair.one.run("ip", "maddress", "show", "dev", "eth0")
    speaker = pair.start(pair.other, IPV4)  # joins, and so its host receives what it wants
    speaker.wait_state("active")
    active.configure(replace(BY_UNICAST, peers=()))
    eventually(
        lambda: "224.0.0.18" in pair.one.run("ip", "maddress", "show", "dev", "eth0"), "it joins"
    )
    active.wait(lambda: "received" in active.reports["front"].counters, "it hears multicast")


@pytest.mark.parametrize(
    ("ours", "theirs", "counted"),
    [
        (OLD, replace(OLD, password="another"), "rejected-authentication"),
        (
            replace(BY_UNICAST, peers=(ip_address("192.0.2.77"),)),
            BY_UNICAST,
            "rejected-source",
        ),
        (SEALED, replace(IPV4, hmac_keys=(NEXT_KEY,)), "rejected-authentication"),
        (IPV4, BY_UNICAST, "rejected-destination"),
        (IPV4, replace(IPV4, vrid=52), "unknown-vrid"),
    ],
)
def test_what_does_not_fit_is_counted_by_cause_and_peer_and_told_once(
    pair: Pair, ours: RouterSettings, theirs: RouterSettings, counted: str
) -> None:
    one, other = pair.start(pair.one, ours), pair.start(pair.other, theirs)
    one.wait_state("active")
    other.wait_state("active")
    one.wait(lambda: one.reports["front"].counters.get(counted, 0) > 1, "counted each time")
    assert one.reports["front"].peers["192.0.2.12"][counted] > 1
    kind = "vrid-differs" if counted == "unknown-vrid" else counted
    assert one.kinds().count(kind) == 1
    assert "192.0.2.12" in one.wait_event(kind).sentence
    assert one.state() == "active"
