"""All benchmarks, one after the other: `make bench`, or `make bench ARGS="failover"` for some.

Each measures us beside the packaged peer in one run and prints a table with ratios: times of one
machine on one day say little, what the two need beside each other says more. Exit status: 0 all
ran; else that of the last one that did not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

BENCHMARKS = {
    "ipvs_program": "how fast a table reaches the kernel (ipvsadm, keepalived)",
    "sync_decoder": "how many records of connection sync one core decodes",
    "reload": "what a reload costs that changes one server (keepalived)",
    "stop": "how soon a stop has emptied a large table (keepalived)",
    "audit": "from a verdict to the kernel while a large table is audited",
    "scale": "very large tables, and many connections (ipvsadm)",
    "failover": "what a failover costs clients (keepalived)",
    "switchover": "what a planned switchover costs clients (keepalived)",
    "steady": "whether roles stay while all processors are busy, for 30 minutes (keepalived)",
    "survival": "how many connections survive a failover (keepalived)",
    "check_speed": "processor time of TCP and HTTP checks (keepalived)",
    "server_death": "from a server's death to the kernel's table (keepalived)",
    "soak": "1,000 silent servers beside 1,000 healthy ones: who waits, what leaks",
    "workers": "10,000 TCP servers at 2 s on one process and with check workers",
    "lateness": "how late adverts are beside 5,000 checks (keepalived)",
    "many_routers": "processor time and memory of many virtual routers (keepalived)",
}


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    asked = parser.parse_args().names or list(BENCHMARKS)
    if unknown := set(asked) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there is {', '.join(BENCHMARKS)}")
    status = 0
    for name in asked:
        print(f"== {name}: {BENCHMARKS[name]}", flush=True)
        command = [sys.executable, "-m", f"tests.bench.{name}"]
        status = (
            subprocess.run(command, cwd=Path(__file__).parents[2], check=False).returncode or status
        )
    return status


if __name__ == "__main__":
    sys.exit(main())
