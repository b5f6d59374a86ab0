"""Every kind of check against a server in every faulty state: the table is in `faulty`.

All probes of a family run beside each other in one event loop, as the scheduler's do. Each must
fail for the reason that its page states, in time, and leave nothing behind.
"""

import asyncio
import os
import socket
import ssl
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from checkers import limits
from checkers.base import ProbeError, Reason, Result, Target
from checkers.check import Check
from checkers.file import FileOptions
from checkers.once import run_once
from checkers.options import CheckOptions
from checkers.registry import KINDS, NAMES
from checkers.script import ScriptOptions
from checkers.timing import Timing
from tests.checkers import behaviours, datagrams, servers
from tests.checkers.behaviours import Behaviour
from tests.checkers.dialogues import NAME
from tests.checkers.faulty import (
    CLEAR_ROWS,
    DATAGRAM_ROWS,
    DATAGRAMS,
    ELSEWHERE,
    IN_THE_CLEAR,
    INJECTED,
    OVER_TLS,
    RESET,
    TLS_ROWS,
    Row,
    form,
    forms,
)
from tests.prerequisites import missing

TIMEOUTS = {reason for reason in Reason if reason.endswith("timeout")}
TIMEOUTS_S = (0.5, 1.0, 2.0, 4.0)
"""Where time has to run out: on a machine with too much to do, all before may take longer."""
PATIENCE_S = 10.0
"""Where it must not."""
WAITING_AT_ONCE, BUSY_AT_ONCE = 60, 4
GARBAGE = b"\x00\xff\x00\xffwhat is this?\r\n" * 9
LINES = b"220-x\r\n* x\r\n250-x\r\n"
UNFINISHED_TLS = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"
BEFORE_TLS = ("drips", "endless", "resets", "closes")
"""States that begin with the server: midway, not before the probe has begun to speak TLS."""
SENTENCE_MAX = 400
MEMORY_PER_PROBE = 2 * 1024 * 1024
"""Of a server without end, its own buffers included."""

Place = AbstractAsyncContextManager[Target]
Case = tuple[str, Place, CheckOptions, set[Reason]]
"""A name, where to probe, by which options, and the reasons that are right."""


def test_the_table_is_complete() -> None:
    rows = {form(row.options) for row in (*CLEAR_ROWS, *TLS_ROWS, *DATAGRAM_ROWS)}
    wanted = {name for kind in NAMES if kind not in ELSEWHERE for name in forms(KINDS[kind])}
    assert rows == wanted
    for row in (*CLEAR_ROWS, *TLS_ROWS, *DATAGRAM_ROWS):
        assert row.wrong is not None or row.differs, form(row.options)
    for row in TLS_ROWS:
        assert hasattr(row.options, "ca"), form(row.options)
    assert {kind for kind in NAMES if hasattr(KINDS[kind], "ca")} <= {
        row.options.kind for row in TLS_ROWS
    }


async def told(
    target: Target, options: CheckOptions, right: set[Reason], timeout_s: float
) -> str | None:
    """What is wrong with what a probe said; None if all is well."""
    try:
        result, took_s = await probe(target, options, timeout_s)
    except ProbeError as error:
        return str(error)
    if result.reason not in right:
        return f"{result.reason} ({result.sentence}), expected {', '.join(right)}"
    if took_s > timeout_s + limits.PROBE_OVERRUN_S:
        return f"{took_s:.1f} s"
    if not result.sentence.isprintable() or len(result.sentence) > SENTENCE_MAX:
        return result.sentence
    return None


async def judge(cases: Sequence[Case]) -> dict[str, str]:
    """What is wrong with what the probes said; all are made, many at a time."""
    turns = {True: asyncio.Semaphore(WAITING_AT_ONCE), False: asyncio.Semaphore(BUSY_AT_ONCE)}
    wrong: dict[str, str] = {}

    async def one(name: str, place: Place, options: CheckOptions, right: set[Reason]) -> None:
        waits = right <= TIMEOUTS or getattr(options, "silence", False)
        async with turns[waits], place as target:
            for timeout_s in TIMEOUTS_S if waits else (PATIENCE_S,):
                said = await told(target, options, right, timeout_s)
                if said is None:
                    wrong.pop(name, None)
                    return
                wrong[name] = said

    before = asyncio.all_tasks()
    await asyncio.gather(*(one(*case) for case in cases))
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - before:
        wrong[str(task)] = "was left"
    return wrong


async def probe(target: Target, options: CheckOptions, timeout_s: float) -> tuple[Result, float]:
    """The result, and how long it took to come."""
    if options.port is not None:
        options = replace(options, port=target.port)
    check = Check("k", target, options, Timing(interval=timeout_s, timeout=timeout_s))
    started = time.monotonic()
    return await run_once(check), time.monotonic() - started


