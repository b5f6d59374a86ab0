"""What every kind of check can be told.

The options of a kind are a frozen dataclass derived from `CheckOptions`: it names the kind, bounds
each option, and makes the probe. What every kind can be told stands here once, so that it is
written, refused and shown alike everywhere.

Must never do I/O of its own, nor know of any single kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Le, MaxLen, MinLen, doc

from checkers.base import OptionError, Probe

if TYPE_CHECKING:
    from checkers.quick import Place, Quick

Port = Annotated[int, Ge(1), Le(65535)]


def no_way(reason: str) -> Mapping[str, str]:
    """For `lacks` of a kind that opens no connection by itself, with the reason."""
    return dict.fromkeys(("source", "interface", "mark", "through_vip"), reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What every kind of check can be told; each kind derives its own options from this."""

    kind: ClassVar[str] = ""
    lacks: ClassVar[Mapping[str, str]] = {}
    """Those of the options below that mean nothing for this kind and must not be written, and why.
    """
    secrets: ClassVar[tuple[str, ...]] = ()
    """Options of the kind that are shown nowhere; of each, `NAME_file` may name a file."""
    names_service: ClassVar[bool] = False
    """Whether the probe tells on what its target serves: then it differs from service to service.
    """

    port: Annotated[Port | None, doc("Probe this port instead of the one that serves clients.")] = (
        None
    )
    address: Annotated[
        IPv4Address | IPv6Address | None,
        doc("Probe this address instead of the server's, as where its checks are answered apart."),
    ] = None
    source: Annotated[
        IPv4Address | IPv6Address | None,
        doc("Probe from this address, which must be one of the director's own."),
    ] = None
    interface: Annotated[
        Annotated[str, MinLen(1), MaxLen(15)] | None,
        doc("Probe through this interface or VRF, whatever the routing table says."),
    ] = None
    mark: Annotated[
        Annotated[int, Ge(1), Le(2**32 - 1)] | None,
        doc("Firewall mark of the probe's packets, for policy routing and firewall rules."),
    ] = None
    through_vip: Annotated[
        bool,
        doc(
            "Probe the service's own address on the server, by the way that clients' packets take: "
            "whether it really answers for that. With `forward: dr` or `tun` only."
        ),
    ] = False
    inverted: Annotated[
        bool,
        doc("Whether the check is passed by failing: for what must not answer, such as a page."),
    ] = False

    def make_probe(self) -> Probe:
        """A probe that works by these options; `Check.make_probe` has it inverted where asked."""
        raise NotImplementedError

    def make_quick(self, place: Place) -> Quick | None:
        """The same as a probe that needs no task; None if the kind has none by these options."""
        return None

    @property
    def secret_options(self) -> tuple[str, ...]:
        """The names of what is secret, and of the files it may come from."""
        files = (f"{name}_file" for name in self.secrets)
        return (*self.secrets, *(name for name in files if hasattr(self, name)))

    def problems_here(self) -> Iterator[OptionError]:
        """What is wrong on this host with files that the options name; reads them, changes nothing.

        To be asked when a configuration is read. A probe finds the same later, as a ProbeError.
        """
        return iter(())

    def describe(self) -> str:
        """What is asked of the server, in a few words, such as `http GET /healthz`."""
        return self.kind
