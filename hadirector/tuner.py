"""Keeps the kernel's settings for IPVS as configured, and can put back what was there before.

The problem: settings hold for everybody in the network namespace and stay when the daemon goes. The
approach: what a setting was before it was first changed is written beside the daemon's socket, in a
directory that lives as long as the kernel does; from there `hadirector ipvs settings --restore`
takes it. A setting that another program changed is set again, and journaled.

Never: a setting touched that is not named in the configuration.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from hadirector.ipvs import tuning
from hadirector.ipvs.dataplane import DataplaneError
from hadirector.ipvs.settings import KernelSettings
from hadirector.ipvs.tuning import Change

SYSCTLS = Path("/proc/sys/net/ipv4/vs")
FILE_NAME = "settings.json"


class TuningError(DataplaneError):
    """A setting could not be read or written; the message names it."""

    remedy = "the kernel may be too old for it: take it out of `ipvs:` in the configuration"


class Tuner:
    """The settings of the network namespace in which it is used. For one task at a time."""

    def __init__(self, runtime_dir: Path, kernel: KernelSettings | None = None) -> None:
        self._file = runtime_dir / FILE_NAME
        self._kernel = kernel or KernelSettings()

    async def ahead(self, wanted: Mapping[str, str]) -> tuple[Change, ...]:
        """What differs from the kernel. Raises DataplaneError."""
        return tuning.changes(wanted, await self._read(wanted))

    async def apply(self, changes: Iterable[Change]) -> None:
        """Make these changes, and remember what was before the first. Raises DataplaneError."""
        listed = list(changes)
        if not listed:
            return
        before = {change.name: change.before for change in listed if change.before is not None}
        self._remember({**before, **self.remembered()})
        await self._write(listed)

    async def restore(self) -> tuple[Change, ...]:
        """Put back what was before, and forget it; says what changed. Raises DataplaneError."""
        undone = await self.ahead(self.remembered())
        await self._write(undone)
        self._file.unlink(missing_ok=True)
        return undone

    async def everything(self) -> dict[str, str]:
        """Every setting that this kernel has. Raises DataplaneError."""
        return await self._read([*tuning.TIMEOUTS, *_sysctl_names()])

    def remembered(self) -> dict[str, str]:
        """What the settings were before they were first changed. Raises TuningError."""
        try:
            found = json.loads(self._file.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise TuningError(f"{self._file}: {error}") from error
        if not isinstance(found, dict):
            raise TuningError(f"{self._file} is no list of settings")
        return {str(name): str(value) for name, value in found.items()}

    def close(self) -> None:
        """Give the socket back."""
        self._kernel.close()

    async def _read(self, names: Iterable[str]) -> dict[str, str]:
        wanted = set(names)
        found = {name: _read_sysctl(name) for name in sorted(wanted - tuning.TIMEOUTS.keys())}
        if wanted & tuning.TIMEOUTS.keys():
            found |= tuning.as_settings(await self._kernel.timeouts())
        return found

    async def _write(self, listed: Iterable[Change]) -> None:
        values = {change.name: change.value for change in listed}
        for name, value in values.items():
            if name not in tuning.TIMEOUTS:
                _write_sysctl(name, value)
        if values.keys() & tuning.TIMEOUTS.keys():
            await self._kernel.set_timeouts(tuning.timeouts_of(values))

    def _remember(self, before: Mapping[str, str]) -> None:
        fresh = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            fresh.write_text(json.dumps(before, sort_keys=True))
            fresh.replace(self._file)
        except OSError as error:
            raise TuningError(f"{self._file}: {error.strerror}; no setting was changed") from error


def _sysctl_names() -> list[str]:
    try:
        return sorted(path.name for path in SYSCTLS.iterdir())
    except OSError as error:
        raise TuningError(f"{SYSCTLS}: {error.strerror}") from error


def _read_sysctl(name: str) -> str:
    try:
        return " ".join((SYSCTLS / name).read_text().split())
    except OSError as error:
        raise TuningError(f"the setting {name} cannot be read: {error.strerror}") from error


def _write_sysctl(name: str, value: str) -> None:
    try:
        (SYSCTLS / name).write_text(value)
    except OSError as error:
        raise TuningError(f"could not set {name} to {value}: {error.strerror}") from error
