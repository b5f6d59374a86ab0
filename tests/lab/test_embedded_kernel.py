"""Boots of the embedded kernel: what comes in, what comes out, and that nothing is left.

Each boot costs about three seconds; the tests share none, since how a boot ends is what they test.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hadirector.lab.embedded_kernel import (
    Boot,
    Kernel,
    Work,
    find_kernel,
    init_script,
    run_in_embedded_kernel,
)
from hadirector.lab.errors import KernelStopped, LabTimeout, LabUnavailable
from tests.prerequisites import missing, require

ROOT = Path(__file__).parents[2]
KERNEL = Kernel(Path("/usr/bin/linux.uml"), Path("/usr/lib/uml/modules"), Path("/sbin/modprobe"))
BOUND_S = 15.0


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for the kernel's temporary files; the test fails if one is left there."""
    require("linux.uml", "modprobe", "ip")
    # Short, as the kernel's own socket must fit into 107 characters.
    directory = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    yield directory
    assert list(directory.iterdir()) == []
    directory.rmdir()


def work(
    directory: Path,
    *argv: str,
    timeout_s: float = BOUND_S,
    environment: Mapping[str, str] | None = None,
) -> Work:
    return Work(
        argv=argv,
        workdir=directory,
        environment=environment or {},
        output=directory / "output",
        console_log=directory / "console",
        timeout_s=timeout_s,
    )


def await_text(path: Path, text: str) -> None:
    deadline = time.monotonic() + BOUND_S
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"{text!r} did not come within {BOUND_S} s"
        time.sleep(0.02)


def kernels_with(text: str) -> list[str]:
    """The command lines of running processes that hold a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if text in line:
                found.append(line)
    return found


def await_end_of_kernels_with(text: str) -> None:
    """The kernel's own children die a moment after it, from the same signal."""
    deadline = time.monotonic() + BOUND_S
    while still := kernels_with(text):
        assert time.monotonic() < deadline, f"they run on: {still}"
        time.sleep(0.02)


def test_the_init_script_quotes_what_it_is_given(tmp_path: Path) -> None:
    given = work(Path("/a b"), "echo", "it's $HOME; `x`", environment={"A": "1 'x'"})
    script = init_script(given, kernel=KERNEL, status=tmp_path / "status")
    assert "exec echo 'it'\"'\"'s $HOME; `x`'" in script
    assert "export A='1 '\"'\"'x'\"'\"''" in script
    assert "cd '/a b' || finish" in script
    assert "A=" not in script.replace("export A=", "")


