"""How a command asks the running daemon: HTTP on its unix socket, standard library only."""

from __future__ import annotations

import argparse
import json
import socket
from pathlib import Path
from typing import cast

from hadirector import limits
from hadirector.cli.errors import CliError

RUNTIME_DIR = Path("/run/hadirector")
SOCKET_NAME = "director.sock"
LOOK = "look at its log: journalctl -u hadirector"


def add_runtime_dir(parser: argparse.ArgumentParser) -> None:
    """Add `--runtime-dir` to a command that talks to the daemon."""
    parser.add_argument(
        "--runtime-dir",
        type=Path,
        default=RUNTIME_DIR,
        metavar="DIR",
        help="where the daemon keeps its socket and lock (default: %(default)s)",
    )


def ask(
    runtime_dir: Path,
    path: str,
    *,
    method: str = "GET",
    timeout_s: float = limits.API_REPLY_TIMEOUT_S,
) -> dict[str, object]:
    """Return the daemon's answer; raises CliError (3: no daemon; 2: the question was refused)."""
    import http.client  # twenty modules, and many commands that know this one never ask

    place = runtime_dir / SOCKET_NAME
    connection = http.client.HTTPConnection("director", timeout=timeout_s)
    try:
        connection.sock = _connected(place, timeout_s)
        connection.request(method, path)
        reply = connection.getresponse()
        text = reply.read()
    except PermissionError as error:
        raise CliError(f"{place} may not be opened", "run this as root", code=3) from error
    except TimeoutError as error:
        raise CliError(
            f"the daemon did not answer within {timeout_s:g} s",
            LOOK,
            code=3,
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise _nobody_answers(place, error) from error
    finally:
        connection.close()
    try:
        body = cast(dict[str, object], json.loads(text))
    except ValueError:
        body = {}
    if reply.status >= 500 or not body:
        raise CliError(f"the daemon failed to answer ({reply.status} {reply.reason})", LOOK, code=3)
    if reply.status >= 400:
        raise CliError(str(body.get("error", reply.reason)), "see: hadirector status", code=2)
    return body


def _connected(place: Path, timeout_s: float) -> socket.socket:
    """A connection to the daemon's socket; raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        connection.connect(str(place))
    except BaseException:
        connection.close()
        raise
    return connection


def _nobody_answers(place: Path, error: Exception) -> CliError:
    from hadirector.preflight import lock_owner

    owner = lock_owner(place.parent)
    if owner is not None:
        return CliError(
            f"the daemon (process {owner}) runs, but its director process does not answer: {error}",
            f"it is started again by itself; {LOOK}",
            code=3,
        )
    return CliError(
        f"no daemon answers at {place}: {error}",
        "start one with: hadirector run FILE --node NAME",
        code=3,
    )
