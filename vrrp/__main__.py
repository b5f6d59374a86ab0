"""VRRP seen from outside: `python -m vrrp listen INTERFACE`, `python -m vrrp decode HEX`.

    listen    who is speaking on this network, with which version, VRID, priority, interval and
              checksum form, and what looks wrong; ends with a table
    decode    one packet, field by field, with every rule that it breaks

Exit status: 0 nothing is wrong; 1 something is; 2 wrong usage; 3 not possible here, with what to
do about it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from contextlib import suppress
from ipaddress import ip_address

from vrrp.dissect import Dissection, dissect
from vrrp.listen import ListenError, hear, open_socket
from vrrp.speakers import Speakers, describe

EXIT_YES, EXIT_NO, EXIT_USAGE, EXIT_CANNOT = 0, 1, 2, 3


def decode(arguments: argparse.Namespace) -> int:
    """Explain one packet."""
    text = "".join(arguments.hex) if arguments.hex != ["-"] else sys.stdin.read()
    cleaned = "".join(text.replace("0x", "").replace(":", " ").split())
    try:
        data = bytes.fromhex(cleaned)
    except ValueError as error:
        print(f"this is not hexadecimal: {error}", file=sys.stderr)
        return EXIT_USAGE
    told = dissect(data, arguments.source, arguments.destination)
    print_dissection(told)
    return EXIT_NO if told.problems else EXIT_YES


def print_dissection(told: Dissection) -> None:
    """Print fields and problems."""
    width = max((len(field.name) for field in told.fields), default=0)
    for field in told.fields:
        octets = field.octets if len(field.octets) <= 16 else f"{field.octets[:14]}.."
        print(f"{field.name:<{width}}  {octets:<16}  {field.meaning}")
    for problem in told.problems:
        print(f"WRONG: {problem}")
    if not told.problems:
        print("nothing is wrong with it")


def listen(arguments: argparse.Namespace) -> int:
    """Tell who speaks until interrupted or for some seconds."""
    speakers, wrong = Speakers(), False
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with open_socket(arguments.interface) as ear, suppress(KeyboardInterrupt):
            print(f"listening on {arguments.interface}; Ctrl-C ends it", flush=True)
            for line in hear(ear, speakers, arguments.seconds):
                wrong = wrong or "WRONG" in line
                print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)
    except ListenError as error:
        print(error, file=sys.stderr)
        return EXIT_CANNOT
    print_speakers(speakers)
    return EXIT_NO if wrong else EXIT_YES


def print_speakers(speakers: Speakers) -> None:
    """Print the table at the end."""
    if not speakers.known:
        print("nobody spoke VRRP")
        return
    print(f"{'VRID':>4}  {'sender':<26}{'state':<8}{'packets':>7}  last said")
    for _, speaker in sorted(
        speakers.known.items(), key=lambda item: (item[0][1], str(item[0][0]))
    ):
        state = "active" if speaker.active else "left" if speaker.leaving else "silent"
        said = describe(speaker.said)
        row = f"{speaker.vrid:>4}  {speaker.source!s:<26}{state:<8}{speaker.packets:>7}  {said}"
        print(row)
    if speakers.forgotten:
        print(f"{speakers.forgotten} packets came from more senders than are kept apart")


def main() -> int:
    """Read the command line and act."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m vrrp",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(required=True, metavar="listen | decode")
    verb = verbs.add_parser("listen", help="who is speaking on a network, and what looks wrong")
    verb.add_argument("interface")
    verb.add_argument("--seconds", type=float, help="how long; else until Ctrl-C")
    verb.set_defaults(act=listen)
    verb = verbs.add_parser("decode", help="one packet, field by field")
    verb.add_argument(
        "hex",
        nargs="+",
        help="an Ethernet frame, an IP datagram or what follows the IP header; - reads it from "
        "standard input",
    )
    verb.add_argument("--source", type=ip_address, help="sender of a packet without IP header")
    verb.add_argument(
        "--destination", type=ip_address, help="its destination; else the multicast group"
    )
    verb.set_defaults(act=decode)
    arguments = parser.parse_args()
    status: int = arguments.act(arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
