"""Addresses put on a real interface: when `add` returns, this host takes packets for them."""

import asyncio
import sys

import pytest
from pyroute2 import AsyncIPRoute

from tests.vrrp.world import Host
from vrrp import addresses
from vrrp.addresses import Interfaces
from vrrp.hands import Interface

ADD_MANY = """
import asyncio
from ipaddress import ip_interface
from pyroute2 import AsyncIPRoute
from vrrp.addresses import Interfaces
from vrrp.hands import Interface
from vrrp.process import claim_realtime

async def main():
    interfaces = Interfaces(print, print)
    await interfaces.watch(frozenset({"eth0"}))
    async with AsyncIPRoute() as route:
        for number in range(1, 101):
            address = ip_interface(f"2001:db8:5::{number:x}/64")
            await interfaces.add("eth0", address)
            [found] = await route.route("get", dst=str(address.ip))
            if found["type"] != 2:  # RTN_LOCAL
                print(f"{address} is not taken in yet")
    interfaces.close()

claim_realtime()
asyncio.run(main())
"""


def test_an_ipv6_address_is_in_use_when_it_is_added(hosts: tuple[Host, Host]) -> None:
    """The kernel enters its route later; packets drawn in between would be sent back."""
    said = hosts[0].run(sys.executable, "-c", ADD_MANY)
    assert said.replace("eth0\n", "") == ""


_read_link = addresses._read_link


async def slowly(kernel: AsyncIPRoute, name: str) -> Interface:
    """The kernel takes its time for each answer."""
    await asyncio.sleep(0)
    return await _read_link(kernel, name)


@pytest.mark.asyncio
async def test_what_is_watched_may_change_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload in the moment in which the kernel reported a change ended the worker."""
    trouble: list[str] = []
    interfaces = Interfaces(lambda name: None, trouble.append)
    monkeypatch.setattr(addresses, "_read_link", slowly)
    few = frozenset({"lo"})
    many = few | {f"none{number}" for number in range(20)}

    for moment in range(30):  # of a reading
        await interfaces.watch(many)
        reading = asyncio.create_task(interfaces._try_reading())
        for _ in range(moment):
            await asyncio.sleep(0)
        await interfaces.watch(few)
        await reading
    interfaces.close()
    assert trouble == []
    assert interfaces["lo"].index == 1


DURING_A_READING = """
import asyncio
from ipaddress import ip_interface
from vrrp import addresses
from vrrp.addresses import Interfaces
from vrrp.hands import Interface

read_addresses = addresses._read_addresses
old = []

async def too_late(kernel):
    found = await read_addresses(kernel)
    if not old:  # what has been read is not true any more when it is looked at
        old.append(found)
        await interfaces.add("eth0", ip_interface("192.0.2.100/24"))
        await interfaces.remove("eth0", ip_interface("192.0.2.13/24"))
    return found

async def main():
    global interfaces
    interfaces = Interfaces(str, print)
    await interfaces.watch(frozenset({"eth0"}))
    await interfaces.add("eth0", ip_interface("192.0.2.13/24"))
    addresses._read_addresses = too_late
    await asyncio.wait_for(interfaces._try_reading(), 2)
    print(*(each for each in interfaces["eth0"].addresses if each.version == 4))
    interfaces.close()

asyncio.run(main())
"""


def test_an_address_waits_for_no_reading_and_is_not_forgotten_by_it(
    hosts: tuple[Host, Host],
) -> None:
    said = hosts[0].run(sys.executable, "-c", DURING_A_READING)
    assert said == "192.0.2.11/24 192.0.2.100/24\n"
