"""`hadirector drill probe URL`: ask a virtual address many times a second, and tell of each gap."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import asdict
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from hadirector.cli.arguments import address, duration
from hadirector.cli.errors import EXIT_CANNOT, EXIT_INVALID, EXIT_NO, EXIT_YES, CliError

if TYPE_CHECKING:
    from hadirector.drill.probing import Prober
    from hadirector.lab.samples import Summary

SUMMARY = "ask a virtual address many times a second, and measure the outage"
LOOK_S = 0.01
GAP_TOLD_MS = 100.0
LINE_EVERY_S = 0.05
INPUT_BYTES = 4096
KEPT_MAX = 1000
SECONDS_MAX = 86_400.0

_EPILOG = """\
Run it on a client, beside whatever you do to the pair. It needs no daemon and no configuration.

  hadirector drill probe tcp://192.0.2.100:80                     until Ctrl-C
  hadirector drill probe http://192.0.2.100:80/ready --seconds 30 --budget 500ms
  hadirector drill probe udp://192.0.2.100:53 --send hello --every 20ms
  hadirector drill probe ping://192.0.2.100 --source 203.0.113.7

Where a director itself asks for an address that it holds, no packet leaves it: probe from a client.

exit codes: 0 no gap beyond the budget; 1 there was one, or nobody ever answered; 2 wrong usage;
3 no probe could be made"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the word."""
    parser.epilog = _EPILOG
    parser.add_argument("url", metavar="URL", help="tcp://, http://, udp:// or ping://")
    parser.add_argument(
        "--every", type=duration, default=0.01, metavar="TIME", help="(default: 10ms)"
    )
    parser.add_argument(
        "--timeout", type=duration, default=1.0, metavar="TIME", help="of each (default: 1s)"
    )
    parser.add_argument("--seconds", type=float, metavar="N", help="end by itself (default: not)")
    parser.add_argument("--source", type=address, metavar="ADDRESS", help="ask from this address")
    parser.add_argument("--send", metavar="TEXT", help="what to say (tcp, udp)")
    parser.add_argument("--expect", metavar="TEXT", help="what must come back (tcp, udp)")
    parser.add_argument(
        "--budget", type=duration, metavar="TIME", help="a longer gap makes the exit code 1"
    )
    parser.add_argument(
        "--keep",
        type=int,
        default=0,
        metavar="N",
        help="hold N TCP connections open, and count at the end those that still are (tcp, http)",
    )
    told = parser.add_mutually_exclusive_group()
    told.add_argument("--json", action="store_true", help="print one JSON object at the end")
    told.add_argument(
        "--lines",
        action="store_true",
        help="a JSON object a line, as it goes; ends with standard input: for programs",
    )


def execute(args: argparse.Namespace) -> int:
    """Probe, tell, and judge."""
    from hadirector.drill.kept_open import KeptOpen
    from hadirector.drill.probing import AimError, Prober, aim_at

    if not 0.001 <= args.every <= 60 or not 0.01 <= args.timeout <= 60:
        sentence = "--every takes 1ms to 60s, --timeout 10ms to 60s"
        raise CliError(sentence, "see: hadirector drill probe --help", EXIT_INVALID)
    if args.seconds is not None and not 0 < args.seconds <= SECONDS_MAX:
        raise CliError("--seconds takes up to a day", "leave it out to end by hand", EXIT_INVALID)
    try:
        aim = aim_at(args.url, source=args.source, send=args.send, expect=args.expect)
    except AimError as error:
        raise CliError(str(error), error.hint, EXIT_INVALID) from error
    if not 0 <= args.keep <= KEPT_MAX or (args.keep and not args.url.startswith(("tcp", "http"))):
        sentence = f"--keep takes up to {KEPT_MAX} connections, to tcp:// or http://"
        raise CliError(sentence, "leave it out", EXIT_INVALID)
    prober = Prober(aim, every_s=args.every, bound_s=args.timeout)
    with KeptOpen(aim.target, args.keep) as kept:
        how = _Tell.LINES if args.lines else _Tell.NOTHING if args.json else _Tell.GAPS
        ended_at = asyncio.run(_probe(prober, args.seconds or SECONDS_MAX, how))
        summary, counted = prober.summary(until=ended_at), kept.count()
    facts = {**_as_json(args.url, summary, prober.explained), "connections": asdict(counted)}
    if args.lines:
        began_at = time.time() - (time.monotonic() - summary.gap_began_at)
        _line("summary", gap_began_at=began_at, **facts)
    elif args.json:
        print(json.dumps(facts, indent=2))
    else:
        _show(summary, prober.explained)
        if args.keep:
            print(f"kept       {counted.kept} of {counted.opened} connections")
    return verdict(summary, budget_ms=None if args.budget is None else args.budget * 1000)


