"""Runs the tests of this directory where a kernel with IPVS is: here, or in the embedded kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kernel.delegation import INSIDE, Delegate, Reporter, lift_timeout, runs_ipvs_here

HERE = Path(__file__).parent
DELEGATE = pytest.StashKey[Delegate]()


def is_kernel_test(item: pytest.Item) -> bool:
    """Whether a collected test belongs to this directory."""
    return HERE in item.path.parents


def pytest_configure(config: pytest.Config) -> None:
    """Choose a side: report to the outer pytest, or delegate to an inner one."""
    if INSIDE in os.environ:
        config.pluginmanager.register(Reporter(config, Path(os.environ[INSIDE])))
    elif not runs_ipvs_here():
        config.stash[DELEGATE] = Delegate()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Lift the outer time-out off delegated tests."""
    if DELEGATE in config.stash:
        for item in filter(is_kernel_test, items):
            lift_timeout(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Replay the reports of a delegated test."""
    if DELEGATE not in item.config.stash or not is_kernel_test(item):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    selected = [each for each in item.session.items if is_kernel_test(each)]
    for report in item.config.stash[DELEGATE].run(item, selected):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the inner run, also when the outer one was interrupted."""
    if DELEGATE in session.config.stash:
        session.config.stash[DELEGATE].close()
