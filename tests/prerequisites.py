"""What a test needs from the host, and what happens when it is not there.

On a developer's machine a missing program or privilege skips the test and says which one. Where
CI=true is set it fails the test: there, everything is supposed to be installed, and a skip would
hide that it is not.
"""

import os
import shutil
import subprocess
from functools import cache
from typing import NoReturn

import pytest

_NAMESPACES = ("--net", "--mount")
AS_USER = ("--user", "--map-root-user")
"""Options of `unshare` that give an ordinary user the privileges of root over new namespaces."""


def require(*programs: str, root: bool = False, namespaces: bool = False) -> None:
    """Skip (or with CI=true fail) the test unless all of this is there.

    `root`: this process has user id 0. `namespaces`: network namespaces can be created, be it by
    root or by a user who becomes root in a user namespace.
    """
    for program in programs:
        if shutil.which(program) is None:
            missing(f"the program {program} is not installed")
    if root and os.geteuid() != 0:
        missing("this test needs root: run it with sudo")
    if namespaces:
        if shutil.which("unshare") is None or shutil.which("nsenter") is None:
            missing("unshare and nsenter (package util-linux) are not installed")
        refusal = _why_no_namespaces()
        if refusal:
            missing(f"network namespaces cannot be created here: {refusal}")


def missing(what: str) -> NoReturn:
    """Skip the test for lack of `what`; with CI=true, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing in CI: {what}")
    pytest.skip(what)


@cache
def _why_no_namespaces() -> str:
    user = () if os.geteuid() == 0 else AS_USER
    probe = ["unshare", *user, *_NAMESPACES, "true"]
    outcome = subprocess.run(probe, capture_output=True, text=True, timeout=10, check=False)
    return outcome.stderr.strip() if outcome.returncode else ""
