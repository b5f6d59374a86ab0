"""`hadirector peer`: what the channel between the two directors takes."""

from __future__ import annotations

import argparse
from pathlib import Path

from hadirector.cli.errors import EXIT_YES, CliError

SUMMARY = "the channel between the two directors: make the certificates that it takes"

_EPILOG = """\
  hadirector peer init FILE             on either director, or at a desk, once for the pair
  hadirector peer init FILE --out DIR   somewhere else than where the file says they belong

Then copy ca.pem, NODE.pem and NODE.key to each director, only its own key, and keep no other copy.
The key of the authority is never written: nobody can add to the pair. To renew, make all anew."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb and its word."""
    parser.epilog = _EPILOG
    words = parser.add_subparsers(metavar="WORD", dest="word", title="words", required=True)
    init = words.add_parser(
        "init",
        help="make an authority of the pair, and a certificate and key for each director",
        description="Make an authority of this pair alone, and a certificate and key for each "
        "director of the file, valid for ten years. Nothing that is there is written over.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    init.add_argument("file", metavar="FILE", help="the pair's configuration file")
    init.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where to write them (default: where the file says that the authority's is)",
    )


def execute(args: argparse.Namespace) -> int:
    """Make the certificates; returns the exit code."""
    from hadirector.cli.loading import load_or_fail
    from hadirector.peer.material import MaterialError, make, utc_now
    from hadirector.peer.settings import CA

    config = load_or_fail(args.file)
    if len(config.nodes) != 2:
        raise CliError(
            f"{args.file} has {len(config.nodes)} directors",
            "the peer channel joins two",
            code=2,
        )
    directory = args.out or Path(config.peer.ca if config.peer else CA).parent
    try:
        written = make(config.nodes, directory, now=utc_now())
    except MaterialError as error:
        raise CliError(str(error.args[0]), error.remedy) from error
    for path in written:
        print(path)
    for node in config.nodes:
        print(f"to {node}: ca.pem, {node}.pem, {node}.key (mode 0600); keep no other copy")
    if config.peer is None:
        print(f"and write into {args.file}: peer: {{}}")
    return EXIT_YES
