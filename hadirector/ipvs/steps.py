"""The six things that can be done to the kernel's table, each as a value.

A step carries what it will write and what was there before, so that one value serves the wire, the
twin, the plan shown to a person, and the journal. Its ``str()`` is a sentence in the imperative:
what somebody doing this by hand would be told to do.

Never: a step that knows how to perform itself.
"""

from dataclasses import dataclass
from typing import TypeAlias

from hadirector.ipvs.model import Destination, Entry, Service, ServiceKey


@dataclass(frozen=True, slots=True)
class AddService:
    """Make a virtual service, empty at first."""

    service: Service

    @property
    def key(self) -> ServiceKey:
        """The service this step is about."""
        return self.service.key

    def __str__(self) -> str:
        return f"add service {self.service}"


@dataclass(frozen=True, slots=True)
class SetService:
    """Give a virtual service other properties; its real servers and connections stay."""

    service: Service
    before: Service

    @property
    def key(self) -> ServiceKey:
        """The service this step is about."""
        return self.service.key

    def __str__(self) -> str:
        changes = _changes(self.before, self.service, ("scheduler", "persistence", "flags"))
        return f"change service {self.key}: {changes}"


@dataclass(frozen=True, slots=True)
class DeleteService:
    """Remove a virtual service; the kernel removes its real servers with it."""

    before: Entry

    @property
    def key(self) -> ServiceKey:
        """The service this step is about."""
        return self.before.service.key

    def __str__(self) -> str:
        count = len(self.before.destinations)
        servers = "1 server" if count == 1 else f"{count} servers"
        return f"remove service {self.key} with its {servers}"


@dataclass(frozen=True, slots=True)
class AddDestination:
    """Give a service one more real server."""

    key: ServiceKey
    destination: Destination

    def __str__(self) -> str:
        return f"add server {self.destination} to {self.key}"


@dataclass(frozen=True, slots=True)
class SetDestination:
    """Change a real server's weight or other properties; its connections stay."""

    key: ServiceKey
    destination: Destination
    before: Destination

    def __str__(self) -> str:
        fields = ("weight", "forward", "tunnel", "upper", "lower")
        changes = _changes(self.before, self.destination, fields)
        return f"change server {self.destination.key} of {self.key}: {changes}"


@dataclass(frozen=True, slots=True)
class DeleteDestination:
    """Take a real server out of a service; its connections end there."""

    key: ServiceKey
    before: Destination

    def __str__(self) -> str:
        return f"remove server {self.before.key} from {self.key}"


Step: TypeAlias = (
    AddService | SetService | DeleteService | AddDestination | SetDestination | DeleteDestination
)


def _changes(before: object, after: object, names: tuple[str, ...]) -> str:
    """The fields that differ, as "weight 1 to 3, forward nat to dr"."""
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in names)
    return ", ".join(
        f"{name} {_text(old)} to {_text(new)}" for name, old, new in pairs if old != new
    )


def _text(value: object) -> str:
    return "none" if value is None else str(value)
