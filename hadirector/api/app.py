"""The local API: HTTP with JSON on a unix socket that only its owner may open.

It decides nothing. Every route asks the director process (`Answers`) and shapes the reply;
whatever a command prints can be read here by any program, e.g. with `curl --unix-socket
/run/hadirector/director.sock http://director/status`.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from hadirector import limits
from hadirector.router_answers import Json, UnknownSubjectError

if TYPE_CHECKING:
    from hadirector.overrides import Command

EVENTS_DEFAULT = 50
COUNT = re.compile("[0-9]{1,9}")
ACCOUNT = re.compile(r"[\w.@-]{1,32}")
PEER = struct.Struct("iII")  # struct ucred: pid, uid, gid; unix(7)


class Answers(Protocol):
    """What the API needs of the director process."""

    def status(self) -> Json:
        """Everything about this director: roles, services, servers, weights, reasons."""

    def explain(self, what: str) -> Json:
        """Why one service, server or virtual router is as it is; raises UnknownSubjectError."""

    def events(self, count: int) -> list[Json]:
        """The last events of the journal, oldest first."""

    async def reload(self, asked_by: str) -> Json:
        """Read the configuration again: `accepted`, a `sentence`, and `diagnostics`."""

    async def audit(self) -> Json:
        """Compare the kernel's table with what it should be, now: what was found and done."""

    async def override(self, what: str, command: Command, *, by: str) -> Json:
        """Take an administrator's order for one server; raises UnknownSubjectError."""

    async def believe(self, what: str, *, by: str) -> Json:
        """Hold the weights of a service no longer; raises UnknownSubjectError."""


class PairAnswers(Protocol):
    """What the API needs of whoever has to do with the other director."""

    async def switchover(self, to: str, *, force: bool, at: float | None, by: str) -> Json:
        """Give the active role to a director: `done`, a `sentence`, what is `missing`."""

    def cancel(self, by: str) -> Json:
        """Forget the switchover that is planned."""

    def pause(self, by: str) -> Json:
        """Write nothing to the kernel from now on."""

    def resume(self, by: str) -> Json:
        """End a pause."""


PAIR: web.AppKey[PairAnswers | None] = web.AppKey("pair")
TIME = re.compile(r"[0-9]{1,11}(\.[0-9]{1,6})?")
ALONE = (
    "VRRP alone, and no peer channel: nothing to pause, and a switchover takes peer: in the file"
)
ANSWERS: web.AppKey[Answers] = web.AppKey("answers")


async def _status(request: web.Request) -> web.Response:
    return web.json_response(request.app[ANSWERS].status())


async def _explain(request: web.Request) -> web.Response:
    try:
        return web.json_response(request.app[ANSWERS].explain(request.query.get("what", "")))
    except UnknownSubjectError as error:
        return web.json_response({"error": str(error)}, status=404)


async def _events(request: web.Request) -> web.Response:
    asked = request.query.get("count", str(EVENTS_DEFAULT))
    if not COUNT.fullmatch(asked):
        return web.json_response({"error": f"count is not a number: {asked[:20]!r}"}, status=400)
    count = min(int(asked), limits.JOURNAL_EVENTS_MAX)
    return web.json_response({"events": request.app[ANSWERS].events(count)})


async def _reload(request: web.Request) -> web.Response:
    return web.json_response(await request.app[ANSWERS].reload("hadirector reload"))


async def _audit(request: web.Request) -> web.Response:
    return web.json_response(await request.app[ANSWERS].audit())


async def _override(request: web.Request) -> web.Response:
    from hadirector.overrides import Command, OrderError  # VRRP alone never loads it

    asked = request.query
    try:
        command = Command.parse(
            asked.get("order", ""),
            asked.get("weight", ""),
            connections=asked.get("connections", ""),
            timeout=asked.get("timeout", ""),
        )
        by = _who(request, asked.get("for", ""))
        answers = request.app[ANSWERS]
        return web.json_response(await answers.override(asked.get("what", ""), command, by=by))
    except OrderError as error:
        return web.json_response({"error": str(error)}, status=400)
    except UnknownSubjectError as error:
        return web.json_response({"error": str(error)}, status=404)


