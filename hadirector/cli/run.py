"""`hadirector run`: the daemon on one director."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

from hadirector.cli.client import RUNTIME_DIR, SOCKET_NAME
from hadirector.cli.errors import EXIT_INVALID, CliError

SUMMARY = "the daemon: health checks, VRRP and IPVS on this node"
STATE_DIR = Path("/var/lib/hadirector")

_EPILOG = """\
The daemon stays in the foreground and logs to standard error; systemd or another service manager
keeps it running. It is three processes: a supervisor, the VRRP worker and the director process.

  hadirector run /etc/hadirector.yaml             on the host that the file calls by its host name
  hadirector run /etc/hadirector.yaml --node lb1  on any host

  kill -HUP PID, or hadirector reload             read the file again; a bad file changes nothing
  kill -TERM PID                                  stop: the peer takes over before the addresses go

The kernel's IPVS table stays in place when the daemon stops, unless --on-stop or `on_stop:` in the
file says otherwise."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", help="the configuration of the pair")
    parser.add_argument(
        "--node",
        default=socket.gethostname(),
        metavar="NAME",
        help="which of the file's nodes this is (default: the host name, %(default)s)",
    )
    parser.add_argument(
        "--runtime-dir",
        type=Path,
        default=RUNTIME_DIR,
        metavar="DIR",
        help="for the socket and the lock; made if missing (default: %(default)s)",
    )
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=STATE_DIR,
        metavar="DIR",
        help="for the journal; made if missing (default: %(default)s)",
    )
    parser.add_argument(
        "--on-stop",
        choices=["keep", "flush", "drain"],
        help="what becomes of the kernel's table at the end (default: the file's on_stop: keep)",
    )


def execute(args: argparse.Namespace) -> int:
    """Check everything that can be known beforehand, then run until told to stop."""
    from hadirector import preflight
    from hadirector.cli.loading import load_or_fail
    from hadirector.config.codec import config_to_json
    from hadirector.elections import told_to_worker
    from hadirector.supervisor import Assignment, become_supervisor

    config = load_or_fail(args.file)
    if args.node not in config.nodes:
        names = " or ".join(f"--node {name}" for name in config.nodes)
        raise CliError(
            f'{args.file} has no node "{args.node}"', f"say which this is: {names}", EXIT_INVALID
        )
    preflight.socket_path(args.runtime_dir.resolve() / f"{SOCKET_NAME}.new")
    preflight.privileges()
    if config.needs_ipvs:
        preflight.kernel_has_ipvs()
    for directory in (args.runtime_dir, args.state_dir):
        preflight.directory(directory)
    with preflight.only_one(args.runtime_dir) as lock:
        become_supervisor(
            Assignment(
                config=config_to_json(config),
                vrrp=told_to_worker(config, args.node),
                file=str(Path(args.file).resolve()),
                node=args.node,
                runtime_dir=str(args.runtime_dir.resolve()),
                state_dir=str(args.state_dir.resolve()),
                on_stop=args.on_stop or "",
                balances=config.balances,
            ),
            lock,
        )
