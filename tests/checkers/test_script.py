"""The check `script`: what its end means, whom it runs as, and that nothing of it is left."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from checkers import limits, program
from checkers.base import Advice, OptionError, ProbeError, Reason, Result, Target
from checkers.script import ScriptOptions
from tests.checkers import packaged
from tests.prerequisites import require

SERVER = Target(ip_address("2001:db8::21"), 8080)

pytestmark = pytest.mark.usefixtures("no_leak")


def probe(options: ScriptOptions, timeout_s: float = 5.0) -> Result:
    made = options.make_probe()
    return asyncio.run(made.probe(SERVER, timeout_s, keep_transcript=True))


def shell(text: str, **more: object) -> ScriptOptions:
    return ScriptOptions(shell=text, **more)  # type: ignore[arg-type]


@pytest.fixture
def directory() -> Iterator[Path]:
    """One that the user nobody may enter."""
    with packaged.open_directory("script") as made:
        yield made


@pytest.fixture
def script(directory: Path) -> Path:
    file = directory / "check"
    file.write_text('#!/bin/sh\necho "$0: $*"\nexit 0\n')
    file.chmod(0o755)
    return file


@pytest.mark.parametrize(
    ("text", "dynamic", "reason", "sentence"),
    [
        ("true", False, Reason.OK, "exit status 0 in "),
        ("echo fine; echo more", False, Reason.OK, 'exit status 0: "fine" in '),
        ("echo no >&2; exit 1", False, Reason.SCRIPT_FAILED, 'exit status 1: "no" (script) after '),
        ("exit 1", True, Reason.SCRIPT_FAILED, "exit status 1 (script) after "),
        ("exit 2", False, Reason.SCRIPT_FAILED, "exit status 2 (script) after "),
        ("exit 42", True, Reason.OK, "exit status 42, asking for the weight 40 in "),
        ("kill -SEGV $$", True, Reason.SCRIPT_FAILED, "died of SIGSEGV (script) after "),
    ],
)
def test_what_the_end_means(text: str, dynamic: bool, reason: Reason, sentence: str) -> None:
    result = probe(shell(text, dynamic_weight=dynamic))
    assert (result.reason, result.sentence[: len(sentence)]) == (reason, sentence)


def test_weights_go_from_0_to_253() -> None:
    for status in (2, 255):
        advice = probe(shell(f"exit {status}", dynamic_weight=True)).advice
        assert advice == Advice(weight=status - 2)
    assert probe(shell("exit 0", dynamic_weight=True)).advice is None


@pytest.mark.parametrize("status", [0, 1])
def test_a_plugin_whose_warnings_are_passes(status: int) -> None:
    plugin = shell(f"echo WARNING; exit {status}", passing=(0, 1), unable=(3,))
    assert probe(plugin).sentence.startswith(f'exit status {status}: "WARNING" in ')
    assert probe(shell("exit 2", passing=(0, 1), unable=(3,))).reason is Reason.SCRIPT_FAILED


def test_a_script_that_could_not_look_says_nothing_of_the_server() -> None:
    said = 'the script could not look: exit status 3: "no token"'
    for weights in (False, True):
        with pytest.raises(ProbeError, match=said):
            probe(shell("echo no token; exit 3", unable=(3,), dynamic_weight=weights))


def test_a_script_may_ask_for_no_new_clients() -> None:
    for weights in (False, True):
        result = probe(shell("exit 4", draining=(4, 5), dynamic_weight=weights))
        assert result.advice == Advice(drain=True)
        assert "exit status 4, asking for no new clients" in result.sentence


def test_no_status_means_two_things() -> None:
    for field, more in (
        ("draining", {"draining": (0,)}),
        ("unable", {"passing": (0, 3), "unable": (3,)}),
        ("unable", {"draining": (4,), "unable": (4,)}),
        ("inverted", {"draining": (4,), "inverted": True}),
    ):
        with pytest.raises(OptionError) as refused:
            shell("true", **more)
        assert refused.value.field == field


def test_it_knows_the_server_and_little_else() -> None:
    os.environ["SECRET_OF_OURS"] = "x"
    try:
        result = probe(shell("env | sort | tr '\\n' ' '; pwd", environment={"SERVICE": "web"}))
    finally:
        del os.environ["SECRET_OF_OURS"]
    said = "".join(result.transcript)
    for word in ("CHECK_ADDRESS=2001:db8::21 ", "CHECK_PORT=8080", "CHECK_TIMEOUT=5 ", "HOME=/ "):
        assert word in said
    assert "SECRET" not in said
    assert (
        "SERVICE=web"
        in probe(shell("echo SERVICE=$SERVICE", environment={"SERVICE": "web"})).sentence
    )


def test_arguments_name_the_server(script: Path) -> None:
    result = probe(ScriptOptions(command=(str(script), "-H", "{address}", "port={port}")))
    assert f'"{script}: -H 2001:db8::21 port=8080"' in result.sentence


def test_it_runs_as_nobody_unless_told_otherwise() -> None:
    require(root=True)
    assert '"65534' in probe(shell("id -u; id -G")).sentence
    assert '"0"' in probe(shell("id -u", user="root")).sentence
    assert '"daemon daemon"' in probe(shell("echo $(id -un) $(id -Gn)", user="daemon")).sentence


def test_a_user_who_does_not_exist_is_our_fault() -> None:
    options = shell("true", user="nobody-at-all")
    with pytest.raises(ProbeError, match="there is no user 'nobody-at-all'"):
        probe(options)
    assert [problem.field for problem in options.problems_here()] == ["user"]


FORKS = """
(trap '' TERM HUP; echo $(exec sh -c 'echo $PPID') >> {marker}; sleep 60) &
echo $$ >> {marker}
"""


@pytest.mark.parametrize("end", ["sleep 60", "exit 0"], ids=["hangs", "ends"])
def test_nothing_of_it_is_left(directory: Path, end: str) -> None:
    marker = directory / "marker"
    marker.touch()
    marker.chmod(0o666)
    started = time.monotonic()
    result = probe(shell(FORKS.format(marker=marker) + f"sleep 0.1; {end}"), timeout_s=0.5)
    assert time.monotonic() - started < 2
    assert result.healthy == (end == "exit 0")
    if not result.healthy:
        assert result.reason is Reason.SCRIPT_TIMEOUT
        assert result.sentence.startswith("not finished within 0.5 s: killed (script) after 5")
    assert len(marker.read_text().split()) == 2
    assert all(is_dead(pid) for pid in map(int, marker.read_text().split()))


def is_dead(pid: int) -> bool:
    """Gone, or waiting for init to reap it; SIGKILL takes a moment to arrive."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_a_flood_is_cut_off() -> None:
    result = probe(shell("yes"), timeout_s=0.5)
    assert result.sentence.startswith(
        'not finished within 0.5 s, and wrote more than anybody reads: killed: "y" (script) after '
    )
    assert result.latency_ms < 2000
    assert sum(map(len, result.transcript)) < 1000
    much = probe(shell("head -c 200000 /dev/zero | tr '\\0' x"))
    assert much.healthy
    assert len(much.sentence) < 200


