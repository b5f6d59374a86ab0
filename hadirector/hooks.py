"""What an operator has done when a server or a service changes: a command, or a webhook.

Only what is written in the file, and what a program is told. As the hooks of virtual routers, of
which it takes what is the same; `hook_program` runs them, `hook_caller` says when.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Annotated

from annotated_types import doc

from vrrp.hooks import Action


class Occasion(StrEnum):
    """What a hook can be told of."""

    SERVER_UP = "server-up"
    SERVER_DOWN = "server-down"
    QUORUM_MET = "quorum-met"
    QUORUM_LOST = "quorum-lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceHook(Action):
    """What is done when a server goes up or down, or a service has or loses its quorum. The hooks
    of one service run one after the other, in the order of what happened; in docs/hooks.md is what
    they are told."""

    events: Annotated[tuple[Occasion, ...], doc("Only of these; without it, of every one.")] = ()
    services: Annotated[
        tuple[str, ...], doc("Only of these services; without it, of every one.")
    ] = ()

    def wants(self, what: Happened) -> bool:
        """Whether it is to be run for this."""
        named = not self.services or what.service in self.services
        return named and (not self.events or what.event in self.events)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """What happened, as a hook is told of it."""

    event: Occasion
    node: str
    service: str
    server: str = ""  # of a server; empty for a quorum
    reason: str
    at: float  # unix time
    replayed: bool = False  # nothing has changed just now: this is how things are

    def __str__(self) -> str:
        """`server-down of web/198.51.100.21:8080`."""
        return f"{self.event} of {self.service}{self.server and '/' + self.server}"

    def to_json(self) -> bytes:
        """The event as programs get it."""
        return json.dumps({item.name: getattr(self, item.name) for item in fields(self)}).encode()

    def variables(self) -> Mapping[str, str]:
        """The event as environment variables."""
        words = {
            f"HADIRECTOR_{name.upper()}": str(getattr(self, name))
            for name in ("event", "node", "service", "server", "reason")
        }
        return {**words, "HADIRECTOR_REPLAYED": "1" if self.replayed else "0"}
