"""`hadirector drill`: what a failover of the running pair costs its clients."""

from __future__ import annotations

import argparse

from hadirector.cli import drill_probe

SUMMARY = "measure from a client's host what a failover of the running pair costs"

_EPILOG = """\
  hadirector drill probe tcp://192.0.2.100:80     on a client; then, on a director:
  hadirector switchover

"hadirector drill WORD --help" explains each."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb and its words."""
    parser.epilog = _EPILOG
    words = parser.add_subparsers(metavar="WORD", dest="word", title="words", required=True)
    for name, module in (("probe", drill_probe),):
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
