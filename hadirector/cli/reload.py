"""`hadirector reload`: the running daemon reads its file again."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, cast

from hadirector import limits
from hadirector.cli.client import add_runtime_dir, ask
from hadirector.cli.errors import EXIT_INVALID, EXIT_NO, EXIT_YES
from hadirector.config.diagnostics import Diagnostic

SUMMARY = "have the running daemon read its configuration file again"

_EPILOG = """\
The file is checked first, whole. If anything is wrong with it, nothing changes, every error is
shown with its line, and the exit code is 2. Otherwise only the difference is applied: checks,
services, servers and virtual routers that did not change are not touched. Exit code 1: the file
holds, but the kernel refused a part of it; it is named, and tried again.

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
        for item in cast("list[dict[str, Any]]", reply["diagnostics"]):
            print(Diagnostic(**item), file=out)
        print(reply["sentence"], file=out)
        if reply["table"]:
            print(reply["table"], file=out)
        for failure in cast("list[str]", reply["failures"]):
            print(f"refused: {failure}", file=sys.stderr)
    if not reply["accepted"]:
        return EXIT_INVALID
    return EXIT_NO if reply["failures"] else EXIT_YES
