"""Loads a configuration for a command, or ends the command with everything wrong with it."""

from __future__ import annotations

import gc
import sys

from hadirector.cli.errors import EXIT_INVALID, CliError
from hadirector.config.loader import load
from hadirector.config.model import Config


def load_or_fail(file: str) -> Config:
    """Return the configuration; print its findings; raise CliError (code 2) if any is an error."""
    loaded = load(file)
    gc.freeze()  # it lives as long as the command: no search for garbage need walk through it
    if loaded.diagnostics:
        print(loaded.render(), file=sys.stderr)
    if loaded.config is None:
        raise CliError(f"{file} cannot be used", "correct it and try again", EXIT_INVALID)
    return loaded.config
