"""Connections too young for the peer to know of, by the kernel's counter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hadirector.connection_sync import SYNC_WINDOW_S
from hadirector.peer.young import Young, begun

STATISTICS = """\
   Total Incoming Outgoing         Incoming         Outgoing
   Conns  Packets  Packets            Bytes            Bytes
     1F4      7D0        0            1F400                0

 Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
       A       28        0              A00                0
"""


def test_the_kernels_counter_is_hexadecimal_and_may_be_absent() -> None:
    assert begun(STATISTICS) == 500
    assert begun("") == 0


def test_what_began_within_the_window_is_young() -> None:
    young = Young()
    assert young.note(100, 0.0) == 0
    assert young.note(130, 1.0) == 30
    assert young.note(160, 3.0) == 60
    assert young.note(160, 4.0) == 30
    assert young.note(160, 60.0) == 0
    assert young.note(0, 61.0) == 0  # the module was loaded anew


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0.1, 2.0)), min_size=1, max_size=100))
def test_never_fewer_than_there_are(steps: list[tuple[int, float]]) -> None:
    young, total, now = Young(), 0, 0.0
    began: list[tuple[float, int]] = []
    young.note(0, now)
    for more, passes in steps:
        now += passes
        total += more
        began.append((now, more))
        within = sum(count for at, count in began if at > now - SYNC_WINDOW_S)
        assert young.note(total, now) >= within