async def _believe(request: web.Request) -> web.Response:
    by = _who(request, request.query.get("for", ""))
    try:
        told = await request.app[ANSWERS].believe(request.query.get("what", ""), by=by)
        return web.json_response(told)
    except UnknownSubjectError as error:
        return web.json_response({"error": str(error)}, status=404)


async def _switchover(request: web.Request) -> web.Response:
    asked, pair = request.query, request.app[PAIR]
    by, at = _who(request, asked.get("for", "")), asked.get("at", "")
    if at and not TIME.fullmatch(at):
        return web.json_response({"error": f"at is no Unix time: {at[:20]!r}"}, status=400)
    if pair is None:
        return _alone()
    force, when = asked.get("force", "") == "1", float(at) if at else None
    told = await pair.switchover(asked.get("to", ""), force=force, at=when, by=by)
    return web.json_response(told)


async def _cancel(request: web.Request) -> web.Response:
    pair, by = request.app[PAIR], _who(request, request.query.get("for", ""))
    return _alone() if pair is None else web.json_response(pair.cancel(by))


async def _pause(request: web.Request) -> web.Response:
    pair, by = request.app[PAIR], _who(request, request.query.get("for", ""))
    return _alone() if pair is None else web.json_response(pair.pause(by))


async def _resume(request: web.Request) -> web.Response:
    pair, by = request.app[PAIR], _who(request, request.query.get("for", ""))
    return _alone() if pair is None else web.json_response(pair.resume(by))


def _alone() -> web.Response:
    return web.json_response({"done": False, "sentence": ALONE, "missing": [ALONE], "phases": {}})


def _who(request: web.Request, account: str) -> str:
    """Who is at the other end, by the kernel's word; `account` is what that process says."""
    end = request.transport.get_extra_info("socket") if request.transport else None
    if end is None:
        return "unknown"
    _, uid, _ = PEER.unpack(end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
    # No look-up of other accounts: a directory service may take its time, and this is the loop.
    name = "root" if uid == 0 else f"uid {uid}"
    return f"{name} for {account}" if ACCOUNT.fullmatch(account) else name


@web.middleware
async def _refusals_in_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """What aiohttp itself refuses (an unknown path, a wrong method), in the shape of the rest."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        sentence = f"{request.method} {request.path}: {refusal.reason}"
        return web.json_response({"error": sentence}, status=refusal.status)


def make_app(answers: Answers, pair: PairAnswers | None = None) -> web.Application:
    """The API in front of a director process."""
    app = web.Application(
        client_max_size=limits.API_REQUEST_BYTES_MAX, middlewares=[_refusals_in_json]
    )
    app[ANSWERS] = answers
    app[PAIR] = pair
    app.router.add_get("/status", _status)
    app.router.add_get("/explain", _explain)
    app.router.add_get("/events", _events)
    app.router.add_post("/reload", _reload)
    app.router.add_post("/audit", _audit)
    app.router.add_post("/override", _override)
    app.router.add_post("/believe", _believe)
    app.router.add_post("/switchover", _switchover)
    app.router.add_post("/switchover/cancel", _cancel)
    app.router.add_post("/pause", _pause)
    app.router.add_post("/resume", _resume)
    return app


async def serve(
    answers: Answers, path: Path, pair: PairAnswers | None = None
) -> Callable[[], Awaitable[None]]:
    """Serve the API on a unix socket, replacing one a dead process left; return what ends it."""
    runner = web.AppRunner(make_app(answers, pair), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    # Made under another name, so that nobody can connect before the permissions are right.
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    await web.UnixSite(runner, str(fresh)).start()
    fresh.chmod(0o600)
    fresh.replace(path)
    return runner.cleanup
