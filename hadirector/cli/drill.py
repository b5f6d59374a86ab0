"""`hadirector drill`: failovers of the running pair, and what they cost its clients."""

from __future__ import annotations

import argparse

from hadirector.cli import drill_history, drill_list, drill_probe, drill_run

SUMMARY = "drill failovers of the running pair, with the outage measured"

_EPILOG = """\
  hadirector drill list                           on a director
  hadirector drill run switchover --via "ssh client"
  hadirector drill history
  hadirector drill probe tcp://192.0.2.100:80     on a client; then, on a director:
  hadirector switchover

"hadirector drill WORD --help" explains each."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb and its words."""
    parser.epilog = _EPILOG
    words = parser.add_subparsers(metavar="WORD", dest="word", title="words", required=True)
    for name, module in (
        ("list", drill_list),
        ("run", drill_run),
        ("history", drill_history),
        ("probe", drill_probe),
    ):
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
