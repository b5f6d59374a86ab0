"""What tshark's dissector of connection sync reads in a capture: an opinion that is not ours.

It reads headers and records, not the options behind a record: it takes them for the next record
(seen with tshark 4.0). So a record with options is only seen by it where it is the last one.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

Dissected = Mapping[str, Sequence[str]]
"""Each field of one packet: a value for each record that has it."""


def dissected(capture: Path, names: Sequence[str]) -> list[Dissected]:
    """Fields of `ipvs` (without that word) for each packet. Raises CalledProcessError."""
    fields = [word for name in names for word in ("-e", f"ipvs.{name}")]
    program = shutil.which("tshark") or "tshark"
    done = subprocess.run(
        [program, "-n", "-r", str(capture), "-d", "udp.port==8848,ipvs", "-T", "fields", *fields],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [
        {
            name: [word for word in column.split(",") if word]
            for name, column in zip(names, line.split("\t"), strict=True)
        }
        for line in done.stdout.splitlines()
    ]


def numbers(words: Sequence[str]) -> list[int]:
    """Values that are numbers, in decimal or with 0x."""
    return [int(word, 0) for word in words]


def write_capture(path: Path, datagrams: Iterable[bytes]) -> None:
    """A capture of datagrams as a director sends them to the group (LINKTYPE_RAW)."""
    addresses = bytes([192, 0, 2, 11]), bytes([224, 0, 0, 81])
    parts = [struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)]
    for payload in datagrams:
        udp = struct.pack(">HHHH", 40000, 8848, 8 + len(payload), 0) + payload
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 1, 17, 0)
        packet = head + b"".join(addresses) + udp
        parts.append(struct.pack("=IIII", 0, 0, len(packet), len(packet)) + packet)
    path.write_bytes(b"".join(parts))
