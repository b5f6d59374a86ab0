"""`hadirector audit`: the running daemon compares the kernel's table with its own, now."""

from __future__ import annotations

import argparse
import json
import sys
from typing import cast

from hadirector import limits
from hadirector.cli.client import add_runtime_dir, ask
from hadirector.cli.errors import EXIT_NO, EXIT_YES

SUMMARY = "have the running daemon compare the kernel's table with its own, now"

_EPILOG = """\
The daemon does this by itself every few seconds (`audit:` in the file). What another program
changed is repaired, reported or left, as `drift:` of its service says; every finding is in
`hadirector events`, with before and after.

  hadirector audit          exit code 0: the table was as it should be; 1: it was not
  hadirector audit --json"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    add_runtime_dir(parser)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def execute(args: argparse.Namespace) -> int:
    """Ask for the audit and print what it found."""
    reply = ask(args.runtime_dir, "/audit", method="POST", timeout_s=limits.RELOAD_TIMEOUT_S)
    found = {name: cast("list[str]", reply[name]) for name in ("repaired", "left", "failures")}
    if args.json:
        print(json.dumps(reply, indent=2))
    else:
        print(reply["sentence"])
        for name, sentences in found.items():
            for sentence in sentences:
                out = sys.stderr if name == "failures" else sys.stdout
                print(f"{'refused' if name == 'failures' else name}: {sentence}", file=out)
        for name in ("kept", "oddities"):
            for sentence in cast("list[str]", reply[name]):
                print(f"nobody declared it here: {sentence}")
    return EXIT_NO if any(found.values()) else EXIT_YES
