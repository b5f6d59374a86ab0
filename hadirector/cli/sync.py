"""`hadirector sync`: what the kernels of the pair tell each other of connections."""

from __future__ import annotations

import argparse

from hadirector.cli import sync_status, sync_watch

SUMMARY = "connection sync: watch the traffic, and see what the pair knows of each other"

_EPILOG = """\
  hadirector sync watch                       who sends what, live, until Ctrl-C
  hadirector sync watch eth1 --seconds 10     without a sync daemon here
  hadirector sync status                      how much of what was told this kernel holds

"hadirector sync WORD --help" explains each."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb and its words."""
    parser.epilog = _EPILOG
    words = parser.add_subparsers(metavar="WORD", dest="word", title="words", required=True)
    for name, module in (("watch", sync_watch), ("status", sync_status)):
        summary = module.SUMMARY
        word = words.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.configure(word)
        word.set_defaults(run=module.execute)


def execute(args: argparse.Namespace) -> int:
    """Do what the word says."""
    return int(args.run(args))
