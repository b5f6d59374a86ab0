"""What an operator has done when a virtual router changes its state: a command, or a webhook.

This module only holds what is written in the configuration, and what a program is told. `chores`
runs it, through `hook_queue`. The director process has hooks of its own, built on `Action`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Final
from urllib.parse import urlsplit

from annotated_types import Ge, Le, MinLen, Unit, doc

from vrrp.events import State

Seconds = Annotated[float, Unit("s")]
_TEXT: Final = ("router", "interface", "group", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What is done when something happens: a command, or a webhook."""

    command: Annotated[
        tuple[str, ...] | None,
        MinLen(1),
        doc(
            "A program with its arguments, by its whole path. The event is its standard input, as"
            " JSON, and its environment."
        ),
    ] = None
    webhook: Annotated[
        str | None, doc("An http or https URL, to which the event is posted as JSON.")
    ] = None
    user: Annotated[
        str | None, MinLen(1), doc("Who runs it. Without it `nobody`; root if you must.")
    ] = None
    timeout: Annotated[
        Seconds,
        Ge(0.1),
        Le(300),
        doc(
            "What runs longer is killed with all it started. When the daemon ends, all hooks"
            " together have 15 s."
        ),
    ] = 10.0
    retries: Annotated[
        int,
        Ge(0),
        Le(10),
        doc("How often it is tried again after a failure, unless the next change waits already."),
    ] = 2

    def __post_init__(self) -> None:
        if (self.command is None) == (self.webhook is None):
            raise ValueError("a hook has either a command or a webhook")
        if self.command is not None and not self.command[0].startswith("/"):
            raise ValueError(f'command: "{self.command[0]}" is not a whole path, from the root')
        if self.webhook is not None:
            parts = urlsplit(self.webhook)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f'webhook: "{self.webhook}" is no http or https URL')

    @property
    def name(self) -> str:
        """How people call it."""
        return self.command[0] if self.command else str(self.webhook)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook(Action):
    """What is done when a virtual router changes its state: a command, or a webhook."""

    states: Annotated[
        tuple[State, ...], doc("Only on becoming one of these; without it, on every change.")
    ] = ()

    def wants(self, state: State) -> bool:
        """Tell whether it is to be run on a change to `state`."""
        return not self.states or state in self.states


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of state as a hook is told of it."""

    router: str
    vrid: int
    interface: str
    group: str | None
    old: State
    new: State
    reason: str
    priority: int
    addresses: tuple[str, ...]
    at: float
    """Unix time."""
    replayed: bool = False
    """Nothing has changed just now: this is how things are, for a program that starts."""

    def __str__(self) -> str:
        """Return the state it became."""
        return str(self.new)

    def to_json(self) -> bytes:
        """Return the event as programs get it."""
        body = {field.name: getattr(self, field.name) for field in fields(self)}
        return json.dumps(body).encode()

    def variables(self) -> Mapping[str, str]:
        """Return the event as environment variables."""
        plain = {f"VRRP_{name.upper()}": str(getattr(self, name) or "") for name in _TEXT}
        return {
            **plain,
            "VRRP_VRID": str(self.vrid),
            "VRRP_OLD_STATE": str(self.old),
            "VRRP_STATE": str(self.new),
            "VRRP_PRIORITY": str(self.priority),
            "VRRP_ADDRESSES": " ".join(self.addresses),
            "VRRP_REPLAYED": "1" if self.replayed else "0",
        }
