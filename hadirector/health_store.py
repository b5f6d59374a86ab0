"""What checks found, kept across a restart of the director process.

The problem: after a restart a server that was down must not be let in by one lucky answer, one held
for manual resume must stay held, and what failed last night must still be told. The approach: one
file in the state directory, written whole beside itself and put in its place; each check with its
digest (`checkers.memory`), all with the time of writing. What is older than a bound is not gone by,
but for those that wait for somebody: nobody's waiting ends by itself.

A file that is damaged is told of once, and costs only what cannot be read. Must never be a reason
not to start, nor hold more than a bound.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from checkers.memory import Memory, MemoryFault, from_json, to_json
from hadirector import limits, service_memory
from hadirector.journal import Journal
from hadirector.service_memory import ServiceMemory

FILE_NAME = "health.json"


class HealthStore:
    """The file, and what it held when the process started."""

    def __init__(
        self, directory: Path, journal: Journal, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Read what was found before; what cannot be read is told."""
        self._path = directory / FILE_NAME
        self._journal = journal
        self._clock = clock
        self._remembered: Mapping[str, Memory] = {}
        self._services: Mapping[str, ServiceMemory] = {}
        self.trouble: str | None = None  # why nothing is kept, while nothing is
        try:
            self._remembered = self._read()
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            self._journal.add("probe", f"what checks found before is not known: {error}")

    def recalled(self) -> Mapping[str, Memory]:
        """What is remembered by check; once, since from then on the checks themselves know."""
        remembered, self._remembered = self._remembered, {}
        return remembered

    def recalled_services(self) -> Mapping[str, ServiceMemory]:
        """What is remembered by the name of a service; once, as well."""
        services, self._services = self._services, {}
        return services

    def write(
        self, memories: Mapping[str, Memory], services: Mapping[str, ServiceMemory]
    ) -> str | None:
        """Keep these; None, or a sentence on why that failed. To be called from any thread."""
        checks = {key: to_json(memory) for key, memory in memories.items()}
        decided = {name: service_memory.to_json(one) for name, one in services.items()}
        whole = {"at": self._clock(), "checks": checks, "services": decided}
        text = json.dumps(whole)
        if len(text) > limits.HEALTH_FILE_BYTES_MAX:
            for one in checks.values():
                one["results"] = []
            text = json.dumps(whole)
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            if len(text) > limits.HEALTH_FILE_BYTES_MAX:
                raise OSError(0, f"{len(text)} bytes are more than anybody reads")
            fresh.touch(mode=0o600)  # a digest could be guessed at, and what servers say is theirs
            fresh.write_text(text)
            fresh.replace(self._path)
        except OSError as error:
            return (
                f"{self._path} cannot be written: a restart forgets what checks found: "
                f"{error.strerror}"
            )
        return None

    def tell(self, trouble: str | None) -> None:
        """Take what `write` said: news of trouble is journaled."""
        if trouble is not None and trouble != self.trouble:
            self._journal.add("probe", trouble)
        self.trouble = trouble

    def _read(self) -> dict[str, Memory]:
        """What is to be gone by; raises OSError and ValueError."""
        with self._path.open(encoding="utf-8") as file:
            text = file.read(limits.HEALTH_FILE_BYTES_MAX + 1)
        if len(text) > limits.HEALTH_FILE_BYTES_MAX:
            raise ValueError(f"{self._path} is larger than anybody writes it")
        try:
            whole = json.loads(text)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        if not isinstance(whole, dict) or not isinstance(whole.get("checks"), dict):
            raise ValueError(f"{self._path} holds no checks")
        at = whole.get("at")
        if isinstance(at, bool) or not isinstance(at, int | float):
            raise ValueError(f"{self._path} does not say when it was written")
        age_s = self._clock() - at
        if 0 <= age_s <= limits.HEALTH_AGE_MAX_S:
            self._services = self._read_services(whole.get("services", {}))
        found: dict[str, Memory] = {}
        damaged = 0
        for key, data in whole["checks"].items():
            try:
                found[key] = from_json(data)
            except MemoryFault:
                damaged += 1
        if damaged:
            told = f"{damaged} of {damaged + len(found)} checks cannot be read and begin anew"
            self._journal.add("probe", f"{self._path}: {told}")
        return self._fresh(found, age_s)

    def _read_services(self, data: object) -> dict[str, ServiceMemory]:
        """Raises ValueError if that is nothing by service."""
        if not isinstance(data, dict):
            raise ValueError(f"{self._path} holds no services")
        found, damaged = {}, 0
        for name, one in data.items():
            try:
                found[name] = service_memory.from_json(one)
            except ValueError:
                damaged += 1
        if damaged:
            told = f"{damaged} of {len(data)} services cannot be read: their quorums begin anew"
            self._journal.add("probe", f"{self._path}: {told}")
        return found

    def _fresh(self, found: dict[str, Memory], age_s: float) -> dict[str, Memory]:
        if 0 <= age_s <= limits.HEALTH_AGE_MAX_S:
            return found
        waiting = {key: one for key, one in found.items() if one.held_since is not None}
        when = f"{age_s:.0f} s old" if age_s >= 0 else "from a time to come (was the clock set?)"
        kept = f"; {len(waiting)} that wait for manual resume go on waiting" if waiting else ""
        sentence = (
            f"what checks found before is {when}: it is gone by for "
            f"{limits.HEALTH_AGE_MAX_S:.0f} s only{kept}"
        )
        self._journal.add("probe", sentence)
        return waiting