def test_a_cancelled_probe_kills_it(directory: Path) -> None:
    marker = directory / "marker"
    marker.touch()
    marker.chmod(0o666)

    async def main() -> None:
        made = shell(f"echo $$ >> {marker}; sleep 60").make_probe()
        task = asyncio.create_task(made.probe(SERVER, 30.0))
        while not (marker.read_text() or task.done()):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert is_dead(int(marker.read_text()))
    assert program._Running.count == 0


def test_too_many_at_once_are_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SCRIPTS_AT_ONCE_MAX", 1)

    async def main() -> list[Result | BaseException]:
        made = shell("sleep 0.2").make_probe()
        probes = (made.probe(SERVER, 5.0) for _ in range(2))
        return await asyncio.gather(*probes, return_exceptions=True)

    first, second = asyncio.run(main())
    assert isinstance(first, Result)
    assert isinstance(second, ProbeError)
    assert "1 scripts are running already" in str(second)


def spoil(script: Path, how: str) -> None:
    if how == "gone":
        script.unlink()
    elif how == "not executable":
        script.chmod(0o644)
    elif how == "writable":
        script.chmod(0o757)
    elif how == "group":
        script.chmod(0o775)
    elif how == "directory":
        script.parent.chmod(0o777)
    elif how == "owner":
        os.chown(script, 4711, 4711)
    elif how == "no program":
        script.unlink()
        script.mkdir()
    elif how == "loop":
        script.unlink()
        script.symlink_to(script)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("gone", "no such file or directory"),
        ("not executable", "is not executable"),
        ("writable", "can be written by others"),
        ("group", "can be written by others"),
        ("directory", "can be written by others, who could replace"),
        ("owner", "is owned by user 4711"),
        ("no program", "is not a file"),
        ("loop", "loop|too many levels"),
    ],
)
def test_a_script_that_cannot_be_trusted_is_refused(script: Path, how: str, sentence: str) -> None:
    require(root=True)
    options = ScriptOptions(command=(str(script),))
    assert list(options.problems_here()) == []
    spoil(script, how)
    with pytest.raises(ProbeError, match=sentence):
        probe(options)
    (problem,) = options.problems_here()
    assert problem.field == "command"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("#!/no/such/interpreter\n", "no such file"), ("rubbish", "exec format error")],
)
def test_a_script_that_does_not_start_is_our_fault(
    script: Path, content: str, sentence: str
) -> None:
    script.write_text(content)
    with pytest.raises(ProbeError, match=rf"could not be started: {sentence}"):
        probe(ScriptOptions(command=(str(script),)))


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"shell": None}, "command", "either `command` or `shell`"),
        ({"command": ("/bin/true",)}, "command", "either `command` or `shell`"),
        ({"shell": None, "command": ("true",)}, "command", "is not an absolute path"),
        ({"shell": None, "command": ("/bin/x", "{server}")}, "command", "stands for nothing"),
        ({"shell": None, "command": ("/bin/x", "\0")}, "command", "zero byte"),
        ({"shell": "\0"}, "shell", "zero byte"),
        ({"environment": {"A B": "x"}}, "environment", "cannot be a variable's name"),
        ({"environment": {"LD_PRELOAD": "x"}}, "environment", "not to be chosen here"),
        ({"environment": {"CHECK_PORT": "x"}}, "environment", "not to be chosen here"),
    ],
)
def test_options_that_cannot_work_name_their_field(
    change: dict[str, object], field: str, sentence: str
) -> None:
    with pytest.raises(OptionError, match=sentence) as error:
        replace(shell("true"), **change)  # type: ignore[arg-type]
    assert error.value.field == field


def test_no_signal_handler_is_needed() -> None:
    before = signal.getsignal(signal.SIGCHLD)
    assert probe(shell("true")).healthy
    assert signal.getsignal(signal.SIGCHLD) == before
