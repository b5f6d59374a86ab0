"""Probing a server through the service's own address: by which mark, and where that can work.

The problem: a check of a server's own address says nothing of whether it answers for the virtual
one (the address on its loopback, the tunnel unwrapped, the program listening there). Only the
kernel knows the way that clients' packets take. The approach: each such server is, besides, alone
in one more service of the kernel's, chosen by a firewall mark that only our probes have.

The mark follows from the names of service and server, so that it stays over reloads and restarts
and is the same on both directors. Two that are equal, which is next to impossible, are an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from checkers.base import OptionError, Target
from checkers.options import CheckOptions
from hadirector.ipvs.model import Forward, ServiceKey, VirtualAddress

_FIRST = 0x4000_0000
_COUNT = 0x4000_0000


def probe_mark(service: str, server: str) -> int:
    """The mark of the probes of one server through its service's address."""
    name = f"{service}/{server}".encode()
    number = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big")
    return _FIRST + number % _COUNT


def through_conflicts(
    options: CheckOptions, server: Target, listen: ServiceKey | None, forward: Forward | None
) -> Iterator[OptionError]:
    """Why a server cannot be probed through its service's address."""
    if not options.through_vip:
        return
    for name in ("address", "interface", "mark"):
        if getattr(options, name) is not None:
            yield OptionError(name, f"`{name}` and `through_vip` do not go together")
    if forward is Forward.NAT:
        sentence = "with forward nat a server never sees the virtual address: only dr and tun can"
        yield OptionError("through_vip", sentence)
    if listen is None:
        return
    if not isinstance(listen, VirtualAddress):
        yield OptionError("through_vip", f"{listen} has no virtual address to probe through")
        return
    if options.source is not None and options.source.version != listen.version:
        sentence = f"no way from an IPv{options.source.version} address to {listen.address}"
        yield OptionError("source", sentence)
    if options.source is None and server.address.version != listen.version:
        sentence = (
            f"a server of IPv{server.address.version} behind {listen.address}: write the `source`, "
            f"an IPv{listen.version} address of every director"
        )
        yield OptionError("through_vip", sentence)
