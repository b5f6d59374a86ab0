"""How many records of connection sync one core decodes, and adds up, in a second.

The promise is 200,000 decoded records a second on one core, of the kind that a kernel sends
(options follow those of the SIP engine and of FTP alone, and are shown beside). Datagrams are full
ones of an MTU of 1500, as a busy kernel sends them; the best of five runs, beside
`struct.iter_unpack` alone, which is the least that Python needs to look at every record.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Callable
from ipaddress import ip_address

from hadirector.ipvs.syncproto import Options, SyncMessage, SyncRecord, decode, encode
from hadirector.ipvs.synctally import Datagram, Tally

PROMISED = 200_000
RUNS = 5
RUN_S = 0.5
BARE = struct.Struct(">BBHIHHHHII4s4s4s")


def main() -> int:
    """Print the table; 1 where the promise is broken."""
    four = [
        SyncRecord(
            0, 6, 36, 0x100, 1, 1024 + n, 80, 8080, 0, 900,
            bytes([192, 0, 2, 1]), bytes([192, 0, 2, 100]), bytes([198, 51, 100, 21]),
        )
        for n in range(39)
    ]  # fmt: skip
    six = [
        one._replace(
            kind=1, length=72, client_address=bytes(16), virtual_address=bytes(16),
            server_address=bytes(16),
        )
        for one in four[:20]
    ]  # fmt: skip
    calls = Options(engine=b"sip", engine_data=b"a84b4c76e66710@192.0.2.1")
    sip = [one._replace(length=36 + 5 + 26, options=calls) for one in four[:20]]
    print("| one core | records/s |\n|---|---|")
    slowest = float("inf")
    for name, records in (("IPv4", four), ("IPv6", six), ("IPv4 with options", sip)):
        data = encode(SyncMessage(1, 51, tuple(records)))
        rate = best(lambda data=data: decode(data), len(records))  # type: ignore[misc]
        if records is not sip:
            slowest = min(slowest, rate)
        print(f"| decoded, {name} | {rate:,.0f} |")
    data = encode(SyncMessage(1, 51, tuple(four)))
    heard = Datagram(ip_address("192.0.2.12"), 8848, data)
    tally = Tally(sync_id=51, now=0.0)
    counted = best(lambda: tally.hear(heard, 1.0, own=False), len(four))
    print(f"| decoded and added up (`sync watch`), IPv4 | {counted:,.0f} |")
    bare = best(lambda: list(BARE.iter_unpack(data[8:])), len(four))
    print(f"| struct.iter_unpack alone | {bare:,.0f} |")
    return 0 if slowest >= PROMISED else 1


def best(work: Callable[[], object], records: int) -> float:
    """Records per second in the best run."""
    rates = []
    for _ in range(RUNS):
        count, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < RUN_S:
            work()
            count += records
        rates.append(count / took)
    return max(rates)


if __name__ == "__main__":
    sys.exit(main())
