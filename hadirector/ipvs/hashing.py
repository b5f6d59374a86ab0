"""The tables by which `sh`, `dh` and `mh` map clients to servers, as the kernel builds them. Pure.

Sources: ``net/netfilter/ipvs/ip_vs_sh.c``, ``ip_vs_dh.c``, ``ip_vs_mh.c`` and ``lib/siphash.c`` of
Linux 6.1 on a 64-bit machine, with the table sizes of a stock configuration. A table is a tuple of
the indexes of servers, in the order in which the kernel lists them (the newest first).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from math import gcd

from hadirector.ipvs.model import Address, DestinationKey

SH_SLOTS = 256  # 1 << CONFIG_IP_VS_SH_TAB_BITS
MH_SLOTS = 4093  # the prime for CONFIG_IP_VS_MH_TAB_INDEX=12
_MH_BITS = 6  # half of that index
_MH_KEY_1 = 2654435761
_MH_KEY_2 = 2654446892
_GOLDEN_RATIO_32 = 0x61C88647
_MASK_32 = 0xFFFFFFFF
_MASK_64 = 0xFFFFFFFFFFFFFFFF


def fold(address: Address, version: int) -> int:
    """An address in 32 bits, as a service of this IP version sees it."""
    words = struct.unpack(f">{len(address.packed) // 4}I", address.packed)
    if version == 4:
        return int(words[0])
    result = 0
    for word in words:
        result ^= word
    return result


def sh_slot(client: DestinationKey, version: int) -> int:
    """The place of a client in the table of `sh`; port 0 where ports do not count."""
    return _hash_32(client.port + fold(client.address, version))


def dh_slot(virtual: Address, version: int) -> int:
    """The place of a virtual address in the table of `dh`."""
    return _hash_32(fold(virtual, version))


def mh_slot(client: DestinationKey, version: int, offset: int = 0) -> int:
    """The place of a client in the table of `mh`; port 0 where ports do not count."""
    value = offset + client.port + fold(client.address, version)
    return _siphash13(value & _MASK_32, _MH_KEY_1) % MH_SLOTS


def sh_table(weights: Sequence[int]) -> tuple[int, ...]:
    """Each server in turn, as many places as its weight, until the table is full."""
    table: list[int] = []
    while weights and len(table) < SH_SLOTS:
        for index, weight in enumerate(weights):
            table += [index] * min(max(weight, 1), SH_SLOTS)
    return tuple(table[:SH_SLOTS])


def dh_table(count: int) -> tuple[int, ...]:
    """Each server in turn."""
    return tuple(slot % count for slot in range(SH_SLOTS)) if count else ()


@lru_cache(maxsize=8)
def mh_table(
    servers: tuple[DestinationKey, ...], weights: tuple[int, ...], version: int
) -> tuple[int, ...]:
    """Maglev's table: each server takes, in turn, the next free place of its own permutation."""
    divisor = gcd(*weights) if weights else 0
    if divisor < 1:
        return ()
    shift = max((max(weights) // divisor).bit_length() - _MH_BITS, 0)
    turns = [(weight // divisor >> shift) or int(weight != 0) for weight in weights]
    places = [_mh_permutation(server, version) for server in servers]
    table = [-1] * MH_SLOTS
    taken = 0
    while True:
        for index, (place, skip) in enumerate(places):
            for _ in range(turns[index]):
                while table[place] >= 0:
                    place = (place + skip) % MH_SLOTS  # noqa: PLW2901 - goes on from here
                table[place] = index
                taken += 1
                if taken == MH_SLOTS:
                    return tuple(table)
            places[index] = (place, skip)


def _mh_permutation(server: DestinationKey, version: int) -> tuple[int, int]:
    value = (server.port + fold(server.address, version)) & _MASK_32
    first = _siphash13(value, _MH_KEY_1) % MH_SLOTS
    return first, _siphash13(value, _MH_KEY_2) % (MH_SLOTS - 1) + 1


def _hash_32(value: int) -> int:
    """``hash_32`` of linux/hash.h to 8 bits."""
    return (value * _GOLDEN_RATIO_32 & _MASK_32) >> 24


def _siphash13(value: int, key: int) -> int:
    """``hsiphash`` of one 32-bit number, both halves of the key being the same."""
    v0, v1 = 0x736F6D6570736575 ^ key, 0x646F72616E646F6D ^ key
    v2, v3 = 0x6C7967656E657261 ^ key, 0x7465646279746573 ^ key
    block = 4 << 56 | value
    v0, v1, v2, v3 = _sip_round(v0, v1, v2, v3 ^ block)
    v0, v2 = v0 ^ block, v2 ^ 0xFF
    for _ in range(3):
        v0, v1, v2, v3 = _sip_round(v0, v1, v2, v3)
    return (v0 ^ v1 ^ v2 ^ v3) & _MASK_32


def _sip_round(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = v0 + v1 & _MASK_64
    v1 = _rotate(v1, 13) ^ v0
    v0 = _rotate(v0, 32)
    v2 = v2 + v3 & _MASK_64
    v3 = _rotate(v3, 16) ^ v2
    v0 = v0 + v3 & _MASK_64
    v3 = _rotate(v3, 21) ^ v0
    v2 = v2 + v1 & _MASK_64
    v1 = _rotate(v1, 17) ^ v2
    return v0, v1, _rotate(v2, 32), v3


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> 64 - bits) & _MASK_64
