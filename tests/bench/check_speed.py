"""What checks cost: processor seconds per 1,000, beside the packaged keepalived in one run.

Usage: python -m tests.bench.check_speed [--seconds 10] [CASE ...]

A case is KIND:SERVERS:INTERVAL_S; by default TCP and HTTP with 1,000 and 5,000 servers at 1 s, TCP
half-open and held, and 10,000 TCP servers at 2 s. The servers are loopback addresses, with one
nginx behind all of them, which counts what keepalived asks. Keepalived's calls to IPVS are answered
by a library of our own (answered_ipvs.c), for want of an IPVS kernel on many a host. Needs root.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from tests.bench.checking import FIRST
from tests.bench.report import cpu_s

CASES = (
    "connect:1000:1",
    "connect:5000:1",
    "half_open:1000:1",
    "half_open:5000:1",
    "hold:1000:1",
    "http:1000:1",
    "connect:10000:2",
)
PORT = 8099
NGINX = """
daemon off; master_process off; pid {place}/nginx.pid; error_log {place}/error.log;
worker_rlimit_nofile 16384;
events {{ worker_connections 12000; }}
http {{
    access_log off; keepalive_timeout 0;
    server {{
        listen 0.0.0.0:{port} backlog=8192;
        location = /ok {{ return 200 "fine"; }}
        location = /count {{ stub_status; }}
    }}
}}
"""
PEER = {
    "connect": "TCP_CHECK {{\n connect_timeout 1\n }}",
    "http": "HTTP_GET {{\n url {{\n path /ok\n status_code 200\n }}\n connect_timeout 1\n }}",
}


@contextmanager
def server(place: Path) -> Iterator[None]:
    """The nginx behind all addresses."""
    config = place / "nginx.conf"
    config.write_text(NGINX.format(place=place, port=PORT))
    errors = str(place / "error.log")
    process = subprocess.Popen(["nginx", "-p", str(place), "-e", errors, "-c", str(config)])
    try:
        give_up = time.monotonic() + 10
        while True:
            try:
                accepted()
                break
            except OSError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def accepted() -> int:
    """Connections that the server took until now."""
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/count", timeout=5) as answer:
        found = re.search(r"\n\s*(\d+) \d+ \d+", answer.read().decode())
    assert found is not None
    return int(found[1])


def keepalived_config(kind: str, count: int, interval: float) -> str:
    """The same checks for keepalived."""
    check = PEER[kind].format()
    servers = "\n".join(
        f"real_server {FIRST + number} {PORT} {{\n weight 1\n {check}\n}}"
        for number in range(count)
    )
    return (
        "global_defs {\n router_id bench\n}\n"
        f"virtual_server {IPv4Address('192.0.2.1')} 80 {{\n"
        f"delay_loop {interval:g}\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n{servers}\n}}\n"
    )


def keepalived(case: tuple[str, int, float], seconds: float, place: Path) -> dict[str, float]:
    """One run of keepalived; its library of answers is in `place`."""
    kind, count, interval = case
    config = place / "keepalived.conf"
    config.write_text(keepalived_config(kind, count, interval))
    command = ["keepalived", "-C", "-n", "-G", "-f", str(config)]
    command += ["-p", str(place / "k.pid"), "-c", str(place / "c.pid")]
    environment = {**os.environ, "LD_PRELOAD": str(place / "answered.so")}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        time.sleep(4 + 2 * interval)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        pids = [process.pid, *map(int, children)]
        began, used, before = time.monotonic(), sum(map(cpu_s, pids)), accepted()
        time.sleep(seconds)
        return {
            "probes": accepted() - before - 1,  # one was ours, for the count
            "processor_s": sum(map(cpu_s, pids)) - used,
            "seconds": time.monotonic() - began,
        }
    finally:
        process.terminate()
        process.wait(timeout=60)


def hadirector(case: tuple[str, int, float], seconds: float) -> dict[str, float]:
    """One run of ours."""
    kind, count, interval = case
    command = [sys.executable, "-m", "tests.bench.checking", str(count), kind]
    run = subprocess.run(
        [*command, str(interval), str(seconds), str(PORT)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60 + 5 * seconds,
    )
    found: dict[str, float] = json.loads(run.stdout)
    return found


def per_thousand(found: dict[str, float]) -> float:
    """Processor seconds per 1,000 probes."""
    return 1000 * found["processor_s"] / max(found["probes"], 1)


def measure(case: tuple[str, int, float], seconds: float, place: Path) -> None:
    """One row."""
    kind, count, interval = case
    peer = keepalived((kind if kind == "http" else "connect", count, interval), seconds, place)
    ours = hadirector(case, seconds)
    wanted = count / interval
    ratio = per_thousand(ours) / per_thousand(peer) if peer["probes"] else 0.0
    print(
        f"{kind:<10}{count:>6} at {interval:g} s"
        f"{per_thousand(ours):>14.4f}{per_thousand(peer):>14.4f}{ratio:>9.2f}"
        f"{ours['probes'] / ours['seconds'] / wanted:>10.1%}"
        f"{peer['probes'] / peer['seconds'] / wanted:>10.1%}"
        f"{ours['gap_s'] / interval:>10.1%}{ours['failed']:>8.0f}{ours['resident_mb']:>8.0f}",
        flush=True,
    )


def main() -> int:
    """Measure and print; exit status 0, or 3 where something is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.check_speed")
    parser.add_argument("cases", nargs="*", default=CASES, metavar="CASE")
    parser.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    missing = [name for name in ("keepalived", "nginx", "cc") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        print(f"this needs root, and {', '.join(missing) or 'nothing else'}", file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        source = Path(__file__).with_name("answered_ipvs.c")
        library = ["-o", str(place / "answered.so"), str(source), "-ldl"]
        subprocess.run(["cc", "-shared", "-fPIC", *library], check=True)
        print(
            f"{'':<22}{'hadirector':>14}{'keepalived':>14}{'ratio':>9}{'held':>10}{'held':>10}"
            f"{'gap':>10}{'failed':>8}{'MB':>8}"
        )
        with server(place):
            for case in asked.cases:
                kind, count, interval = case.split(":")
                measure((kind, int(count), float(interval)), asked.seconds, place)
    print("processor seconds per 1,000 probes; held: of the probes due; gap: the greatest between")
    print("two results of one check, of the interval; failed and resident memory: ours")
    return 0


if __name__ == "__main__":
    sys.exit(main())
