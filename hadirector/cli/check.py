"""`hadirector check FILE`: is the configuration valid?

Prints every finding with its place, and touches nothing. What is right or wrong is decided in
`hadirector.config`; here it is only shown.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hadirector.cli.errors import EXIT_INVALID, EXIT_NO, EXIT_YES, CliError

if TYPE_CHECKING:
    from hadirector.config.loader import Loaded
    from hadirector.config.model import Config
    from hadirector.config.two_files import PairLoaded

SUMMARY = "validate a configuration file; every error with its line and what would be right"

_DESCRIPTION = """\
Validate a configuration file. Every error and warning is shown in one run, with file, line and
column, the path of the value and what would be right. Nothing is touched; it needs no privilege."""

_EPILOG = """\
examples:
  hadirector check configs/quickstart.yaml
  hadirector check --strict /etc/hadirector.yaml   before a reload: warnings count, too
  hadirector check --json FILE | jq .diagnostics   for editors and pipelines
  hadirector check lb1.yaml --peer lb2.yaml        would the two make two actives?
  ssh lb2 cat /etc/hadirector.yaml >/tmp/lb2.yaml && \\
    hadirector check /etc/hadirector.yaml --node lb1 --peer /tmp/lb2.yaml

exit codes: 0 valid; 1 warnings, with --strict; 2 errors"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", help="the configuration file")
    parser.add_argument("--strict", action="store_true", help="exit 1 if there are warnings")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--peer",
        metavar="OTHER",
        help="the file of the other director: check it as well, and what the two make together",
    )
    parser.add_argument(
        "--node",
        metavar="NAME",
        help="with --peer: the director that has FILE (default: it may be any)",
    )


def execute(args: argparse.Namespace) -> int:
    """Check the file; returns the exit code."""
    if args.peer is not None:
        return _execute_two(args)
    if args.node is not None:
        raise CliError("--node says who has FILE when there is another", "add --peer OTHER", 2)
    # Imported here: `--help` should not wait for pydantic.
    from hadirector.config.loader import load

    loaded = load(Path(args.file))
    if args.json:
        print(json.dumps(_as_json(args.file, loaded), indent=2))
    else:
        _print(args.file, loaded)
    if loaded.config is None:
        return EXIT_INVALID
    return EXIT_NO if args.strict and loaded.warnings else EXIT_YES


def _execute_two(args: argparse.Namespace) -> int:
    from hadirector.config.two_files import load_two

    pair = load_two(Path(args.file), Path(args.peer), args.node)
    config = pair.ours.config
    if args.node is not None and config is not None and args.node not in config.nodes:
        names = " or ".join(f"--node {name}" for name in config.nodes)
        raise CliError(f'{args.file} has no node "{args.node}"', f"write {names}", EXIT_INVALID)
    if args.json:
        peer = _as_json(args.peer, pair.theirs)
        together = [diagnostic.to_json() for diagnostic in pair.together]
        both = {**_as_json(args.file, pair.ours), "peer": peer, "together": together}
        print(json.dumps({**both, "valid_together": pair.valid}, indent=2))
    else:
        _print(args.file, pair.ours)
        _print(args.peer, pair.theirs)
        _print_pair(pair)
    if not pair.valid:
        return EXIT_INVALID
    warnings = (*pair.ours.warnings, *pair.theirs.warnings, *pair.together)
    return EXIT_NO if args.strict and warnings else EXIT_YES


def _print_pair(pair: PairLoaded) -> None:
    if pair.together:
        print(pair.render(), file=sys.stderr)
    if pair.ours.config is None or pair.theirs.config is None:
        return  # what they make together is not known
    if pair.ours.digest == pair.theirs.digest:
        print("together: both files say the same")
    elif pair.valid:
        print("together: the directors would understand each other, although the files differ")
    else:
        print("together: refused; the two would not be one pair", file=sys.stderr)


def _as_json(file: str, loaded: Loaded) -> dict[str, object]:
    return {
        "file": file,
        "valid": loaded.config is not None,
        "digest": loaded.digest or None,
        "diagnostics": [diagnostic.to_json() for diagnostic in loaded.diagnostics],
    }


def _print(file: str, loaded: Loaded) -> None:
    if loaded.diagnostics:
        print(loaded.render(), file=sys.stderr)
    errors, warnings = len(loaded.errors), len(loaded.warnings)
    counted = [_count(errors, "error")] if errors else []
    counted += [_count(warnings, "warning")] if warnings else []
    if loaded.config is None:
        print(f"{file}: not valid: {', '.join(counted)}", file=sys.stderr)
        return
    remark = f" ({', '.join(counted)})" if counted else ""
    print(f"{file}: valid: {summarize(loaded.config)}{remark}")


def summarize(config: Config) -> str:
    """`2 nodes, 2 virtual routers, 1 service, 2 servers`."""
    servers = sum(len(service.servers) for service in config.services)
    counts = (
        (len(config.nodes), "node"),
        (len(config.virtual_routers), "virtual router"),
        (len(config.services), "service"),
        (servers, "server"),
    )
    return ", ".join(_count(number, noun) for number, noun in counts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
