"""`hadirector ipvs settings`: the kernel's settings for IPVS, and what they were before us."""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import closing, suppress
from pathlib import Path

from hadirector.cli.client import add_runtime_dir
from hadirector.cli.errors import EXIT_CANNOT, EXIT_YES, CliError
from hadirector.cli.ipvs_list import CONNECTIONS

SUMMARY = "show the kernel's settings for IPVS, or put back what they were before"

OBJECT_BYTES = Path("/sys/kernel/slab/ip_vs_conn/slab_size")
"""What one connection takes: struct ip_vs_conn, with what the allocator adds."""

_EPILOG = """\
  hadirector ipvs settings               every setting; where it was changed, what was before
  hadirector ipvs settings --restore     put back what was before `run` or `apply` changed it

While the daemon runs it sets again what its configuration names under `ipvs:`."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.epilog = _EPILOG
    add_runtime_dir(parser)
    parser.add_argument("--restore", action="store_true", help="put back what was before")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def execute(args: argparse.Namespace) -> int:
    """Show the settings, or put them back."""
    from hadirector import preflight
    from hadirector.ipvs.dataplane import DataplaneError

    preflight.privileges()
    preflight.kernel_has_ipvs()
    try:
        if args.restore:
            return asyncio.run(_restore(args.runtime_dir, as_json=args.json))
        return asyncio.run(_show(args.runtime_dir, as_json=args.json))
    except DataplaneError as error:
        raise CliError(str(error), error.remedy, EXIT_CANNOT) from error


async def _restore(runtime_dir: Path, *, as_json: bool) -> int:
    from hadirector.tuner import Tuner

    with closing(Tuner(runtime_dir)) as tuner:
        undone = await tuner.restore()
    if as_json:
        print(json.dumps({"restored": {change.name: change.value for change in undone}}))
        return EXIT_YES
    for change in undone:
        print(f"  {change}")
    print(f"restored: {len(undone)} setting{'s' * (len(undone) != 1)}")
    return EXIT_YES


async def _show(runtime_dir: Path, *, as_json: bool) -> int:
    from hadirector.ipvs.connection_table import ConnectionTable
    from hadirector.ipvs.modules import loaded
    from hadirector.ipvs.table import KernelTable
    from hadirector.tuner import Tuner

    with closing(Tuner(runtime_dir)) as tuner, closing(KernelTable()) as table:
        settings = await tuner.everything()
        before = tuner.remembered()
        info = await table.info()
    memory = ConnectionTable(
        buckets=info.connection_table_size,
        connections=_connections(),
        object_bytes=object_bytes(),
    )
    modules = loaded()
    if as_json:
        document = {
            "settings": settings,
            "before": before,
            "modules": list(modules),
            "connection_table": memory.document,
        }
        print(json.dumps(document, indent=2))
        return EXIT_YES
    print(f"IPVS {'.'.join(str(part) for part in info.version)}")
    for name, value in settings.items():
        was = f"   (was {before[name]})" if before.get(name, value) != value else ""
        print(f"  {name:<28}{value}{was}")
    print(f"modules: {', '.join(modules) or 'built in, or not known'}")
    print(memory)
    if memory.connections is None:
        print(f"{CONNECTIONS} cannot be read")
    if memory.advice:
        print(memory.advice)
    return EXIT_YES


def object_bytes() -> int | None:
    """What one connection takes, where the kernel tells."""
    with suppress(OSError, ValueError):
        return int(OBJECT_BYTES.read_text())
    return None


def _connections() -> int | None:
    """How many connections this network namespace has, where the kernel tells.

    They are counted one by one: of allocations the kernel tells (`/proc/slabinfo`) only together
    with all others of the same size, and most kernels have some.
    """
    with suppress(OSError), open(CONNECTIONS, "rb") as lines:  # noqa: PTH123 - proc
        return max(0, sum(1 for _ in lines) - 1)  # the first is the heading
    return None
