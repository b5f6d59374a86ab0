"""`hadirector schema`: the JSON Schema of the configuration file, for editors."""

from __future__ import annotations

import argparse

from hadirector.cli.errors import EXIT_YES

SUMMARY = "print the JSON Schema of the configuration file, for editors"

_DESCRIPTION = """\
Print the JSON Schema of the configuration file (2020-12). Editors use it to complete keys, to show
their meaning and to mark mistakes while you type. `hadirector check` finds more: it also knows what
does not go together."""

_EPILOG = """\
examples:
  hadirector schema > hadirector.schema.json
  # then, as the first line of the configuration, for editors with the YAML language server:
  # yaml-language-server: $schema=hadirector.schema.json"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb: none."""
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG


def execute(args: argparse.Namespace) -> int:
    """Print the schema; returns the exit code."""
    from hadirector.config.schema import schema_text

    print(schema_text(), end="")
    return EXIT_YES
