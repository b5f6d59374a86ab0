"""`hadirector ipvs zero`: the kernel's counters begin anew, as with `ipvsadm -Z`."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import closing

from hadirector.cli.errors import EXIT_CANNOT, EXIT_YES, CliError
from hadirector.cli.ipvs_list import service_of

SUMMARY = "set the kernel's counters to 0: of one service and its servers, or of all"

_EPILOG = """\
  hadirector ipvs zero                       of all services
  hadirector ipvs zero tcp://192.0.2.100:80

Connections and their counts stay; what `list --stats` shows begins at 0."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("service", metavar="SERVICE", nargs="?", help="tcp://192.0.2.100:80")


def execute(args: argparse.Namespace) -> int:
    """Have the kernel do it."""
    from hadirector import preflight
    from hadirector.ipvs.dataplane import DataplaneError
    from hadirector.ipvs.settings import KernelSettings

    key = service_of(args.service) if args.service else None
    preflight.privileges()
    preflight.kernel_has_ipvs()
    try:
        with closing(KernelSettings()) as kernel:
            asyncio.run(kernel.zero(key))
    except DataplaneError as error:
        raise CliError(str(error), error.remedy, EXIT_CANNOT) from error
    print(f"counters of {key or 'all services'}: 0")
    return EXIT_YES
