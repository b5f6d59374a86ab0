"""Questions from the lab process to a forked one: a line of JSON each way over a socket pair.

The approach: the process that asks waits, with a bound; the one that answers reads when it likes.
One question at a time. It must never leave the asking side waiting for a process that has died.
"""

from __future__ import annotations

import json
import socket
from typing import Final

from hadirector.lab.errors import LabError

REPLY_BOUND_S: Final = 10.0


class Dialogue:
    """The asking side; `theirs` goes to the forked process."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._ours, self.theirs = socket.socketpair()
        self._unread = b""

    def forked(self) -> None:
        """Call it after the fork: with the other end closed here, its death is noticed."""
        self.theirs.close()

    def ask(self, question: dict[str, object], bound_s: float = REPLY_BOUND_S) -> object:
        """Ask, and return the answer. Raises LabError when there is none within the bound."""
        self._ours.settimeout(bound_s)
        try:
            self._ours.sendall(json.dumps(question).encode() + b"\n")
            while b"\n" not in self._unread:
                if not (data := self._ours.recv(1 << 20)):
                    raise LabError(f"{self._who}'s process is gone")
                self._unread += data
        except OSError as error:
            raise LabError(f"{self._who}'s process does not answer: {error}") from error
        line, _, self._unread = self._unread.partition(b"\n")
        answer: object = json.loads(line)
        return answer

    def close(self) -> None:
        """Close both ends. May be called again."""
        self._ours.close()
        self.theirs.close()
