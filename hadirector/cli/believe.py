"""`hadirector believe`: an operator's word that the servers of a service really failed."""

from __future__ import annotations

import argparse
import json
import sys
from typing import cast
from urllib.parse import urlencode

from hadirector import limits
from hadirector.cli.client import add_runtime_dir, ask
from hadirector.cli.errors import EXIT_NO, EXIT_YES
from hadirector.cli.override import account

SUMMARY = "hold no weight of a service any longer: its servers really failed"

_EPILOG = """\
  hadirector status            says whose weights the brake (brake: in the file) holds, and why
  hadirector believe web       what the checks say of its servers holds at once

Nothing is held until the control probe has passed again. To take out one server of several that are
held: `hadirector disable SERVICE/SERVER`.

exit codes: 0 done; 1 the kernel refused a part, or its table cannot be written now (it is tried
again); 2 no such service: the near name is told; 3 no daemon"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    parser.add_argument("what", metavar="SERVICE", help="as in `hadirector status`: web")
    add_runtime_dir(parser)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def execute(args: argparse.Namespace) -> int:
    """Have the failures believed."""
    reply = ask(
        args.runtime_dir,
        f"/believe?{urlencode({'what': args.what, 'for': account()})}",
        method="POST",
        timeout_s=limits.RELOAD_TIMEOUT_S,
    )
    failures = cast("list[str]", reply["failures"])
    if args.json:
        print(json.dumps(reply, indent=2))
    else:
        print(reply["sentence"])
        print(reply["table"])
        for failure in failures:
            print(f"refused: {failure}", file=sys.stderr)
    return EXIT_NO if failures else EXIT_YES
