"""`hadirector ipvs where`: to which server a client would go, and who moves if one is lost.

The table is read from the kernel as it is now; the models decide (`ipvs.schedulers`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import closing
from ipaddress import ip_address
from typing import TYPE_CHECKING

from hadirector.cli.errors import EXIT_CANNOT, EXIT_INVALID, EXIT_NO, EXIT_YES, CliError
from hadirector.cli.ipvs_list import CONNECTIONS, service_of

if TYPE_CHECKING:
    from hadirector.ipvs.connections import Connection
    from hadirector.ipvs.model import DestinationKey, Entry, ServiceKey
    from hadirector.ipvs.schedulers import Choice, Loss

SUMMARY = "to which server a client would go, and which clients move if a server is lost"

_EPILOG = """\
CLIENT is an address, or address:port where the port counts (sh-port, mh-port).

  hadirector ipvs where 203.0.113.7 tcp://192.0.2.100:80
  hadirector ipvs where 203.0.113.7 tcp://192.0.2.100:80 --lose 198.51.100.21:80

What persistence remembers of the client goes first. Exit code 1: no server would take it, or the
kernel draws lots (twos); then each server is shown with its chance. It is told where the kernel
hides what the choice depends on: the turn of rr and wrr, what lblc and lblcr remember."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("client", metavar="CLIENT", help="203.0.113.7, or 203.0.113.7:50000")
    parser.add_argument("service", metavar="SERVICE", help="tcp://192.0.2.100:80 or fwmark:7")
    parser.add_argument("--lose", metavar="SERVER", help="as if this server were removed")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def execute(args: argparse.Namespace) -> int:
    """Say where the client would go."""
    from hadirector.ipvs.schedulers import choose, lose

    key, client = service_of(args.service), _client(args.client)
    if client.address.version != key.version:
        raise CliError(
            f"{client.address} is no client of an IPv{key.version} service", "", EXIT_INVALID
        )
    entry = _entry(key)
    virtual = getattr(key, "address", None)
    remembered = _remembered(entry, client)
    choice = choose(entry, client, virtual)
    if remembered is not None:
        why = f"persistence remembers it, for {remembered.expires_s} s more"
        choice = _choice(remembered.server, why)
    loss = None
    if args.lose:
        gone = _server(args.lose)
        if gone not in entry.destinations:
            raise CliError(f"{gone} is no server of {key}", "name one of its servers", EXIT_INVALID)
        loss = lose(entry, gone)
    if args.json:
        print(json.dumps(_document(choice, loss)))
    else:
        _show(choice, loss, entry, args)
    return EXIT_YES if choice.server is not None else EXIT_NO


def _show(choice: Choice, loss: Loss | None, entry: Entry, args: argparse.Namespace) -> None:
    nobody = "drawn by lot" if choice.chances else "none"
    print(f"server: {choice.server or nobody}")
    print(f"because: {choice.why}")
    for server, chance in choice.chances:
        print(f"  {server}: {chance:.1%}")
    if not choice.exact and not choice.chances:
        print("not certain: the kernel does not show all that the choice depends on")
    if loss is not None:
        print(f"without {args.lose}: its own {loss.lost:.1%} of the clients move,")
        print(f"  and {loss.others:.1%} of all clients move between the other servers")
    elif args.lose:
        print(f"without {args.lose}: {entry.service.scheduler} binds no client to a server")


def _document(choice: Choice, loss: Loss | None) -> dict[str, object]:
    return {
        "server": None if choice.server is None else str(choice.server),
        "because": choice.why,
        "exact": choice.exact,
        "chances": {str(server): chance for server, chance in choice.chances},
        "loss": None if loss is None else {"lost": loss.lost, "others": loss.others},
    }


def _choice(server: DestinationKey, why: str) -> Choice:
    from hadirector.ipvs.schedulers import Choice

    return Choice(server, why)


def _entry(key: ServiceKey) -> Entry:
    from hadirector.cli.plan import kernel_table
    from hadirector.ipvs.dataplane import DataplaneError

    try:
        with closing(kernel_table()) as kernel:
            table = asyncio.run(kernel.read())
    except DataplaneError as error:
        raise CliError(str(error), error.remedy, EXIT_CANNOT) from error
    if key not in table:
        raise CliError(f"{key} is not in the table", "look: hadirector ipvs list", EXIT_NO)
    return table[key]


def _remembered(entry: Entry, client: DestinationKey) -> Connection | None:
    from hadirector.ipvs.connections import is_template_for, parse_connections

    if entry.service.persistence is None:
        return None
    try:
        with open(CONNECTIONS, encoding="ascii", errors="replace") as lines:  # noqa: PTH123 - proc
            for one in parse_connections(lines):
                if one is not None and is_template_for(entry.service, client.address, one):
                    known = entry.destinations.get(one.server)
                    return one if known is not None else None
    except OSError as error:
        raise CliError(f"{CONNECTIONS}: {error.strerror}", "run as root", EXIT_CANNOT) from error
    return None


def _client(text: str) -> DestinationKey:
    from hadirector.config.addresses import AddressError, parse_endpoint
    from hadirector.ipvs.model import DestinationKey

    try:
        return DestinationKey(ip_address(text), 0)
    except ValueError:
        pass
    try:
        return parse_endpoint(text)
    except AddressError as error:
        raise CliError(str(error), error.hint, EXIT_INVALID) from error


def _server(text: str) -> DestinationKey:
    from hadirector.config.addresses import AddressError, parse_endpoint

    try:
        return parse_endpoint(text)
    except AddressError as error:
        raise CliError(str(error), error.hint, EXIT_INVALID) from error
