"""Kernel tests on a host without IPVS: all of them run in one boot of the embedded kernel.

The problem: tests under tests/kernel need a kernel with IPVS and root, and a boot with a Python
start costs seconds. The approach: the outer pytest collects them as usual; when it comes to the
first one, it boots the embedded kernel once, with an inner pytest that runs all the selected tests
in the outer's order and appends each report as a line to a file which both sides see. The outer
replays these reports, so counts, failures and durations are those of the inner run.

It must never count a test whose report did not come as anything but a failure.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

from hadirector.lab.embedded_kernel import Boot, Work, tail
from hadirector.lab.errors import LabError, LabUnavailable
from hadirector.lab.place import host_can

INSIDE: Final = "HADIRECTOR_KERNEL_TESTS_REPORTS"
"""Set in the inner pytest: the file its reports go to."""

PASSED_ON: Final = (
    "CI",
    "HOME",
    "HYPOTHESIS_PROFILE",
    "PYTHONHASHSEED",
    "PYTHONDONTWRITEBYTECODE",
    "SYNC_CAPTURE",
)
BOOT_BOUND_S: Final = 90.0
"""Longest wait for the first report: boot, start of Python, import and collection."""
REPORT_BOUND_S: Final = 60.0
"""Longest wait for each later report, over the test's own time-out."""
TOTAL_BOUND_S: Final = 1800.0
POLL_INTERVAL_S: Final = 0.05
MEMORY_MB: Final = 768


OWN_TIMEOUT: Final = pytest.StashKey[float]()
"""A delegated test's own time-out in seconds, where its marker names one."""


def lift_timeout(item: pytest.Item) -> None:
    """Take the outer time-out off a delegated test: its own runs inside, without the boot."""
    marker = item.get_closest_marker("timeout")
    if marker is not None:
        item.stash[OWN_TIMEOUT] = float(marker.kwargs.get("timeout", (*marker.args, 0)[0]))
    item.add_marker(pytest.mark.timeout(0), append=False)


def runs_ipvs_here() -> bool:
    """Whether this process may run kernel tests itself: root, on a kernel with IPVS."""
    return host_can()


class InnerRun:
    """The inner pytest in its embedded kernel, and the reports it has delivered so far."""

    def __init__(self, config: pytest.Config, node_ids: list[str]) -> None:
        self._config = config
        self._directory = tempfile.TemporaryDirectory(prefix="hadirector-kernel-tests-")
        self._reports_file = Path(self._directory.name) / "reports"
        self._read_to = 0
        self._reports: dict[str, list[pytest.TestReport]] = defaultdict(list)
        self._finished: set[str] = set()
        self._end: str | None = None
        self._boot = Boot(self._work(node_ids))
        self._boot.start()

    def _work(self, node_ids: list[str]) -> Work:
        directory = Path(self._directory.name)
        (directory / "tests").write_text("\n".join(node_ids))
        self._reports_file.touch()
        root = self._config.rootpath
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-o", "timeout_method=signal"),
        ]
        if self._config.pluginmanager.hasplugin("randomly"):
            seed = self._config.getoption("randomly_seed")
            command += [f"--randomly-seed={seed}", "--randomly-dont-reorganize"]
        else:
            command += ["-p", "no:randomly"]
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment |= {INSIDE: str(self._reports_file), "LANG": "C.UTF-8"}
        return Work(
            argv=(*command, f"@{directory / 'tests'}"),
            workdir=root,
            environment=environment,
            output=directory / "output",
            console_log=directory / "console",
            timeout_s=TOTAL_BOUND_S,
            memory_mb=MEMORY_MB,
        )

    def reports_of(self, item: pytest.Item) -> list[pytest.TestReport]:
        """The reports of one test, as soon as it has finished. Raises LabError if none come."""
        bound_s = item.stash.get(OWN_TIMEOUT, 0.0)
        bound_s += REPORT_BOUND_S if self._finished else BOOT_BOUND_S
        deadline = time.monotonic() + bound_s
        while item.nodeid not in self._finished:
            ended = self._ended()
            if self._read() and not ended:
                deadline = time.monotonic() + bound_s
                continue
            if item.nodeid in self._finished:
                break
            if ended or time.monotonic() > deadline:
                self._end = self._end or f"no report within {bound_s:g} s\n{self._boot.traces()}"
                self._boot.close()
                reason = self._end
                # The traces once, with the first of the tests that did not report.
                self._end = f"{reason.partition(chr(10))[0]} (see the first such failure)"
                raise LabError(f"the kernel test did not report: {reason}")
            time.sleep(POLL_INTERVAL_S)
        return self._reports[item.nodeid]

    def _ended(self) -> bool:
        if self._end is None:
            try:
                status = self._boot.poll()
            except LabError as error:
                self._end = str(error)
            else:
                if status is not None:
                    output = tail(self._boot.work.output, lines=60)
                    self._end = f"the inner pytest ended with status {status}:\n{output}"
        return self._end is not None

    def _read(self) -> bool:
        """Take in the complete lines that were appended; tells whether there were any."""
        with self._reports_file.open("rb") as file:
            file.seek(self._read_to)
            lines, _, _ = file.read().rpartition(b"\n")
        if not lines:
            return False
        self._read_to += len(lines) + 1
        for line in lines.split(b"\n"):
            message = json.loads(line)
            if "finished" in message:
                self._finished.add(message["finished"])
                continue
            report = self._config.hook.pytest_report_from_serializable(
                config=self._config, data=message["report"]
            )
            restore_tuples(report)
            self._reports[report.nodeid].append(report)
        return True

    def close(self) -> None:
        """End the inner run, wherever it is."""
        self._boot.close()
        if Path(self._directory.name).exists():
            self._directory.cleanup()


