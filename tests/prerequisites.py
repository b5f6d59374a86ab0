"""What a test needs of its host, told in one place.

A missing program is a skip with its reason on somebody's machine, and a failure where `CI=true`: a
suite that silently tests less is worse than none.
"""

import os
import shutil

import pytest


def require(*programs: str, root: bool = False) -> None:
    """Skip the calling test, or fail it in CI, unless every program is installed (and we are root).

    Programs are looked for in the administrator's directories too.
    """
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    missing = [program for program in programs if shutil.which(program, path=path) is None]
    reasons = []
    if missing:
        reasons.append(f"not installed: {', '.join(missing)}")
    if root and os.geteuid() != 0:
        reasons.append("needs root")
    if not reasons:
        return
    reason = "; ".join(reasons)
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing prerequisite in CI: {reason}")
    pytest.skip(reason)
