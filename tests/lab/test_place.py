"""Where the lab is, and what comes out of a program in it."""

from __future__ import annotations

import sys
import textwrap

import pytest

from hadirector.lab import place
from hadirector.lab.errors import LabTimeout, LabUnavailable
from hadirector.lab.place import LabRun, Place, choose_place, run_lab
from tests.prerequisites import require

PROGRAM = textwrap.dedent(
    """
    import sys
    from hadirector.lab.place import emit
    for number in range(3):
        emit({"number": number})
    print("done")
    sys.exit(3)
    """
)


def test_the_host_is_taken_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(place.PLACE_VARIABLE, raising=False)
    monkeypatch.setattr(place, "host_can", lambda: True)
    assert choose_place() is Place.HOST


def test_a_host_that_cannot_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(place.PLACE_VARIABLE, "host")
    monkeypatch.setattr(place, "host_can", lambda: False)
    with pytest.raises(LabUnavailable, match=r"become root and run `modprobe ip_vs`"):
        choose_place()


def test_an_unknown_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(place.PLACE_VARIABLE, "moon")
    with pytest.raises(LabUnavailable, match="set it to host or embedded"):
        choose_place()


def test_events_come_out_of_the_embedded_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    require("linux.uml", "modprobe", "ip")
    monkeypatch.setenv(place.PLACE_VARIABLE, "embedded")
    with LabRun((sys.executable, "-c", PROGRAM), timeout_s=15) as run:
        assert list(run) == [{"number": 0}, {"number": 1}, {"number": 2}]
        assert (run.place, run.status, run.output()) == (Place.EMBEDDED, 3, "done")


def test_events_come_out_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(place.PLACE_VARIABLE, "host")
    monkeypatch.setattr(place, "host_can", lambda: True)
    with LabRun((sys.executable, "-c", PROGRAM), timeout_s=10) as run:
        assert list(run) == [{"number": 0}, {"number": 1}, {"number": 2}]
        assert (run.place, run.status, run.output()) == (Place.HOST, 3, "done")


def test_a_program_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(place.PLACE_VARIABLE, "host")
    monkeypatch.setattr(place, "host_can", lambda: True)
    argv = (sys.executable, "-c", "import time; print('on it'); time.sleep(60)")
    with (
        LabRun(argv, timeout_s=1) as run,
        pytest.raises(LabTimeout, match=r"did not end within 1 s(?s:.*)on it"),
    ):
        list(run)


def test_a_module_runs_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(place.PLACE_VARIABLE, "host")
    monkeypatch.setattr(place, "host_can", lambda: True)
    with run_lab("this", timeout_s=10) as run:
        assert list(run) == []
        assert run.status == 0
        assert "Explicit is better than implicit." in run.output()


def test_the_administrators_programs_are_found_with_an_ordinary_users_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv(place.PLACE_VARIABLE, "host")
    monkeypatch.setattr(place, "host_can", lambda: True)
    program = "import shutil; print([shutil.which(name) is not None for name in ('ip', 'ipvsadm')])"
    with LabRun((sys.executable, "-c", program), timeout_s=10) as run:
        assert list(run) == []
        assert run.output() == "[True, True]"
