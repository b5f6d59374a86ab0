"""A daemon that gives prepared answers on a real socket, for the tests of the commands."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hadirector.api.app import serve
from hadirector.cli.client import SOCKET_NAME
from hadirector.cli.main import main
from hadirector.overrides import Command
from hadirector.router_answers import Json, UnknownSubjectError
from tests.hadirector.cli.made_up import STATUS


@dataclass
class Prepared:
    """The answers; `what`, `count` and `ordered` are what was asked last."""

    explained: Json = field(default_factory=dict)
    journal: list[Json] = field(default_factory=list)
    reloaded: Json = field(default_factory=dict)
    overridden: Json = field(default_factory=dict)
    audited: Json = field(default_factory=dict)
    believed: Json = field(default_factory=dict)
    ordered: tuple[str, Command, str] | None = None
    what: str = ""
    count: int = -1

    def status(self) -> Json:
        return STATUS

    def explain(self, what: str) -> Json:
        self.what = what
        if not self.explained:
            raise UnknownSubjectError(f'nothing here is called "{what}"; there is: web')
        return self.explained

    def events(self, count: int) -> list[Json]:
        self.count = count
        return self.journal[-count:]

    async def reload(self, asked_by: str) -> Json:
        return self.reloaded

    async def audit(self) -> Json:
        return self.audited

    async def override(self, what: str, command: Command, *, by: str) -> Json:
        self.ordered = (what, command, by)
        if not self.overridden:
            raise UnknownSubjectError(f'"web" has no server "{what}"')
        return self.overridden

    async def believe(self, what: str, *, by: str) -> Json:
        self.what = what
        if not self.believed:
            raise UnknownSubjectError(f'no service is called "{what}"; did you mean "web"?')
        return self.believed


@asynccontextmanager
async def answering(directory: Path, prepared: Prepared) -> AsyncIterator[Prepared]:
    """Serve the answers in this runtime directory."""
    end = await serve(prepared, directory / SOCKET_NAME)
    try:
        yield prepared
    finally:
        await end()


async def command(directory: Path, *words: str) -> int:
    """Run a command against the daemon in this runtime directory; its exit code."""
    return await asyncio.to_thread(main, [*words, "--runtime-dir", str(directory)])
