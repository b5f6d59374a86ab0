"""What is worth keeping of a check while nobody runs it: across a restart of its owner.

The problem: after a restart a server that was down would be let in by one lucky answer, one about
to fall would start counting anew, and "why did it fail last night?" would have no answer. The
approach: state, counters and the last results as a value with the check's digest, and its JSON. It
holds for a check with the same digest only; how old it may be is its owner's to decide.

Reading is strict: what is not exactly a memory raises, and costs only itself. Must never keep a
transcript, nor more results than `limits.RESULTS_REMEMBERED_MAX`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from checkers import limits
from checkers.base import Reason, Result
from checkers.health import Health, State
from checkers.strict import as_number, as_text, as_whole

Json = Mapping[str, object]
_SENTENCE_CHARACTERS_MAX = 1000


class MemoryFault(ValueError):  # noqa: N818 - no error of anybody here
    """That is no memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One check as it was."""

    digest: str
    state: State
    since: float
    sentence: str
    passes: int
    failures: int
    held_since: float | None
    passed: int
    failed: int
    results: tuple[Result, ...] = ()
    """The last ones, oldest first; without transcript and advice."""


def to_json(memory: Memory) -> dict[str, object]:
    """What `from_json` reads again."""
    return {
        "digest": memory.digest,
        "state": str(memory.state),
        "since": memory.since,
        "sentence": _short(memory.sentence),
        "counts": [memory.passes, memory.failures, memory.passed, memory.failed],
        "held_since": memory.held_since,
        "results": [
            [
                one.at,
                one.healthy,
                str(one.reason),
                one.latency_ms,
                one.sentence[:_SENTENCE_CHARACTERS_MAX],
            ]
            for one in memory.results[-limits.RESULTS_REMEMBERED_MAX :]
        ],
    }


def from_json(data: object) -> Memory:
    """The memory again; raises MemoryFault for anything else."""
    try:
        assert isinstance(data, Mapping)
        passes, failures, passed, failed = map(as_whole, _items(data["counts"], 4))
        if passes and failures:
            raise ValueError("passes and failures in a row")
        held = data["held_since"]
        results = data["results"]
        assert isinstance(results, list)
        return Memory(
            digest=_text(data["digest"]),
            state=State(_text(data["state"])),
            since=as_number(data["since"]),
            sentence=_text(data["sentence"]),
            passes=passes,
            failures=failures,
            held_since=None if held is None else as_number(held),
            passed=passed,
            failed=failed,
            results=tuple(map(_result, results[-limits.RESULTS_REMEMBERED_MAX :])),
        )
    except (AssertionError, KeyError, ValueError) as error:
        raise MemoryFault(f"no memory of a check: {error!r}") from error


def recall(health: Health, memory: Memory) -> None:
    """Let a machine that has just started go on where another one with the same check ended.

    One that was down is down again, and needs its passes. One that was up goes on being up only if
    the machine starts up (adopted): what it was in before may be gone, as after a reboot. One that
    starts up although it was down stays up, for somebody put it there; held ones stay held.
    """
    if memory.state is State.UNKNOWN:
        return
    held = memory.held_since if health.manual_resume else None
    if held is None and (health.state is State.UP) is not (memory.state is State.UP):
        return
    health.restore(
        memory.state,
        since=memory.since,
        sentence=memory.sentence,
        passes=memory.passes,
        failures=memory.failures,
        held_since=held,
    )


def _result(data: object) -> Result:
    at, healthy, reason, latency_ms, sentence = _items(data, 5)
    assert isinstance(healthy, bool)
    return Result(
        healthy=healthy,
        reason=Reason(_text(reason)),
        sentence=_text(sentence),
        latency_ms=as_number(latency_ms),
        at=as_number(at),
    )


def _short(sentence: str) -> str:
    return sentence[:_SENTENCE_CHARACTERS_MAX]


def _items(data: object, count: int) -> list[object]:
    if not isinstance(data, list) or len(data) != count:
        raise ValueError(f"{data!r} is no list of {count}")
    return data


def _text(value: object) -> str:
    return as_text(value, _SENTENCE_CHARACTERS_MAX)
