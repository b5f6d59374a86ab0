"""Addresses put on a real interface: when `add` returns, this host takes packets for them."""

import asyncio
import sys

import pytest

from tests.prerequisites import require
from tests.vrrp.world import World
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


def test_an_ipv6_address_is_in_use_when_it_is_added() -> None:
    """The kernel enters its route later; packets drawn in between would be sent back."""
    require("ip", "nsenter", "unshare", namespaces=True)
    with World() as world:
        one, other = world.host("lb1"), world.host("lb2")
        world.link({one: "192.0.2.11/24", other: "192.0.2.12/24"})
        said = one.run(sys.executable, "-c", ADD_MANY)
    assert said.replace("eth0\n", "") == ""


class Slow(Interfaces):
    """The kernel takes its time for each answer."""

    async def _read_link(self, name: str) -> Interface:
        await asyncio.sleep(0)
        return await super()._read_link(name)


@pytest.mark.asyncio
async def test_what_is_watched_may_change_while_it_is_read() -> None:
    """A reload in the moment in which the kernel reported a change ended the worker."""
    trouble: list[str] = []
    interfaces = Slow(lambda name: None, trouble.append)
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
