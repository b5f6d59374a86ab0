"""`hadirector reload`: the running daemon reads its file again."""

from __future__ import annotations

import argparse
import json
import sys
from typing import cast

from hadirector import limits
from hadirector.cli.client import add_runtime_dir, ask
from hadirector.cli.errors import EXIT_INVALID, EXIT_YES

SUMMARY = "have the running daemon read its configuration file again"

_EPILOG = """\
The file is checked first, whole. If anything is wrong with it, nothing changes, every error is
shown with its line, and the exit code is 2. Otherwise only the difference is applied: checks,
services, servers and virtual routers that did not change are not touched.

  hadirector check FILE && hadirector reload
  hadirector reload --json"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    add_runtime_dir(parser)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def execute(args: argparse.Namespace) -> int:
    """Ask for the reload and print what came of it."""
    reply = ask(args.runtime_dir, "/reload", method="POST", timeout_s=limits.RELOAD_TIMEOUT_S)
    if args.json:
        print(json.dumps(reply, indent=2))
    else:
        out = sys.stdout if reply["accepted"] else sys.stderr
        for item in cast("list[dict[str, object]]", reply["diagnostics"]):
            print("{file}:{line}:{column}: {severity}: {path}: {message}".format(**item), file=out)
        print(reply["sentence"], file=out)
        if reply["table"]:
            print(reply["table"], file=out)
    return EXIT_YES if reply["accepted"] else EXIT_INVALID
