"""The rule across services on firewall marks of probes: each leads to one server alone."""

from __future__ import annotations

from hadirector.config.diagnostics import Rule
from hadirector.config.model import Service
from hadirector.config.nodes import Findings
from hadirector.config.probe_marks import probe_mark
from hadirector.config.sections import FileDraft
from hadirector.ipvs.model import DestinationKey, FirewallMark


def check_probe_marks(top: FileDraft, findings: Findings) -> None:
    """Report a mark that would lead to two servers, or is a service's."""
    probed = [
        (service.draft.get("name", str) or "", key, server.draft)
        for service in top.services
        for server in service.checked
        if any(one.options.through_vip for one in server.checks.whole)
        and (key := server.draft.get("address", DestinationKey)) is not None
    ]
    if not probed:
        return
    taken: dict[int, str] = {}
    for other in top.others:
        taken |= _marks_of(other)
    for service in top.services:
        for listen in service.listens:
            if isinstance(listen.key, FirewallMark):
                taken[listen.key.mark] = str(listen.key)
    for name, key, draft in probed:
        what, mark = f"{name}/{key}", probe_mark(name, str(key))
        if taken.setdefault(mark, what) != what:
            findings.error(
                Rule.DUPLICATE_LISTEN,
                draft.at("address"),
                path=draft.path_of("address"),
                message=f"probes through the virtual address would have mark {mark}, which is "
                f"that of {taken[mark]} already",
                hint="give the service another name, or that one another mark",
            )


def _marks_of(service: Service) -> dict[int, str]:
    marks = {key.mark: str(key) for key in service.listens if isinstance(key, FirewallMark)}
    return marks | {
        server.probe_mark: f"{service.name}/{server}"
        for server in service.checked
        if server.probe_mark
    }
