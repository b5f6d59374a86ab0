"""`hadirector drill list`: the drills, and what speaks against each of them now."""

from __future__ import annotations

import argparse
import json

from hadirector.cli.client import add_runtime_dir
from hadirector.cli.errors import EXIT_YES

SUMMARY = "the drills, and what speaks against each of them now"

_EPILOG = """\
Nothing is done. Run it on the director that shall be drilled.

exit codes: 0; 1 the file is not what the daemon runs; 3 there is no daemon"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the word."""
    parser.epilog = _EPILOG
    add_runtime_dir(parser)
    parser.add_argument("--json", action="store_true", help="print them as JSON")


def execute(args: argparse.Namespace) -> int:
    """Print them."""
    from hadirector.drill.catalogue import DRILLS
    from hadirector.drill.facts import gather
    from hadirector.drill.live import obstacles

    facts = gather(args.runtime_dir)
    found = [
        {
            "name": drill.name,
            "title": drill.title,
            "budget_ms": drill.budget_ms(facts),
            "missing": [each.sentence for each in obstacles(drill, facts)],
        }
        for drill in DRILLS.values()
    ]
    if args.json:
        print(json.dumps(found, indent=2))
        return EXIT_YES
    width = max(map(len, DRILLS))
    for drill, told in zip(DRILLS.values(), found, strict=True):
        print(f"{drill.name:<{width}}  {drill.title} (budget {told['budget_ms']:.0f} ms)")
        for each in obstacles(drill, facts):
            print(f"{'':<{width}}    not now: {each.sentence}")
    return EXIT_YES
