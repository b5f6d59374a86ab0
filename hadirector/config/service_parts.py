"""Sections within a service that have a short form: a figure or a text in place of a mapping.

A part of the walk in `sections`: each is validated by itself into a draft, and left out where it is
not written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from hadirector.config.addresses import AddressError, check_listens
from hadirector.config.balancing import PersistenceShape, TunnelShape
from hadirector.config.diagnostics import Rule
from hadirector.config.draft import Draft, check_field, check_fields, fields_of
from hadirector.config.nodes import Findings, Mapping, Node, Sequence
from hadirector.config.pool_shape import (
    DynamicWeightShape,
    FallbackShape,
    QuorumShape,
    SlowStartShape,
)
from hadirector.config.shape import ServiceShape
from hadirector.ipvs.model import ServiceKey

POOL_SECTIONS = frozenset({"quorum", "fallback", "dynamic_weight", "slow_start"})
_CHECK = frozenset({"check"})


@dataclass(frozen=True, slots=True)
class Listen:
    """One thing that a service listens on, and where that is written."""

    key: ServiceKey
    node: Node
    path: str


def listens(service: Mapping, path: str, findings: Findings) -> list[Listen]:
    """What a service listens on: a text or a list of texts, each with its ranges resolved."""
    node = service.entries.get("listen")
    if node is None:
        return []
    place = f"{path}.listen"
    parts = [(node, place)]
    if isinstance(node, Sequence):
        parts = [(item, f"{place}[{index}]") for index, item in enumerate(node.items)]
    found: list[Listen] = []
    for item, where in parts:
        draft = Draft(item, where)
        text = fields_of(ServiceShape)["listen"]
        check_field(draft, "listen", item, text, findings)
        keys = draft.get("listen", tuple)
        if keys is None:
            return []
        found += (Listen(key, item, where) for key in keys)
    try:
        check_listens(len(found))
    except AddressError as error:
        findings.error(error.rule, node, path=place, message=str(error), hint=error.hint)
        return []
    if not found:
        message = "nothing is listed to listen on"
        findings.error(Rule.MISSING_KEY, node, path=place, message=message)
    return found


def persistence(service: Mapping, path: str, findings: Findings) -> Draft | None:
    """How clients come back; the short form is the time alone."""
    return _short(service, f"{path}.persistence", PersistenceShape, findings)


def quorum(service: Mapping, path: str, findings: Findings) -> Draft | None:
    """What must be up; the short form is a number of servers."""
    return _short(service, f"{path}.quorum", QuorumShape, findings)


def slow_start(service: Mapping, path: str, findings: Findings) -> Draft | None:
    """How a server that comes back grows; the short form is the time alone."""
    return _short(service, f"{path}.slow_start", SlowStartShape, findings)


def tunnel(parent: Mapping, path: str, findings: Findings) -> Draft | None:
    """How packets are wrapped, of a service or a server."""
    node = parent.entries.get("tunnel")
    if node is None:
        return None
    draft = Draft(node, f"{path}.tunnel")
    check_fields(draft, TunnelShape, findings)
    return draft


def dynamic_weight(service: Mapping, path: str, findings: Findings) -> Draft | None:
    """How weights follow what servers ask for."""
    node = service.entries.get("dynamic_weight")
    if node is None:
        return None
    draft = Draft(node, f"{path}.dynamic_weight")
    check_fields(draft, DynamicWeightShape, findings)
    return draft


def fallbacks(service: Mapping, path: str) -> Iterator[tuple[Node, str]]:
    """Each fallback server: one, or those of a list."""
    node = service.entries.get("fallback")
    if isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield item, f"{path}.fallback[{index}]"
    elif node is not None:
        yield node, f"{path}.fallback"


def fallback(node: Node, path: str, findings: Findings) -> Draft:
    """One fallback server; the short form is its address."""
    draft = Draft(node, path)
    if isinstance(node, Mapping):
        check_fields(draft, FallbackShape, findings, sections=_CHECK)
    else:
        check_field(draft, "address", node, fields_of(FallbackShape)["address"], findings)
    return draft


def _short(service: Mapping, path: str, shape: type[BaseModel], findings: Findings) -> Draft | None:
    """A section whose first key may stand alone."""
    node = service.entries.get(path.rpartition(".")[2])
    if node is None:
        return None
    draft, first = Draft(node, path), next(iter(fields_of(shape)))
    if isinstance(node, Mapping):
        check_fields(draft, shape, findings)
    else:
        check_field(draft, first, node, fields_of(shape)[first], findings)
    return draft
