# ruff: noqa: N818 -- the names say what happened: LabUnavailable, not LabUnavailableError
"""What can go wrong in the lab, named so that a command can say what to do about it.

LabError
 +-- LabUnavailable     this host lacks something; `remedy` is the one command that helps
 +-- CommandFailed      a command that builds the world failed
 +-- KernelStopped      the embedded kernel ended without handing over an exit status
 +-- LabTimeout         the work did not end in time and was killed
"""

from __future__ import annotations


class LabError(Exception):
    """Something in the lab failed; the message is a sentence for a person."""


class LabUnavailable(LabError):
    """The lab cannot run on this host. `remedy` says what to do about it."""

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(f"{message}; {remedy}")
        self.message = message
        self.remedy = remedy


class CommandFailed(LabError):
    """A command that builds or changes the world failed."""


class KernelStopped(LabError):
    """The embedded kernel ended (crash, panic, killed) before the work had an exit status."""


class LabTimeout(LabError):
    """The work in the lab did not end within its bound and was killed."""
