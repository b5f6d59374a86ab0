"""What becomes of a server whose checks do not hold it for up: out of the table, or weight 0. Pure.

The problem: taking a server out of the table ends the connections it has, although the checks may
see less than the clients do (a probe that is wrong, a path that was cut for seconds). The approach:
the service, or the server, says which. With ``weight-0`` it stays, and only new connections go
elsewhere; what it has goes on if it can, and persistence may still lead clients to it.

Must never say what a weight is: that is ``pool``'s part.
"""

from __future__ import annotations

from enum import StrEnum


class OnFail(StrEnum):
    """What to do with a server that is not up (down, or not checked yet)."""

    REMOVE = "remove"
    WEIGHT_0 = "weight-0"
