"""From single looks at a thing to a verdict that does not flap: so many in a row change it.

The first look decides alone, since before it nothing is known. Pure.
"""

from __future__ import annotations


class Streak:
    """Counts results that contradict the verdict in force."""

    def __init__(self, *, rise: int, fall: int) -> None:
        self._rise = rise
        self._fall = fall
        self._against = 0
        self.well: bool | None = None
        """The verdict; None before the first result."""

    def note(self, well: bool) -> bool:
        """Take in a result; tell whether the verdict changed."""
        if well == self.well:
            self._against = 0
            return False
        self._against += 1
        needed = 1 if self.well is None else self._rise if well else self._fall
        if self._against < needed:
            return False
        self.well, self._against = well, 0
        return True