@asynccontextmanager
async def at(target: Target) -> AsyncIterator[Target]:
    yield target


def expected(row: Row, usual: Mapping[str, set[Reason]]) -> Mapping[str, set[Reason]]:
    own = {state: {reason} for state, reason in row.differs.items()}
    assert set(own) <= set(usual)
    if "resets" in own:
        own["resets"].add(RESET)
    wrong = {} if row.wrong is None else {"wrong answer": {row.of_wrong}}
    return {**usual, **own, **wrong}


def in_the_clear(row: Row) -> Mapping[str, Behaviour]:
    found = {
        "silent": behaviours.silent,
        "drips": behaviours.dripping(row.opening),
        "resets": behaviours.resets,
        "closes": behaviours.closes,
        "garbage": behaviours.saying_and_closing(GARBAGE),
        "endless": behaviours.endless(b"x"),
        "endless lines": behaviours.endless(LINES),
    }
    if row.wrong is not None:
        answer = row.wrong
        found["wrong answer"] = (
            behaviours.saying(answer(b"")) if row.first else behaviours.answering(answer)
        )
    return found


def over_tls(row: Row, contexts: Mapping[str, ssl.SSLContext]) -> Mapping[str, Behaviour]:
    """TLS begins midway where the row says so: what is wrong is so from there on."""
    right = contexts["right"]
    found = {
        "silent": behaviours.silent,
        "drips": behaviours.dripping(UNFINISHED_TLS),
        "resets": behaviours.resets,
        "closes": behaviours.closes,
        "garbage": behaviours.answering(lambda _: GARBAGE),
        "endless": behaviours.endless(b"x"),
        "no TLS": behaviours.answering(lambda _: b"220 hello\r\n"),
        "silent within": behaviours.secured(right, lambda _: b""),
        "closes within": behaviours.secured(right, None),
    }
    for state in ("expired", "expires soon", "wrong name", "untrusted"):
        found[state] = behaviours.secured(
            contexts[state], row.wrong or (lambda _: b""), first=row.first
        )
    if row.wrong is not None:
        found["wrong answer"] = behaviours.secured(right, row.wrong, first=row.first)
    if not row.begins:
        return found
    midway = {
        state: behaviours.after(row.begins, row.agrees, behaviour, hello=state in BEFORE_TLS)
        for state, behaviour in found.items()
    }
    said_together = row.agrees + GARBAGE
    midway["injected"] = behaviours.after(row.begins, said_together, behaviours.silent, hello=False)
    return midway


def connecting_cases(
    row: Row, found: Mapping[str, Behaviour], usual: Mapping[str, set[Reason]], full: Target
) -> Iterator[Case]:
    """A case for every state that is expected; a state without a behaviour is a KeyError."""
    for state, right in expected(row, usual).items():
        if state == "refused":
            place: Place = behaviours.refusing()
        elif state == "full":
            place = at(full)
        else:
            place = behaviours.serving(found[state])
        yield f"{form(row.options)}: {state}", place, row.options, right


def test_in_the_clear(no_leak: None) -> None:
    rows = [row for row in CLEAR_ROWS if os.geteuid() == 0 or "half" not in form(row.options)]
    with servers.full_backlog() as full:
        cases = [
            case
            for row in rows
            for case in connecting_cases(row, in_the_clear(row), IN_THE_CLEAR, full)
        ]
        assert asyncio.run(judge(cases)) == {}
    if len(rows) < len(CLEAR_ROWS):
        missing("without root, all but the half-open probes were tested")


def test_over_tls(authority: trustme.CA, ca_file: str, no_leak: None) -> None:
    contexts = server_sides(authority)
    with servers.full_backlog() as full:
        cases: list[Case] = []
        for row in TLS_ROWS:
            usual = {**OVER_TLS, **INJECTED} if row.begins else OVER_TLS
            sure = replace(row, options=trusting(row.options, ca_file))
            cases += connecting_cases(sure, over_tls(row, contexts), usual, full)
        assert asyncio.run(judge(cases)) == {}


def trusting(options: CheckOptions, ca_file: str) -> CheckOptions:
    trust: dict[str, object] = {"ca": ca_file, "server_name": NAME, "days_left": 7}
    return replace(options, **trust)  # type: ignore[arg-type]


def server_sides(authority: trustme.CA) -> Mapping[str, ssl.SSLContext]:
    """What servers show: what is right, and what is wrong in each way."""
    now = datetime.now(UTC)
    issued = {
        "right": authority.issue_cert(NAME),
        "expired": authority.issue_cert(NAME, not_after=now - timedelta(days=1)),
        "expires soon": authority.issue_cert(NAME, not_after=now + timedelta(days=3)),
        "wrong name": authority.issue_cert("other.example"),
        "untrusted": trustme.CA().issue_cert(NAME),
    }
    contexts = {}
    for state, certificate in issued.items():
        contexts[state] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        contexts[state].set_alpn_protocols(["h2", "http/1.1"])
        certificate.configure_cert(contexts[state])
    return contexts


