"""Rules for the hooks of services: their programs can be run, and their services exist.

As in `rules`: certain mistakes only, and a value that is absent or already reported passes over in
silence.
"""

from __future__ import annotations

from hadirector.config.diagnostics import Rule, choices
from hadirector.config.nodes import Findings, Sequence
from hadirector.config.sections import FileDraft
from hadirector.config.tracking_rules import at_key, check_program
from hadirector.hooks import ServiceHook


def check_hooks(top: FileDraft, findings: Findings) -> None:
    """Apply every rule to each hook."""
    listed = top.draft.at("hooks")
    names = [service.draft.get("name", str) for service in top.services]
    names += [service.name for service in top.others]
    for index, hook in enumerate(top.draft.get("hooks", tuple) or ()):
        if not isinstance(hook, ServiceHook):
            continue
        node = listed.items[index] if isinstance(listed, Sequence) else listed
        path = f"{top.draft.path_of('hooks')}[{index}]"
        if hook.command is not None:
            at, program = at_key(node, "command"), hook.command[0]
            check_program(program, hook.user, at, f"{path}.command", findings)
        if None in names:
            continue  # a name that was reported may be the one
        for name in hook.services:
            if name not in names:
                findings.error(
                    Rule.UNKNOWN_SERVICE,
                    at_key(node, "services"),
                    path=f"{path}.services",
                    message=f'no service is called "{name}"',
                    hint=choices(name, [one for one in names if one]) if names else "",
                )