def test_work_must_make_sense(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no command"):
        work(tmp_path)
    with pytest.raises(ValueError, match="not a name for an environment variable: 'A B'"):
        work(tmp_path, "true", environment={"A B": "1"})


def test_what_is_missing_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(LabUnavailable) as caught:
        find_kernel(search_path=str(tmp_path))
    assert caught.value.message == "linux.uml is not on this host"
    assert caught.value.remedy.endswith("apt-get install user-mode-linux kmod iproute2")


def test_missing_modules_are_named(tmp_path: Path) -> None:
    for name in ("linux.uml", "modprobe", "ip"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(LabUnavailable, match="no IPVS module below"):
        find_kernel(search_path=str(tmp_path), modules_root=tmp_path)


def test_a_command_runs_inside_and_its_status_comes_out(tmp_path: Path, scratch: Path) -> None:
    script = 'echo "$A"; pwd; cat /proc/net/ip_vs; ip -br link show lo; exit 7'
    given = work(tmp_path, "sh", "-c", script, environment={"A": "it's $HOME"})
    assert run_in_embedded_kernel(given) == 7
    output = (tmp_path / "output").read_text().splitlines()
    assert output[:2] == ["it's $HOME", str(tmp_path)]
    assert output[2].startswith("IP Virtual Server version ")
    assert "LOOPBACK,UP" in output[-1]


def test_schedulers_load_on_demand(tmp_path: Path, scratch: Path) -> None:
    require("ipvsadm")
    script = "for s in mh sed ovf; do ipvsadm -A -t 192.0.2.1:$$ -s $s || exit; ipvsadm -C; done"
    assert run_in_embedded_kernel(work(tmp_path, "sh", "-c", script)) == 0


def test_output_comes_as_it_is_written(tmp_path: Path, scratch: Path) -> None:
    with Boot(work(tmp_path, "sh", "-c", "echo first; exec sleep 60")) as boot:
        await_text(tmp_path / "output", "first\n")
        assert boot.poll() is None
    await_end_of_kernels_with(str(scratch))


def test_what_takes_too_long_is_killed(tmp_path: Path, scratch: Path) -> None:
    with pytest.raises(LabTimeout, match=r"did not end within 4 s") as caught:
        run_in_embedded_kernel(work(tmp_path, "sh", "-c", "echo on it; sleep 60", timeout_s=4.0))
    assert "on it" in str(caught.value)
    await_end_of_kernels_with(str(scratch))


def test_a_crash_is_not_an_exit_status(tmp_path: Path, scratch: Path) -> None:
    with pytest.raises(KernelStopped, match=r"ended without an exit status(?s:.*)Kernel panic"):
        run_in_embedded_kernel(work(tmp_path, "sh", "-c", "echo c >/proc/sysrq-trigger; sleep 9"))


def test_a_working_directory_that_is_missing_is_told(tmp_path: Path, scratch: Path) -> None:
    missing = Work(
        argv=("true",),
        workdir=tmp_path / "nowhere",
        environment={},
        output=tmp_path / "output",
        console_log=tmp_path / "console",
        timeout_s=BOUND_S,
    )
    with pytest.raises(KernelStopped, match=r"stopped: cannot enter .*nowhere"):
        run_in_embedded_kernel(missing)


STARTER = """
import sys
from pathlib import Path
from hadirector.lab.embedded_kernel import Work, run_in_embedded_kernel
directory = Path(sys.argv[1])
sys.exit(run_in_embedded_kernel(Work(argv=tuple(sys.argv[2:]), workdir=Path("/"), environment={},
    output=directory / "output", console_log=directory / "console", timeout_s=60.0)))
"""


def test_the_kernel_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    require("linux.uml", "modprobe", "ip")
    directory = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(directory), "sh", "-c", "echo up; exec sleep 60"],
        env=os.environ | {"TMPDIR": str(directory), "PYTHONPATH": str(ROOT)},
    )
    try:
        await_text(directory / "output", "up\n")
        assert kernels_with(str(directory / "hdlab-"))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        await_end_of_kernels_with(str(directory / "hdlab-"))
    finally:
        parent.kill()
        shutil.rmtree(directory)


def test_it_needs_neither_root_nor_a_home(tmp_path: Path) -> None:
    require("linux.uml", "modprobe", "ip", "setpriv", root=True)
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    programs = (sys.executable, "/usr/bin/python3")
    can_import = "import sys, hadirector; sys.exit(sys.version_info < (3, 11))"
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": str(ROOT)}
    for python in programs:
        tried = subprocess.run(
            [*nobody, python, "-c", can_import], env=environment, capture_output=True, check=False
        )
        if tried.returncode == 0:
            break
    else:
        missing(f"nobody can run none of {', '.join(programs)} with hadirector")
    directory = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
    directory.chmod(0o777)
    try:
        script = "ip netns add x && ip netns exec x ipvsadm -A -u 192.0.2.1:53 -s rr; touch /etc/x"
        done = subprocess.run(
            [*nobody, python, "-B", "-c", STARTER, str(directory), "sh", "-c", script],
            env=environment | {"TMPDIR": str(directory)},
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            check=False,
        )
        said = (directory / "output").read_text()
        assert (done.returncode, done.stderr) == (1, "")
        # Root inside is still nobody to the host's files.
        assert said == "touch: cannot touch '/etc/x': Permission denied\n"
        assert not list(directory.glob("hdlab-*"))
    finally:
        shutil.rmtree(directory)
