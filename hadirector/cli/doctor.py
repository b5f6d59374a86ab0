"""`hadirector doctor [FILE]`: what this host lacks, and the command that provides it.

What is looked at and how it is judged stands in `hadirector.doctor`; here it is printed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from hadirector.cli.errors import EXIT_NO, EXIT_YES
from hadirector.doctor import Finding, Host, Purpose, State, examine

SUMMARY = "what this host lacks to run or to rehearse, and the command that provides it"

_DESCRIPTION = """\
Look at this host and say what it lacks to run the daemon or to rehearse a configuration, each with
the command that provides it. With a FILE, also what that configuration needs here: the node's name,
its interfaces, packet forwarding for NAT, and of the peer channel the certificates (there, readable
by their owner alone, not about to end) and whether the peer can be reached. Nothing is changed."""

_EPILOG = """\
examples:
  hadirector doctor                                      this host in general
  hadirector doctor --for rehearse                       is all there for a rehearsal?
  hadirector doctor /etc/hadirector.yaml --node lb1      before "hadirector run" on a director

exit codes: 0 nothing is missing; 1 something is (warnings do not count); 2 the file is not valid"""

_TITLES = {
    Purpose.RUN: "to run the daemon (hadirector run)",
    Purpose.REHEARSE: "to rehearse (hadirector rehearse)",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", nargs="?", help="a configuration file")
    parser.add_argument("--node", metavar="NAME", help="which of the file's nodes this host is")
    parser.add_argument(
        "--for",
        dest="purpose",
        choices=[str(purpose) for purpose in Purpose],
        help="look at one purpose only (default: both)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def execute(args: argparse.Namespace) -> int:
    """Examine the host; returns the exit code."""
    config = None
    if args.file is not None:
        from hadirector.cli.loading import load_or_fail

        config = load_or_fail(args.file)
    wanted = [purpose for purpose in Purpose if args.purpose in (None, str(purpose))]
    found = [one for one in examine(Host(), config, args.node) if one.purpose in wanted]
    missing = [one for one in found if one.state is State.MISSING]
    if args.json:
        findings = [asdict(one) for one in found]
        print(json.dumps({"ready": not missing, "findings": findings}, indent=2))
    else:
        print("\n\n".join(_section(purpose, found) for purpose in wanted))
    return EXIT_NO if missing else EXIT_YES


def _section(purpose: Purpose, found: Sequence[Finding]) -> str:
    mine = [one for one in found if one.purpose is purpose]
    width = max(len(one.name) for one in mine)
    lines = [_TITLES[purpose]]
    for one in mine:
        lines.append(f"  {one.state:<8}{one.name:<{width}}  {one.message}")
        if one.remedy:
            lines.append(f"  {'':<8}{'':<{width}}  -> {one.remedy}")
    return "\n".join(lines)
