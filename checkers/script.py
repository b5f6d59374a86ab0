"""The check `script`: a program of the operator's says how the server is.

The problem: a script may hang, fork, flood its output, or be a way to become root. The approach: it
runs as an unprivileged user, in a session and process group of its own that is killed when the
verdict falls, with an environment that holds only what is written and the server; of its output
the beginning is kept, and once a bound is read nobody reads on. A script that others could change
is not run.

Exit status 0 is a pass, any other a failure, unless the options give it another meaning. With
`dynamic_weight`, 2 to 255 are passes that ask for the weight 0 to 253. A script that cannot be
started, or says that it could not look, says nothing about the server.

Must never run anything as root unless `user: root` is written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Le, MaxLen, MinLen, doc

from checkers.base import OptionError, Probe, Result, Target
from checkers.options import CheckOptions, no_way
from checkers.placeholders import check_placeholders, fill
from checkers.trusted_file import refusal

if TYPE_CHECKING:
    from checkers.program import Program

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_Argument = Annotated[str, MaxLen(4096)]
_Status = Annotated[int, Ge(0), Le(255)]
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_OURS = re.compile(r"CHECK_|LD_|PATH$|HOME$|IFS$", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptOptions(CheckOptions):
    """Options of the check `script`: what to run, as whom, and what its exit status means."""

    kind: ClassVar[str] = "script"
    lacks: ClassVar[Mapping[str, str]] = no_way("a script makes connections of its own")
    names_service: ClassVar[bool] = True

    command: Annotated[
        Annotated[tuple[_Argument, ...], MinLen(1), MaxLen(64)] | None,
        doc(
            "Program (absolute path) and arguments; `{address}` and `{port}` in an argument stand "
            "for the server's. Either this or `shell`."
        ),
    ] = None
    shell: Annotated[
        Annotated[str, MinLen(1), MaxLen(16_384)] | None,
        doc(
            "Text for `/bin/sh -c`, which finds the server in `$CHECK_ADDRESS`, `$CHECK_PORT` and "
            "the service's name in `$CHECK_SERVICE`."
        ),
    ] = None
    user: Annotated[
        Annotated[str, MinLen(1), MaxLen(64)] | None,
        doc(
            "Run as this user, where we are root; else `nobody`. Only `root` runs it as root. "
            "Where we are not root it runs as we do."
        ),
    ] = None
    environment: Annotated[
        Mapping[str, str] | None, doc("Further variables of its environment, by name.")
    ] = None
    dynamic_weight: Annotated[
        bool, doc("Whether exit status 2 to 255 is a pass that asks for the weight 0 to 253.")
    ] = False

    passing: Annotated[
        Annotated[tuple[_Status, ...], MinLen(1)], doc("Exit statuses that are passes.")
    ] = (0,)
    draining: Annotated[
        tuple[_Status, ...],
        doc("Exit statuses that are passes of a server that asks for no new clients."),
    ] = ()
    unable: Annotated[
        tuple[_Status, ...],
        doc("Exit statuses by which the script says that it could not look; no verdict."),
    ] = ()

    def __post_init__(self) -> None:
        self._check_statuses()
        if (self.command is None) == (self.shell is None):
            raise OptionError("command", "write either `command` or `shell`")
        for argument in self.command or ():
            check_placeholders("command", argument)
        for field, text in (("command", "".join(self.command or ())), ("shell", self.shell or "")):
            if "\0" in text:
                raise OptionError(field, "holds a zero byte")
        if self.dynamic_weight and self.inverted:
            raise OptionError("inverted", "a script that passes by failing can ask for no weight")
        if self.command is not None and not self.command[0].startswith("/"):
            raise OptionError("command", f"{self.command[0]!r} is not an absolute path")
        for name, value in (self.environment or {}).items():
            if not _VARIABLE.fullmatch(name) or "\0" in value:
                raise OptionError("environment", f"{name!r} cannot be a variable's name")
            if _OURS.match(name):
                raise OptionError("environment", f"{name} is not to be chosen here")

    def _check_statuses(self) -> None:
        named = dict.fromkeys(self.passing, "passing")
        for field, statuses in (("draining", self.draining), ("unable", self.unable)):
            for status in statuses:
                if named.setdefault(status, field) != field:
                    raise OptionError(field, f"{status} is in `{named[status]}` already")
        if self.draining and self.inverted:
            raise OptionError("inverted", "a script that passes by failing can ask for no drain")

    def make_probe(self) -> Probe:
        """A probe that runs it once."""
        return ScriptProbe(self)

    def describe(self) -> str:
        """`script /usr/local/bin/check-web`."""
        return f"{self.kind} {self.command[0] if self.command else '/bin/sh'}"

    def problems_here(self) -> Iterator[OptionError]:
        """A program that is missing or that others could change, a user that does not exist."""
        from checkers.program import account

        if self.command is not None:
            sentence = refusal(self.command[0], account(self.user)[0])
            if sentence is not None:
                yield OptionError("command", sentence)
        if self.user is not None and account(self.user)[1] is None:
            yield OptionError("user", f"there is no user {self.user!r} on this host")


class ScriptProbe:
    """Runs it once."""

    __slots__ = ("_options",)

    def __init__(self, options: ScriptOptions) -> None:
        self._options = options

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Run it once; raises ProbeError if it could not be started."""
        from checkers.program import Meaning, run

        options = self._options
        program = self._program(target, timeout_s)
        meaning = Meaning(
            passing=options.passing,
            draining=options.draining,
            unable=options.unable,
            weights=options.dynamic_weight,
        )
        return await run(program, timeout_s, meaning, keep_transcript=keep_transcript)

    def _program(self, target: Target, timeout_s: float) -> Program:
        from checkers.program import Program

        options = self._options
        if options.command is not None:
            arguments = tuple(fill(argument, target) for argument in options.command)
        else:
            arguments = ("/bin/sh", "-c", options.shell or "")
        environment = {
            "PATH": PATH,
            "HOME": "/",
            "LANG": os.environ.get("LANG", "C.UTF-8"),
            "CHECK_ADDRESS": target.host,
            "CHECK_PORT": str(target.port),
            "CHECK_SERVICE": target.service,
            "CHECK_TIMEOUT": f"{timeout_s:g}",
            **(options.environment or {}),
        }
        return Program(arguments, options.user, environment)
