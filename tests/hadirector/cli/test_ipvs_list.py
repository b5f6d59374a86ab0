"""`ipvs list --connections` needs no more memory for a large table than for a small one."""

import os
import tracemalloc
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from hadirector.cli.ipvs_list import show_connections
from hadirector.ipvs.connections import Filter

LINE = "TCP C0000201 {:04X} C0000264 0050 C6336415 1F90 ESTABLISHED     899\n"
PEAK_BYTES_MAX = 400_000
"""Ten thousand connections have 6 MB as objects, 1 MB as lines of text."""


@pytest.mark.parametrize("as_json", [False, True])
def test_memory_does_not_grow_with_the_table(as_json: bool) -> None:
    def peak(count: int) -> int:
        lines = (LINE.format(1 + number) for number in range(count))
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            tracemalloc.start()
            try:
                assert show_connections(lines, Filter(), as_json=as_json) == 0
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    peak(10)  # what is made once and kept
    assert peak(10_000) - peak(100) < PEAK_BYTES_MAX
