"""Several checks of one server, and what they can mean together.

A server has one check, or those of a list `checks`, of which `require` says how many must pass;
advisory ones do not count. Rules as in `rules`: certain mistakes only, each reported where it is
written; what is wrong with one check by itself is `checks`' to find.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from checkers.base import Target
from checkers.check import Check
from hadirector.config.diagnostics import Rule
from hadirector.config.draft import Draft
from hadirector.config.model import HealthCheck
from hadirector.config.nodes import Findings, Mapping, Node, Sequence
from hadirector.config.probe_marks import through_conflicts
from hadirector.ipvs.model import Forward, ServiceKey


@dataclass(slots=True)
class ChecksDraft:
    """The checks of a server: one, or those of the list `checks`, with where each is written."""

    section: Draft
    found: list[HealthCheck | None] = field(default_factory=list)
    places: list[tuple[Node, str]] = field(default_factory=list)
    several: bool = False

    @property
    def whole(self) -> tuple[HealthCheck, ...]:
        """Those in which nothing is wrong."""
        return tuple(check for check in self.found if check is not None)

    @property
    def require(self) -> int:
        """How many must pass; 0: all."""
        return self.section.get("require", int) or 0

    @property
    def ordered(self) -> tuple[HealthCheck, ...]:
        """The same, those that count before the advisory ones."""
        return tuple(sorted(self.whole, key=lambda check: check.advisory))


def check_combination(made: ChecksDraft, outer: ChecksDraft | None, findings: Findings) -> None:
    """Apply the rules; `outer` are the checks of the service, where these are a server's."""
    node = made.section.node
    if not made.several and isinstance(node, Mapping):
        _report_lonely_keys(made, node, outer, findings)
    _report_labels(made, findings)
    if not made.places:
        _report_none(made, findings)
        return
    counting = [check for check in made.found if check is None or not check.advisory]
    if not counting:
        place, path = made.places[0]
        findings.error(
            Rule.ONLY_ADVISORY,
            place,
            path=path,
            message="no check is left that could take a server out or let one in",
            hint="one at least must not be advisory",
        )
    elif made.several and made.require > len(counting):
        findings.error(
            Rule.REQUIRE_ABOVE_CHECKS,
            made.section.at("require"),
            path=made.section.path_of("require"),
            message=f"{made.require} of {len(counting)} checks that count can never pass",
            hint=f"write all, any, or 1 to {len(counting)}",
        )


def _report_lonely_keys(
    made: ChecksDraft, node: Mapping, outer: ChecksDraft | None, findings: Findings
) -> None:
    if "require" in node.entries:
        findings.error(
            Rule.BAD_VALUE,
            made.section.at("require"),
            path=made.section.path_of("require"),
            message="there is one check alone here",
            hint="`require` goes with a list `checks` beside it",
        )
    if outer is not None and outer.several and "check" in node.entries:
        findings.error(
            Rule.BAD_VALUE,
            node.entries["check"],
            path=f"{made.section.path}.check",
            message="this server's service has several checks",
            hint="write the list `checks` here as well; it takes the place of the service's",
        )


def _report_none(made: ChecksDraft, findings: Findings) -> None:
    """A list of none; what is no list at all was told where it was read."""
    listed = made.section.at("checks")
    if isinstance(listed, Sequence):
        findings.error(
            Rule.BAD_VALUE,
            listed,
            path=made.section.path_of("checks"),
            message="no check is in this list",
            hint="write the checks, or leave `checks` out for a single one of `tcp`",
        )


def _report_labels(made: ChecksDraft, findings: Findings) -> None:
    seen: set[str] = set()
    for check, (place, path) in zip(made.found, made.places, strict=True):
        if check is None or not check.label:
            continue
        if check.label in seen:
            written = place.entries.get("label", place) if isinstance(place, Mapping) else place
            findings.error(
                Rule.DUPLICATE_NAME,
                written,
                path=f"{path}.label",
                message=f'a second check labelled "{check.label}"',
            )
        seen.add(check.label)


def check_targets(
    target: Target,
    made: ChecksDraft,
    findings: Findings,
    *,
    listen: ServiceKey | None,
    forward: Forward | None,
) -> None:
    """Report what the checks cannot do with this server, such as reach it from their source."""
    for check, (place, path) in zip(made.found, made.places, strict=True):
        if check is None:
            continue
        options = check.options
        problems = list(through_conflicts(options, target, listen, forward))
        if not options.through_vip:
            problems += Check("", target, options, check.timing).conflicts()
        for problem in problems:
            name = problem.field
            at = place.entries.get(name, place) if isinstance(place, Mapping) else place
            findings.error(
                Rule.BAD_VALUE, at, path=f"{path}.{name}", message=f"{problem} ({target})"
            )
