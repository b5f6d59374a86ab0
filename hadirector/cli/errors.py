"""How a command says that it cannot: one line, what is wrong and what to do about it.

The exit codes are the interface of every command (they also stand in `hadirector --help`):
"""

from __future__ import annotations

EXIT_YES = 0
"""Done, valid, no differences, every verdict passed."""

EXIT_NO = 1
"""The answer is no: a failed verdict, differences found, warnings with --strict."""

EXIT_INVALID = 2
"""Wrong usage or an invalid configuration; nothing was touched."""

EXIT_CANNOT = 3
"""Cannot: no IPVS, no privilege, no daemon; the message says what to do about it."""


class CliError(Exception):
    """Ends a command. Printed as `hadirector: MESSAGE; REMEDY` on standard error, never more."""

    def __init__(self, message: str, remedy: str = "", code: int = EXIT_CANNOT) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.code = code

    def __str__(self) -> str:
        """Both parts in one line."""
        return f"{self.message}; {self.remedy}" if self.remedy else self.message
