"""Samples of connections, from the kernel's lines."""

from __future__ import annotations

from hadirector.peer import steady

LINES = """\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C0000201 C350 C0000264 0050 C6336415 1F90 ESTABLISHED     899
TCP C0000201 C351 C0000264 0050 C6336415 1F90 FIN_WAIT         12
UDP C0000201 C352 C0000264 0035 C6336415 0035 UDP             300
TCP 2001:0db8:0000:0000:0000:0000:0000:0001 C353 2001:0db8::64 0050 2001:db8::15 0050 ESTABLISHED 9
not a line
""".splitlines(keepends=True)
FIRST = "C0000201 C350 C0000264 0050"


def test_established_tcp_connections_are_sampled_up_to_a_bound() -> None:
    found = steady.established(LINES)
    assert found[FIRST] == 899
    assert len(found) == 2
    assert steady.established(LINES, 1) == {FIRST: 899}


def test_what_has_had_no_packet_meanwhile_may_have_ended_elsewhere() -> None:
    first = {"flows": 890, "idle": 899, "gone": 899}
    assert steady.alive(first, {"flows": 899, "idle": 896, "new": 899}) == ["flows"]
    assert steady.alive({"flows": 899}, {"flows": 898}) == ["flows"]


def test_those_held_are_found_whatever_their_state() -> None:
    closing = "C0000201 C351 C0000264 0050"
    assert steady.held(LINES, [FIRST, closing, "C0000201 FFFF C0000264 0050"]) == [FIRST, closing]
    assert steady.held(LINES, []) == []
