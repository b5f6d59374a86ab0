"""The decoder against millions of broken packets: only its own named errors may come out.

    python -m tests.simulation.mutate --packets 10000000

Real advertisements are flipped, cut, lengthened, spliced and given unlikely values; half of them
get their checksums repaired afterwards, since otherwise the checksum would stop nearly all of them
at the door. Each goes the way of a received one: taken apart, then judged for a virtual router.
What is accepted must be sendable again. Everything hangs on the seed, which is printed.

Exit status: 0 nothing else came out, 1 something did (the packet is printed).
"""

from __future__ import annotations

import argparse
import os
import random
import struct
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_interface

from vrrp import authentication
from vrrp.config import RouterSettings
from vrrp.packet import (
    MULTICAST_IPV4,
    MULTICAST_IPV6,
    Datagram,
    IPAddress,
    PacketError,
    encode,
    group_for,
    internet_checksum,
    pseudo_header,
    split_datagram,
)
from vrrp.reception import accept

PORTION = 50_000
SOURCE_4 = IPv4Address("192.0.2.1")
SOURCE_6 = IPv6Address("fe80::64de:31ff:fe65:268")
UNLIKELY = bytes((0, 1, 2, 3, 4, 7, 8, 0x21, 0x31, 0x32, 0x41, 0x45, 0x46, 0x7F, 0x80, 0xFE, 0xFF))

IPV4 = [
    bytes.fromhex(text)
    for text in (
        "313496010032d3c9c000023d",
        "313496010032765ac000023d",
        "31340001003269cac000023d",
        "313dc8010064a184c0000247",
        "2133960201011ad7c0000233c00002347333637265746c6f",
        "213300020101b0d7c0000233c00002347333637265746c6f",
    )
]
IPV6 = [
    bytes.fromhex("3135ff0200640caa")
    + IPv6Address("fe80::53").packed
    + IPv6Address("2001:db8::53").packed
]
"""What follows the IP header, captured from another implementation."""


def _settings(version: int, address: str, *, password: str | None = None) -> RouterSettings:
    return RouterSettings(
        name="any",
        vrid=51,
        interface="eth0",
        version=version,
        addresses=(ip_interface(address),),
        password=password,
        priority=100,
    )


RECEIVERS = {
    4: [
        _settings(3, "192.0.2.61/24"),
        _settings(2, "192.0.2.51/24"),
        _settings(2, "192.0.2.51/24", password="s3cretlo"),
    ],
    6: [_settings(3, "fe80::53/64")],
}


def mutated(rng: random.Random, packet: bytes) -> bytes:
    """One to three changes somewhere in the packet, mostly of single fields."""
    data = bytearray(packet)
    for _ in range(rng.randint(1, 3)):
        kind = rng.choice((0, 0, 0, 1, 1, 1, 2, 3, 4, 5))
        at = rng.randrange(len(data)) if data else 0
        if kind == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at] = rng.choice(UNLIKELY)
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data += rng.randbytes(rng.choice((1, 4, 8, 16, 28, 64)))
        elif kind == 4:
            data[at:at] = rng.randbytes(rng.randint(1, 8))
        else:
            donor = rng.choice(IPV4 + IPV6)
            data[at : at + rng.randint(0, 12)] = donor[rng.randrange(len(donor)) :]
    return bytes(data)


def with_checksum(rng: random.Random, pdu: bytes, source: IPAddress, to: IPAddress) -> bytes:
    """The same with a right checksum, in one of its forms."""
    if len(pdu) < 8:
        return pdu
    blank = pdu[:6] + b"\0\0" + pdu[8:]
    covered = blank if rng.random() < 0.5 else pseudo_header(source, to, len(blank)) + blank
    return blank[:6] + internet_checksum(covered).to_bytes(2) + blank[8:]


def ip_datagram(rng: random.Random, pdu: bytes) -> bytes:
    """An IPv4 datagram around it, sometimes a broken one."""
    length = 20 + len(pdu)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0xC0, length & 0xFFFF, 0, 0, 255, 112, 0,
                         SOURCE_4.packed, MULTICAST_IPV4.packed)  # fmt: skip
    data = header + pdu
    return mutated(rng, data) if rng.random() < 0.1 else data


def made(rng: random.Random) -> tuple[int, bytes]:
    """A broken packet as the socket of its IP version delivers it."""
    family = 4 if rng.random() < 0.8 else 6
    source: IPAddress = SOURCE_4 if family == 4 else SOURCE_6
    to = group_for(source)
    pdu = mutated(rng, rng.choice(IPV4 if family == 4 else IPV6))
    if rng.random() < 0.5:
        pdu = with_checksum(rng, pdu, source, to)
    return family, ip_datagram(rng, pdu) if family == 4 else pdu


def received(rng: random.Random, family: int, data: bytes) -> str:
    """What becomes of it: the cause of its rejection, or that it was accepted."""
    try:
        if family == 4:
            datagram = split_datagram(data)
        else:
            datagram = Datagram(SOURCE_6, MULTICAST_IPV6, 255, data)
        receivers = RECEIVERS[family]
        if rng.random() < 0.9 and datagram.payload:  # else most would fall for their version
            spoken = [one for one in receivers if one.version == datagram.payload[0] >> 4]
            receivers = spoken or receivers
        heard = accept(datagram, rng.choice(receivers))
        authentication.verify(datagram, [])
    except PacketError as error:
        return error.cause
    encode(heard.advertisement, heard.source, form=heard.form)
    return "accepted"


def portion(seed: int, size: int) -> tuple[Counter[str], str | None]:
    """So many packets of one seed, and what came out that should not."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for _ in range(size):
        data = made(rng)
        try:
            outcomes[received(rng, *data)] += 1
        except Exception as error:  # noqa: BLE001 - what is being looked for
            return outcomes, f"{error!r} from {data[1].hex()} (seed {seed})"
    return outcomes, None


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutate")
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    asked = parser.parse_args()
    sizes = [PORTION] * (asked.packets // PORTION)
    if rest := asked.packets % PORTION:
        sizes.append(rest)
    print(f"seeds {asked.seed} to {asked.seed + len(sizes) - 1}", flush=True)
    began = time.monotonic()
    total: Counter[str] = Counter()
    failures: list[str] = []
    with ProcessPoolExecutor(asked.jobs) as pool:
        seeds = range(asked.seed, asked.seed + len(sizes))
        for outcomes, unexpected in pool.map(portion, seeds, sizes):
            total += outcomes
            failures += [unexpected] if unexpected else []
    for outcome, count in total.most_common():
        print(f"  {outcome:<16}{count:>12}")
    for failure in failures:
        print(f"UNEXPECTED {failure}")
    seconds = time.monotonic() - began
    verdict = f"{len(failures)} answered by anything but a named error"
    print(f"{total.total()} packets in {seconds:.0f} s; {verdict}")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