def verdict(summary: Summary, *, budget_ms: float | None) -> int:
    """The exit code of what was seen."""
    if not summary.answers:
        return EXIT_CANNOT if set(summary.failures) <= {"socket"} else EXIT_NO
    return EXIT_NO if budget_ms is not None and summary.longest_gap_ms > budget_ms else EXIT_YES


class _Tell(Enum):
    GAPS = "gaps"
    LINES = "lines"
    NOTHING = "nothing"


async def _probe(prober: Prober, seconds: float, how: _Tell) -> float:
    """Until the time is over or somebody interrupts; returns when that was (monotonic)."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    if how is _Tell.LINES:

        def read() -> None:
            if not os.read(0, INPUT_BYTES):
                ended.set()

        loop.add_reader(0, read)
    until = time.monotonic() + seconds
    running = asyncio.create_task(prober.run(until))
    watch = _report(prober) if how is _Tell.LINES else _watch(prober, tell=how is _Tell.GAPS)
    watching = asyncio.create_task(watch)
    stopping = asyncio.create_task(ended.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    now = min(time.monotonic(), until)
    loop.remove_reader(0)
    for task in (running, watching, stopping):
        task.cancel()
    await asyncio.gather(running, watching, stopping, return_exceptions=True)
    if running.done() and not running.cancelled() and (error := running.exception()) is not None:
        raise error
    return now


async def _watch(prober: Prober, *, tell: bool) -> None:
    """Tell of each gap when it begins to be one and when it ends."""
    longest = 0.0
    while True:
        await asyncio.sleep(LOOK_S)
        silent = prober.silent_ms()
        if silent > GAP_TOLD_MS:
            if tell and not longest:
                print(f"{_clock()} no answer", flush=True)
            longest = max(longest, silent)
        elif longest:
            if tell:
                print(f"{_clock()} answered again after {longest:.0f} ms", flush=True)
            longest = 0.0


async def _report(prober: Prober) -> None:
    """Say many times a second, to a program, how long nobody has answered."""
    while True:
        _line("silent", ms=round(prober.silent_ms(), 1), answered=prober.has_answer)
        await asyncio.sleep(LINE_EVERY_S)


def _line(event: str, **facts: object) -> None:
    print(json.dumps({"event": event, "now": time.time(), **facts}), flush=True)


def _clock() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S.%f")[:-3]


def _show(summary: Summary, explained: dict[str, str]) -> None:
    latency = summary.latency_ms_median
    print(f"requests   {summary.requests}, lost {summary.lost}")
    print(f"outage     {summary.longest_gap_ms:.0f} ms, the longest time without an answer")
    print(f"stalled    {summary.stalled_ms:.0f} ms, this host itself; not in the outage")
    if latency is not None:
        print(f"latency    {latency:.1f} ms (median)")
    for cause, count in summary.failures.items():
        print(f"lost by    {cause}: {count} ({explained.get(cause, '')})")
    with contextlib.suppress(OSError):
        sys.stdout.flush()


def _as_json(url: str, summary: Summary, explained: dict[str, str]) -> dict[str, Any]:
    latency = summary.latency_ms_median
    return {
        "url": url,
        "outage_ms": round(summary.longest_gap_ms, 1),
        "stalled_ms": round(summary.stalled_ms, 1),
        "requests": summary.requests,
        "requests_lost": summary.lost,
        "losses": dict(summary.failures),
        "why": dict(explained),
        "latency_ms": None if latency is None else round(latency, 3),
    }
