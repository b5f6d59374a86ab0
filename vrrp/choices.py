"""The words an operator may choose from for a virtual router; the values stand in files.

This module only holds them; what they mean is decided where they are used.
"""

from __future__ import annotations

from enum import StrEnum


class ChecksumChoice(StrEnum):
    """Which form of the version 3 checksum to send; both are always accepted."""

    FOLLOW = "follow"
    PSEUDO_HEADER = "pseudo-header"
    PLAIN = "plain"


class Scope(StrEnum):
    """How far an address is valid (ip-address(8)); the kernel chooses senders by it."""

    GLOBAL = "global"
    SITE = "site"
    LINK = "link"
    HOST = "host"


class OnLoss(StrEnum):
    """What is done when another program deletes a virtual address."""

    RESTORE = "restore"
    YIELD = "yield"
