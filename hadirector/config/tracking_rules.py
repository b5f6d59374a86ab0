"""Rules for what priorities depend on, and for the programs that are run.

The problem: a tracker is written for the day something fails, and only that day shows that its
weight is too small to matter, that the service it names does not exist, or that its script cannot
be run. The approach: the same arithmetic as the VRRP worker's (`vrrp.priority`), and a look at the
programs as far as they are on this host. They never change a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from checkers.trusted_file import refusal
from hadirector.config.diagnostics import Rule, choices
from hadirector.config.nodes import Findings, Mapping, Node, Sequence
from hadirector.config.pair_rules import priority_of
from hadirector.config.router_draft import RouterDraft
from hadirector.config.sections import FileDraft
from vrrp.hooks import Hook
from vrrp.priority import why_without_effect
from vrrp.tracked import Tracker

T = TypeVar("T")


def check_tracking(top: FileDraft, findings: Findings) -> None:
    """Apply the rules to every virtual router."""
    for router in top.routers:
        for tracker, node, path in _trackers(router):
            _unknown_service(top, tracker, node, path, findings)
            _weight_without_effect(top, router, tracker, node, path, findings)
            if tracker.script is not None:
                at, program = at_key(node, "script"), tracker.script[0]
                check_program(program, tracker.user, at, f"{path}.script", findings)
        for hook, node, path in _items(router, "hooks", Hook):
            if hook.command is not None:
                at, program = at_key(node, "command"), hook.command[0]
                check_program(program, hook.user, at, f"{path}.command", findings)


def _trackers(router: RouterDraft) -> Iterator[tuple[Tracker, Node, str]]:
    return _items(router, "track", Tracker)


def _items(router: RouterDraft, name: str, kind: type[T]) -> Iterator[tuple[T, Node, str]]:
    """The items of a list of sections with their nodes and paths, as far as they hold.

    What directors have of their own comes after what holds for all.
    """
    own = (one.draft for one in router.own.values() if name in one.draft.paths)
    for draft in (router.draft, *own):
        listed, path = draft.at(name), draft.path_of(name)
        for index, item in enumerate(draft.get(name, tuple) or ()):
            node = listed.items[index] if isinstance(listed, Sequence) else listed
            if isinstance(item, kind):
                yield item, node, f"{path}[{index}]"


def at_key(node: Node, name: str) -> Node:
    """Where a key of a section is written, or the section."""
    return node.entries.get(name, node) if isinstance(node, Mapping) else node


def _unknown_service(
    top: FileDraft, tracker: Tracker, node: Node, path: str, findings: Findings
) -> None:
    if tracker.service is None:
        return
    names = [service.draft.get("name", str) for service in top.services]
    names += [service.name for service in top.others]
    if None in names or tracker.service in names:
        return  # a name that was reported may be the one
    findings.error(
        Rule.UNKNOWN_SERVICE,
        at_key(node, "service"),
        path=f"{path}.service",
        message=f'no service is called "{tracker.service}"',
        hint=choices(tracker.service, [name for name in names if name]) if names else "",
    )


def _weight_without_effect(
    top: FileDraft,
    router: RouterDraft,
    tracker: Tracker,
    node: Node,
    path: str,
    findings: Findings,
) -> None:
    if tracker.weight is None:
        return
    why = _why(top, router, tracker)
    if why is not None:
        findings.warning(
            Rule.WEIGHT_WITHOUT_EFFECT,
            at_key(node, "weight"),
            path=f"{path}.weight",
            message=f"this weight never moves the addresses: {why}",
            hint="leave the weight out to take no part while it fails, or change the numbers",
        )


def _why(top: FileDraft, router: RouterDraft, tracker: Tracker) -> str | None:
    if top.nodes and all(router.on(name).get("preempt", bool) is False for name in top.nodes):
        return "preempt is false, so no director takes over from a working one"
    bases = [(name, priority_of(top, router, name)[1]) for name in top.nodes]
    known = [(name, base) for name, base in bases if base is not None]
    if len(known) != len(bases):
        return None
    group = router.draft.get("group", str)
    members = [one for one in top.routers if group and one.draft.get("group", str) == group]
    counted = [found for one in members or [router] for found, _, _ in _trackers(one)]
    return why_without_effect(tracker, list(dict.fromkeys(counted)), known)


def check_program(
    program: str, user: str | None, node: Node, path: str, findings: Findings
) -> None:
    """A program that cannot be run, or that others could replace, is an error where it is seen."""
    if not program.startswith("/"):
        return  # reported
    try:
        Path(program).stat()
    except OSError as error:
        message = f"{program} is not on this host: {error.strerror}"
        findings.warning(Rule.MISSING_PROGRAM, node, path=path, message=message)
        return
    from checkers.program import account  # and with it asyncio: only where a program is named

    user_id, found = account(user)
    if user is not None and found is None:
        message = f'{program} is to run as "{user}", and there is no such user on this host'
        findings.warning(Rule.MISSING_PROGRAM, node, path=path, message=message)
    problem = refusal(program, user_id)
    if problem is not None:
        findings.error(Rule.UNSAFE_PROGRAM, node, path=path, message=problem, text=program)
