"""`hadirector ipvs`: the kernel's own table, whoever made it; each word has a file of its own."""

from __future__ import annotations

import argparse

from hadirector.cli import ipvs_list, ipvs_rules, ipvs_settings, ipvs_where, ipvs_zero

SUMMARY = "the kernel's IPVS table: list it, save and restore it in ipvsadm's format"

_EPILOG = """\
  hadirector ipvs list                              services and servers
  hadirector ipvs list --connections --client 192.0.2.0/24
  hadirector ipvs where 203.0.113.7 tcp://192.0.2.100:80
  hadirector ipvs save > table.rules                as `ipvsadm-save -n` does, thresholds included
  hadirector ipvs restore table.rules               all of it or nothing

"hadirector ipvs WORD --help" explains each."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb and its words."""
    parser.epilog = _EPILOG
    words = parser.add_subparsers(metavar="WORD", dest="word", title="words", required=True)
    for name, summary, setup, run in (
        ("list", ipvs_list.SUMMARY, ipvs_list.configure, ipvs_list.execute),
        ("where", ipvs_where.SUMMARY, ipvs_where.configure, ipvs_where.execute),
        ("settings", ipvs_settings.SUMMARY, ipvs_settings.configure, ipvs_settings.execute),
        ("zero", ipvs_zero.SUMMARY, ipvs_zero.configure, ipvs_zero.execute),
        ("save", ipvs_rules.SAVE_SUMMARY, ipvs_rules.configure_save, ipvs_rules.save),
        ("restore", ipvs_rules.RESTORE_SUMMARY, ipvs_rules.configure_restore, ipvs_rules.restore),
    ):
        word = words.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        setup(word)
        word.set_defaults(run=run)


def execute(args: argparse.Namespace) -> int:
    """Do what the word says."""
    return int(args.run(args))
