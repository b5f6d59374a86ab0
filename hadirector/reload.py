"""What a reload means before anything is changed: read, check, compare. Used by the director
process.

A file with errors changes nothing; neither does one in which this node is missing, or one that
says the same as before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hadirector.answers import Json, Present
from hadirector.config.diagnostics import Diagnostic
from hadirector.config.loader import load
from hadirector.config.model import Config
from hadirector.pool import server_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of reading the file again."""

    config: Config | None  # to adopt; None: nothing changes
    unchanged: bool  # the file is right, and says what it said before
    sentence: str
    diagnostics: tuple[Diagnostic, ...]

    def reply(self, *, accepted: bool, table: str | None = None) -> Json:
        """The API's answer."""
        return {
            "accepted": accepted,
            "sentence": self.sentence,
            "table": table,
            "diagnostics": [item.to_json() for item in self.diagnostics],
        }


def read_again(file: str, present: Present) -> Outcome:
    """Load the file and compare it with what holds now; reads files, changes nothing."""
    loaded = load(file)
    if loaded.config is None:
        errors = loaded.errors
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        return Outcome(
            config=None,
            unchanged=False,
            sentence=f"reload refused, everything goes on as before: {errors[0]}{more}",
            diagnostics=loaded.diagnostics,
        )
    if present.node not in loaded.config.nodes:
        names = ", ".join(loaded.config.nodes)
        return Outcome(
            config=None,
            unchanged=False,
            sentence=f"reload refused: {file} has no node {present.node}; it has {names}",
            diagnostics=loaded.diagnostics,
        )
    if loaded.digest == present.digest:
        return Outcome(
            config=None,
            unchanged=True,
            sentence="reload: the file says what it said before",
            diagnostics=loaded.diagnostics,
        )
    return Outcome(
        config=loaded.config,
        unchanged=False,
        sentence=f"reload accepted: {difference(present.config, loaded.config)}",
        diagnostics=loaded.diagnostics,
    )


def difference(before: Config, after: Config) -> str:
    """One sentence on what differs between two configurations. Pure."""
    parts = [
        *_changes("service", _services(before), _services(after)),
        *_changes("server", _servers(before), _servers(after)),
        *_changes("virtual router", _routers(before), _routers(after)),
        *_changes("node", dict(before.nodes), dict(after.nodes)),
    ]
    if before.audit != after.audit:
        parts.append(f"audit every {after.audit:g} s")
    return ", ".join(parts)


def _changes(noun: str, before: dict[str, object], after: dict[str, object]) -> list[str]:
    added = [f"{noun} {name} added" for name in after if name not in before]
    removed = [f"{noun} {name} removed" for name in before if name not in after]
    changed = [
        f"{noun} {name} changed" for name in after if name in before and before[name] != after[name]
    ]
    return [*added, *removed, *changed]


def _services(config: Config) -> dict[str, object]:
    """The services without their servers, which are compared one by one."""
    return {service.name: replace(service, servers=()) for service in config.services}


def _servers(config: Config) -> dict[str, object]:
    return {
        server_key(service, server): server
        for service in config.services
        for server in service.servers
    }


def _routers(config: Config) -> dict[str, object]:
    return {router.name: router for router in config.virtual_routers}
