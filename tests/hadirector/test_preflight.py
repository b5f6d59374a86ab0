"""A daemon that cannot work says so in one line, with the remedy, before it touches anything."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hadirector import host, preflight
from hadirector.cli.errors import EXIT_CANNOT, EXIT_INVALID, CliError
from tests.hadirector.pair import write_pair
from tests.prerequisites import require

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from pathlib import Path
from hadirector.preflight import only_one
with only_one(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def run(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`hadirector run`, as a user starts it."""
    file = write_pair(directory / "pair.yaml", [8080])
    places = [f"--runtime-dir={directory}", f"--state-dir={directory}"]
    return subprocess.run(
        [sys.executable, "-m", "hadirector", "run", file, "--node", "lb1", *places, *options],
        capture_output=True,
        check=False,
        text=True,
        timeout=15,
        cwd=ROOT,
    )


def test_a_second_daemon_names_the_first(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(CliError) as refusal, preflight.only_one(tmp_path):
            raise AssertionError("two hold the lock")
        assert preflight.lock_owner(tmp_path) == str(holder.pid)
        holder.kill()
    assert str(refusal.value) == (
        f"a daemon runs already in {tmp_path} (process {holder.pid}); "
        f"stop it first (kill {holder.pid}), or use another --runtime-dir"
    )
    assert refusal.value.code == EXIT_CANNOT
    assert preflight.lock_owner(tmp_path) is None
    with preflight.only_one(tmp_path):  # the kernel has freed it with its process
        assert preflight.lock_owner(tmp_path) == str(os.getpid())


def test_a_lock_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / preflight.LOCK_NAME).mkdir()
    with pytest.raises(CliError, match="lock cannot be opened: Is a directory"):
        preflight.only_one(tmp_path).__enter__()
    assert preflight.lock_owner(tmp_path) is None


def test_without_privilege_one_line_says_so() -> None:
    require(root=True)
    program = (
        "import os, sys\n"
        "from hadirector import preflight\n"
        "from hadirector.cli.errors import CliError\n"
        "os.setgroups([]); os.setuid(65534)\n"
        "try: preflight.privileges()\n"
        "except CliError as error: print(error.code, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, cwd=ROOT
    )
    assert done.stdout == (
        "3 this process lacks CAP_NET_ADMIN and CAP_NET_RAW; "
        "run it as root (to try a file without root: hadirector rehearse FILE)\n"
    )


def test_without_ipvs_run_says_so_in_one_line(tmp_path: Path) -> None:
    require(root=True)
    if host.has_ipvs():
        pytest.skip("the kernel here has IPVS")
    done = run(tmp_path)
    assert done.returncode == EXIT_CANNOT
    assert done.stdout == ""
    assert done.stderr == (
        "hadirector: this kernel has no IPVS (modprobe ip_vs does not help); "
        "use a kernel with CONFIG_IP_VS; any machine can rehearse: hadirector rehearse FILE\n"
    )
    assert not (tmp_path / preflight.LOCK_NAME).exists()


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--node", "lb9"], EXIT_INVALID, 'has no node "lb9"; say which this is: --node lb1 or'),
        (["--runtime-dir", "/tmp/" + "x" * 90], EXIT_INVALID, "name a shorter --runtime-dir"),
    ],
)
def test_wrong_options(tmp_path: Path, options: list[str], code: int, sentence: str) -> None:
    done = run(tmp_path, *options)
    assert done.returncode == code
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_directory_is_made_or_refused(tmp_path: Path) -> None:
    preflight.directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "c", Path("/proc/hadirector")):
        with pytest.raises(CliError, match=re.escape(f"{place} cannot be made")) as refusal:
            preflight.directory(place)
        assert refusal.value.code == EXIT_CANNOT