def test_datagrams(no_leak: None) -> None:
    cases: list[Case] = []
    for row in DATAGRAM_ROWS:
        assert row.wrong is not None
        assert row.others is not None
        wrong, others = row.wrong, row.others
        found: Mapping[str, datagrams.Answering] = {
            "silent": datagrams.silent,
            "garbage": lambda _: (GARBAGE,),
            "empty": lambda _: (b"",),
            "wrong answer": lambda data, wrong=wrong: (wrong(data),),  # type: ignore[misc]
            "answers others": lambda data, others=others: (others(data),) * 200,  # type: ignore[misc]
        }
        for state, right in expected(row, DATAGRAMS).items():
            place = (
                behaviours.refusing(socket.SOCK_DGRAM)
                if state == "refused"
                else datagrams.serving(found[state])
            )
            cases.append((f"{form(row.options)}: {state}", place, row.options, right))
    assert asyncio.run(judge(cases)) == {}


def test_no_end_is_ever_kept(authority: trustme.CA, ca_file: str) -> None:
    """What a server without end sends is not what a probe holds."""
    right = server_sides(authority)["right"]
    anything = set(Reason)
    cases: list[Case] = [
        (f"{form(row.options)}: {state}", behaviours.serving(found), row.options, anything)
        for row in CLEAR_ROWS
        for state, found in in_the_clear(row).items()
        if state.startswith("endless") and "half" not in form(row.options)
    ]
    for row in TLS_ROWS:
        within = behaviours.secured_endless(right, b"x" * 5000)
        if row.begins:
            within = behaviours.after(row.begins, row.agrees, within, hello=False)
        options = trusting(row.options, ca_file)
        cases.append((form(row.options), behaviours.serving(within), options, anything))

    async def peak_of_each() -> dict[str, int]:
        peaks = {}
        for case in cases:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            assert await judge([case]) == {}
            peaks[case[0]] = tracemalloc.get_traced_memory()[1] - before
        return peaks

    tracemalloc.start()
    try:
        peaks = asyncio.run(peak_of_each())
    finally:
        tracemalloc.stop()
    assert {name: peak for name, peak in peaks.items() if peak > MEMORY_PER_PROBE} == {}


@pytest.mark.parametrize(
    ("shell", "reason"),
    [
        ("exit 3", Reason.SCRIPT_FAILED),
        ("kill -KILL $$", Reason.SCRIPT_FAILED),
        ("exec sleep 60", Reason.SCRIPT_TIMEOUT),
        ("trap '' TERM INT HUP; sleep 60; sleep 60", Reason.SCRIPT_TIMEOUT),
        ("while :; do echo -n x; sleep 0.1; done", Reason.SCRIPT_TIMEOUT),
        ("exec cat /dev/zero", Reason.SCRIPT_TIMEOUT),
        ("head -c 9000 /dev/urandom; exit 1", Reason.SCRIPT_FAILED),
        ("sleep 60 & sleep 60 & wait", Reason.SCRIPT_TIMEOUT),
    ],
)
def test_scripts(shell: str, reason: Reason, no_leak: None) -> None:
    options = ScriptOptions(shell=shell)
    cases: list[Case] = [(shell, at(Target(servers.LOOPBACK, 9)), options, {reason})]
    assert asyncio.run(judge(cases)) == {}


def test_files(tmp_path: Path, no_leak: None) -> None:
    absent, present = str(tmp_path / "absent"), tmp_path / "present"
    present.write_text("down\n")
    cases: list[Case] = [
        (f"{file} means {means}", at(Target(servers.LOOPBACK, 9)), options, {Reason.FILE})
        for file, means, options in (
            (absent, "up", FileOptions(file=absent, means="up")),
            (present, "down", FileOptions(file=str(present), means="down")),
            (present, "says", FileOptions(file=str(present), means="says")),
        )
    ]
    assert asyncio.run(judge(cases)) == {}


@pytest.mark.parametrize("content", ["", "half-writ", "x" * 2**20, "\0\0"])
def test_a_file_that_says_nothing_is_held_against_nobody(content: str, tmp_path: Path) -> None:
    file = tmp_path / "said"
    file.write_text(content)
    options = FileOptions(file=str(file), means="says")
    with pytest.raises(ProbeError, match="said"):
        asyncio.run(probe(Target(servers.LOOPBACK, 9), options, PATIENCE_S))
