"""From the tree of a file to drafts of its virtual routers.

A part of the walk in `sections`: the keys that hold for all directors, and over them those that one
director has of its own, each with the place where it is written. Which virtual routers go together
is `pair_rules`' to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field

from hadirector.config import shape
from hadirector.config.checks import construct
from hadirector.config.diagnostics import Rule, choices
from hadirector.config.draft import Draft, check_field, check_fields, check_keys, fields_of
from hadirector.config.explain import found
from hadirector.config.nodes import Findings, Mapping, Node, is_broken
from hadirector.config.own_shape import MUST_AGREE, RouterOfNodeShape
from vrrp.config import RouterSettings, VirtualRouter

_NODES = frozenset({"nodes"})


@dataclass(slots=True)
class OwnDraft:
    """A virtual router as one director runs it; `made` is None where something in it is wrong.

    The draft has the shared keys as well, each with the place where it is written.
    """

    draft: Draft
    made: RouterSettings | None


@dataclass(slots=True)
class RouterDraft:
    """A virtual router; `made` is None where something in it is wrong.

    `own` has the directors that run it otherwise than the file says for all.
    """

    draft: Draft
    made: VirtualRouter | None
    own: dict[str, OwnDraft] = field(default_factory=dict)

    def on(self, node: str) -> Draft:
        """The virtual router as a director runs it."""
        own = self.own.get(node)
        return self.draft if own is None else own.draft


def walk_router(
    node: Node, path: str, nodes: AbstractMapping[str, Draft], findings: Findings
) -> RouterDraft:
    """Validate one virtual router; `nodes` are the directors that the file names."""
    draft = Draft(node, path)
    if not check_fields(draft, shape.VirtualRouterShape, findings, sections=_NODES):
        return RouterDraft(draft, None)
    router = RouterDraft(draft, construct(draft, VirtualRouter, findings))
    written = node.entries.get("nodes") if isinstance(node, Mapping) else None
    if isinstance(written, Mapping):
        router.own = dict(_own(draft, written, nodes, findings))
    elif written is not None and not is_broken(written):
        message = f"expected directors by name, found {found(written)}"
        hint = "write lb1: {priority: 254}"
        findings.error(Rule.WRONG_TYPE, written, path=f"{path}.nodes", message=message, hint=hint)
    return router


def _own(
    router: Draft, written: Mapping, nodes: AbstractMapping[str, Draft], findings: Findings
) -> Iterator[tuple[str, OwnDraft]]:
    """What directors have of their own, laid over what holds for all."""
    assert isinstance(router.node, Mapping)
    for name, item in written.entries.items():
        path = f"{router.path}.nodes.{name}"
        if name not in nodes:
            message, hint = f'no director is called "{name}"', choices(name, nodes)
            place = written.keys[name]
            findings.error(Rule.UNKNOWN_NODE, place, path=path, message=message, hint=hint)
            continue
        if not isinstance(item, Mapping):
            check_fields(Draft(item, path), RouterOfNodeShape, findings)
            continue
        _check_own_keys(router, name, item, path, findings)
        known = fields_of(RouterOfNodeShape)
        merged = Mapping(item.place, dict(router.node.entries), dict(router.node.keys))
        own = {key: value for key, value in item.entries.items() if key in known}
        merged.entries |= own
        merged.keys |= {key: item.keys[key] for key in own}
        draft = Draft(merged, router.path, dict(router.values), {k: f"{path}.{k}" for k in own})
        draft.values |= {"priority": nodes[name].values.get("priority"), "source": None}
        for field_name, value in own.items():
            draft.values.pop(field_name, None)
            check_field(draft, field_name, value, known[field_name], findings)
        complete = "priority" in draft.values and router.values.keys() <= draft.values.keys()
        made = construct(draft, RouterSettings, findings) if complete else None
        yield name, OwnDraft(draft, made)


def _check_own_keys(router: Draft, node: str, item: Mapping, path: str, findings: Findings) -> None:
    """Report keys that no director may have of its own."""
    check_keys(item, path, {**fields_of(RouterOfNodeShape), **MUST_AGREE}, findings)
    for key, why in MUST_AGREE.items():
        if key not in item.entries:
            continue
        place = router.at(key).place.seen_from(item.entries[key].place)
        findings.error(
            Rule.TWO_ACTIVES,
            item.entries[key],
            path=f"{path}.{key}",
            message=f'{node} cannot have "{key}" of its own: {why}',
            hint=f"write it for all directors, in {place}",
        )
