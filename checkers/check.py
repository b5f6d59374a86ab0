"""One check of one target, as a value.

The problem: a configuration is read again and again, and a check that has not changed must go on
where it was, over a restart too. The approach: a check is a value (key, target, options, timing),
and its digest tells whether two of them do the same, whatever they are called.

Must never do I/O or read a clock: probing is what the probe does that it makes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields

from checkers.base import ANY_WAY, OptionError, Probe, Target, Way
from checkers.inverted import InvertedProbe
from checkers.options import CheckOptions
from checkers.secret import SecretProbe
from checkers.timing import Timing

_USUAL = Timing()


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one target."""

    key: str
    """Names the check for its owner; unique within one scheduler."""
    target: Target
    """Where clients are served; `endpoint` is where the probe goes."""
    options: CheckOptions
    timing: Timing = _USUAL
    via: Target | None = None
    """A virtual address, with the way to this target behind it, to probe through."""

    @property
    def endpoint(self) -> Target:
        """The address and port that the probe really goes to; port 0 for a kind that has none."""
        if self.via is not None:
            return self.via
        options, target = self.options, self.target
        way = Way(options.source, options.interface, options.mark)
        port = target.port if options.port is None else options.port
        return Target(
            target.address if options.address is None else options.address,
            0 if "port" in options.lacks else port,
            ANY_WAY if way == ANY_WAY else way,
            target.service if options.names_service else "",
        )

    def conflicts(self) -> Iterator[OptionError]:
        """What in the options cannot work with this target."""
        options, version = self.options, self.endpoint.address.version
        if options.source is not None and options.source.version != version:
            sentence = f"no way from an IPv{options.source.version} address to an IPv{version} one"
            yield OptionError("source", sentence)

    def make_probe(self) -> Probe:
        """The probe of the options, that tells no secret, inverted where they say so."""
        options = self.options
        if any(getattr(options, name) is not None for name in options.secret_options):
            probe: Probe = SecretProbe(options)
        else:
            probe = options.make_probe()
        if not options.inverted:
            return probe
        return InvertedProbe(probe)

    @property
    def digest(self) -> str:
        """Equal for two checks that do the same, whatever they are called; stable over restarts."""
        return self.digest_by(self.asked)

    @property
    def asked(self) -> str:
        """What is asked and how often, whoever it is asked of: most of the work of a digest."""
        # An option that is not written is left out: one that a later version adds changes nothing.
        # `verify: false` differs from the default by being absent.
        options = self.options
        return repr((type(options).__name__, _written(options), _written(self.timing)))

    def digest_by(self, asked: str) -> str:
        """The digest, where `asked` is known already, as that of a check with the same options."""
        endpoint = self.endpoint
        way = "" if self.via is None else str(self.via.way)
        text = f"{asked} {endpoint} {endpoint.service!r} {way}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def describe(self) -> str:
        """For people: `tcp at 10.0.0.1:80`."""
        endpoint = self.endpoint
        way = str(endpoint.way)
        where = endpoint.address if "port" in self.options.lacks else endpoint
        text = f"{self.options.describe()} at {where}{way and ' ' + way}"
        return f"not {text} (inverted)" if self.options.inverted else text


def _written(values: CheckOptions | Timing) -> list[tuple[str, object]]:
    pairs = [(item.name, getattr(values, item.name)) for item in fields(values) if item.compare]
    return [(name, value) for name, value in pairs if value is not None and value is not False]
