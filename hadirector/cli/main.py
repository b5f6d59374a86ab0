"""The program `hadirector`: finds the verb and runs it.

The problem: a dozen verbs, each with large imports of its own, while `--help` must answer at once.
The approach: a table of names and one-line summaries here; the module `hadirector.cli.VERB` is
imported only when its verb is chosen. It offers

    SUMMARY: str                                        one line, as in the table
    configure(parser: argparse.ArgumentParser) -> None  arguments, description, examples
    execute(args: argparse.Namespace) -> int            the work; returns the exit code

and raises CliError for what cannot be done. Nothing is decided here but the exit code of a failure.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType, ModuleType

from hadirector.cli.errors import EXIT_CANNOT, EXIT_INVALID, CliError

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""

EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE: whoever read our output went away."""

VERBS: Mapping[str, str] = MappingProxyType(
    {
        "check": "validate a configuration file; every error with its line and what would be right",
        "plan": "show the difference between a configuration file and the kernel's IPVS table",
        "apply": "make the kernel's IPVS table what the file says, once, without a daemon",
        "run": "the daemon: health checks, VRRP and IPVS on this node",
        "status": "roles, services and servers as the running daemon sees them",
        "explain": "why a service, server or virtual router is in its state",
        "events": "what happened: transitions, repairs, reloads",
        "reload": "have the running daemon read its configuration file again",
        "audit": "have the running daemon compare the kernel's table with its own, now",
        "drain": "give a server no new connections, while those it has go on",
        "disable": "take a server out of the table until it is enabled again",
        "enable": "end the drain or disablement of a server",
        "weight": "give a server another weight while it is up",
        "believe": "hold no weight of a service any longer: its servers really failed",
        "switchover": "give the active role to the other director, without losing a connection",
        "pause": "for maintenance: go on checking, but write nothing to the kernel",
        "resume": "end a pause: the kernel is made what it should be",
        "ipvs": "the kernel's IPVS table: list it, save and restore it in ipvsadm's format",
        "sync": "connection sync: watch the traffic, and see what the pair knows of each other",
        "peer": "the channel between the two directors: make the certificates that it takes",
        "probe": "run a configured check once, by hand, and show what it did step by step",
        "rehearse": "drill failovers of a configuration file in a world made of namespaces",
        "drill": "drill failovers of the running pair, with the outage measured",
        "doctor": "what this host lacks to run or to rehearse, and the command that provides it",
        "schema": "print the JSON Schema of the configuration file, for editors",
    }
)
"""Every verb and its summary, in the order of `--help`."""

_DESCRIPTION = """\
A high-availability director for Linux Virtual Server: health checks adjust the weights of real
servers in the kernel (IPVS), VRRP moves the virtual addresses between two directors, and every
weight, plan and failover is explained, shown beforehand and rehearsed."""

_EPILOG = """\
first steps:
  hadirector doctor                            what this host lacks
  hadirector check configs/quickstart.yaml     is the file valid?
  hadirector rehearse configs/quickstart.yaml  watch it fail over, on this machine
  hadirector run FILE --node lb1               the daemon, on a director

exit codes:
  0  yes: done, valid, no differences, every verdict passed
  1  the answer is no: a failed verdict, differences found, warnings with --strict
  2  wrong usage or an invalid configuration; nothing was touched
  3  cannot: no IPVS, no privilege, no daemon; the message says what to do about it

"hadirector VERB --help" explains a verb and shows examples."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(words)
        sys.stdout.flush()
    except CliError as error:
        print(f"hadirector: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _forget_output()
        return EXIT_BROKEN_PIPE
    return code


def _run(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="hadirector",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", title="verbs")
    modules: dict[str, ModuleType] = {}
    for name, summary in VERBS.items():
        verb = verbs.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if words[:1] == [name]:
            modules[name] = _module(name)
            modules[name].configure(verb)
    args = parser.parse_args(words)
    if args.verb is None:
        parser.print_help(sys.stderr)
        return EXIT_INVALID
    if args.verb not in modules:
        parser.error("the verb comes first")
    return int(modules[args.verb].execute(args))


def _module(verb: str) -> ModuleType:
    name = f"hadirector.cli.{verb}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise CliError(
            f'the verb "{verb}" is not part of this version', "see hadirector --help", EXIT_CANNOT
        ) from None


def _forget_output() -> None:
    """Point standard output elsewhere, so that the interpreter's last flush does not fail too."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Version(argparse.Action):
    """Looks the version up only when asked: that alone reads the package's metadata."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        import importlib.metadata

        print(f"hadirector {importlib.metadata.version('hadirector')}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
