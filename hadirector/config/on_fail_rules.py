"""Rules for `on_fail: weight-0`: where a server that is down would keep its clients.

As in `rules`: a value that is absent or already reported passes over in silence. Kernel behaviour
is that of net/netfilter/ipvs: ip_vs_core.c (ip_vs_check_template) and the schedulers by hash.
"""

from __future__ import annotations

from hadirector.config.diagnostics import Rule
from hadirector.config.draft import Draft
from hadirector.config.nodes import Findings
from hadirector.config.sections import FileDraft, ServiceDraft
from hadirector.config.service_rules import HASH_FALLBACKS, hash_without_fallback
from hadirector.on_fail import OnFail
from hadirector.timed_drain import QUIESCENT


def check_on_fail(top: FileDraft, findings: Findings) -> None:
    """Warn where clients stay bound to a server that is down."""
    quiescent = top.ipvs is not None and bool(top.ipvs.values.get(QUIESCENT))
    for service in top.services:
        place = _first_that_stays(service)
        if place is None:
            continue
        for message, hint in _bound(service, quiescent=quiescent):
            findings.warning(
                Rule.ON_FAIL_WEIGHT_0,
                place.at("on_fail"),
                path=place.path_of("on_fail"),
                message=message,
                hint=hint,
            )


def _first_that_stays(service: ServiceDraft) -> Draft | None:
    """Where it is written: at the service, else at its first server that has it."""
    drafts = [service.draft, *(server.draft for server in service.servers)]
    return next((one for one in drafts if one.get("on_fail", OnFail) is OnFail.WEIGHT_0), None)


def _bound(service: ServiceDraft, *, quiescent: bool) -> list[tuple[str, str]]:
    found = []
    if service.persistence is not None and not quiescent:
        found.append(
            (
                "persistence leads known clients to a server that is down but stays in the table",
                f"write ipvs: {{{QUIESCENT}: true}}, or on_fail: remove",
            )
        )
    scheduler = hash_without_fallback(service)
    if scheduler is not None:
        flag = HASH_FALLBACKS[scheduler]
        instead = f"scheduler_flags: [{flag}], or on_fail: remove" if flag else "on_fail: remove"
        found.append(
            (
                f"scheduler {scheduler} turns away the clients of a server of weight 0",
                f"write {instead}",
            )
        )
    return found