def restore_tuples(report: pytest.TestReport) -> None:
    """JSON knows no tuples, but pytest asserts them, for example in a skip's place and reason."""
    path, line, domain = report.location
    report.location = (path, line, domain)
    report.sections = [(title, text) for title, text in report.sections]
    if isinstance(report.longrepr, list):
        path, line, reason = report.longrepr
        report.longrepr = (path, line, reason)


class Delegate:
    """The outer side: a plugin that answers for every test under tests/kernel."""

    def __init__(self) -> None:
        self._run: InnerRun | None = None
        self._refusal: LabUnavailable | None = None

    def run(self, item: pytest.Item, kernel_items: list[pytest.Item]) -> list[pytest.TestReport]:
        """The reports of one kernel test; the first call boots the kernel for all of them."""
        if self._run is None and self._refusal is None:
            try:
                self._run = InnerRun(item.config, [each.nodeid for each in kernel_items])
            except LabUnavailable as refusal:
                self._refusal = refusal
        if self._run is None:
            return [refused(item, str(self._refusal))]
        try:
            return self._run.reports_of(item)
        except LabError as error:
            return [failed(item, str(error))]

    def close(self) -> None:
        """End the inner run."""
        if self._run is not None:
            self._run.close()


def refused(item: pytest.Item, reason: str) -> pytest.TestReport:
    """The report of a test that cannot run here: skipped, or failed where CI=true forbids it."""
    if os.environ.get("CI") == "true":
        return failed(item, f"{reason} (CI=true: a missing prerequisite is a failure)")
    path, line, _ = item.location
    skip = (path, (line or 0) + 1, f"Skipped: {reason}")
    return pytest.TestReport(
        item.nodeid, item.location, dict(item.keywords), "skipped", skip, when="setup"
    )


def failed(item: pytest.Item, reason: str) -> pytest.TestReport:
    """The report of a test that never reported itself."""
    return pytest.TestReport(
        item.nodeid, item.location, dict(item.keywords), "failed", reason, when="call"
    )


class Reporter:
    """The inner side: appends each report to the shared file, one JSON object per line."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self._config = config
        self._path = path

    def _append(self, message: dict[str, object]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(message) + "\n")

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Append one report."""
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._append({"report": data})

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Say that no more reports of this test will come."""
        self._append({"finished": nodeid})
