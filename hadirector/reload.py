"""What a reload means before anything is changed: read, check, compare. Used by the director
process.

A file with errors changes nothing; neither does one in which this node is missing, or one that
says the same as before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hadirector.answers import Present
from hadirector.config.again import Reader
from hadirector.config.loader import Loaded
from hadirector.config.model import Config, Service
from hadirector.pool import server_key
from hadirector.router_answers import Json
from hadirector.turnover import turnover

CHANGES_TOLD_MAX = 20  # in the sentence; the rest is counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of reading the file again."""

    config: Config | None  # to adopt; None: nothing changes
    refused: bool  # the file is wrong
    sentence: str
    loaded: Loaded  # what the file says; its JSON is made when the kernel has what it asks for

    def reply(self, *, table: str | None = None, failures: tuple[str, ...] = ()) -> Json:
        """The API's answer; `table` is what became of the kernel's table, if it was touched."""
        return {
            "accepted": not self.refused,
            "changed": self.config is not None,
            "sentence": self.sentence,
            "table": table,
            "failures": list(failures),
            "diagnostics": [item.to_json() for item in self.loaded.diagnostics],
        }


def read_again(reader: Reader, present: Present) -> Outcome:
    """Load the file and compare it with what holds now; reads files, changes nothing."""
    loaded = reader.load(present.config)
    config, refused = loaded.config, False
    if config is None:
        errors = loaded.errors
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        sentence = f"reload refused, everything goes on as before: {errors[0]}{more}"
        refused = True
    elif present.node not in config.nodes:
        names = ", ".join(config.nodes)
        sentence = f"reload refused: {present.file} has no node {present.node}; it has {names}"
        config, refused = None, True
    elif loaded.digest == present.digest:
        sentence = "reload: the file says what it said before"
        config = None
    else:
        sentence = f"reload accepted: {difference(present.config, config)}"
    return Outcome(config=config, refused=refused, sentence=sentence, loaded=loaded)


def difference(before: Config, after: Config) -> str:
    """One sentence on what differs between two configurations. Pure."""
    # With luck, what differs is a few objects of many.
    turn = turnover({service.name: service for service in before.services}, after.services)
    parts = [
        *_changes("service", _services(turn.left), _services(turn.fresh)),
        *_changes("server", _servers(turn.left), _servers(turn.fresh)),
        *_changes("virtual router", _routers(before), _routers(after)),
        *_changes("node", dict(before.nodes), dict(after.nodes)),
    ]
    if before.connection_sync != after.connection_sync:
        parts.append(f"connection sync {after.connection_sync or 'taken out'}")
    parts += _changes("setting", dict(before.settings), dict(after.settings))
    if before.brake != after.brake:
        parts.append("brake taken out" if after.brake is None else "brake changed")
    if before.hooks != after.hooks:
        parts.append("hooks changed")
    if before.audit != after.audit:
        parts.append(f"audit every {after.audit:g} s")
    if before.workers != after.workers:
        parts.append(f"{after.workers} check workers")
    if not parts:
        return "only the order differs"
    more = len(parts) - CHANGES_TOLD_MAX
    return ", ".join([*parts[:CHANGES_TOLD_MAX], *([f"and {more} more"] if more > 0 else [])])


def _changes(noun: str, before: dict[str, object], after: dict[str, object]) -> list[str]:
    added = [f"{noun} {name} added" for name in after if name not in before]
    removed = [f"{noun} {name} removed" for name in before if name not in after]
    changed = [
        f"{noun} {name} changed" for name in after if name in before and before[name] != after[name]
    ]
    return [*added, *removed, *changed]


def _services(services: Iterable[Service]) -> dict[str, object]:
    """The services without their servers, which are compared one by one."""
    return {service.name: replace(service, servers=()) for service in services}


def _servers(services: Iterable[Service]) -> dict[str, object]:
    return {
        server_key(service, server): server for service in services for server in service.servers
    }


def _routers(config: Config) -> dict[str, object]:
    return {router.name: router for router in config.virtual_routers}
