"""The screen that operators look at at night, line by line, in a narrow and in a wide terminal."""

import copy

import pytest

from hadirector.cli.screen import LEAVING_SHOWN_MAX, UP_SHOWN_MAX, ago, screen
from tests.hadirector.cli.made_up import NOW, STATUS, Json, server

NARROW = """\
lb1 · /etc/hadirector.yaml · 3f2a9c81d2aa · up 2d 7h
trouble: a restart would fail: reload refused, everything goes on as before:
         /etc/hadirector.yaml:24:16: error: services[0].scheduler: unknown
         scheduler

  virtual router  state   since  vrid     holds
  front           active  2d 7h  51 eth0  192.0.2.100/24
      no other active router was heard for 3.01 s
  back            active  2d 7h  52 eth0  198.51.100.1/24
      moves together with front

web  tcp://192.0.2.100:80, wlc, nat
  1 of 2 servers up, quorum 1 met
  server              state     since   weight  active  idle
  198.51.100.21:8080  up        1h 0m        1      12   340
  198.51.100.22:8080  down      1m 32s     out       –     –
      3 failures in a row, the last: refused (L4) after 0.3 ms
  198.51.100.29:8080  fallback  –          out       –     –

mail  tcp://192.0.2.100:80, wlc, nat
  0 of 1 servers up, quorum 1 not met, fallback server [2001:db8::29]:25 serves
  server             state     since  weight  active  idle
  [2001:db8::21]:25  down      12s       out       –     –
      3 failures in a row, the last: status 503 instead of 200 (L7): "upstream
      connect error or disconnect/reset before headers" after 12 ms
  [2001:db8::29]:25  fallback  –           1      12   340
      serves: every server is down

leaving: servers that left the file, removed once their connections have ended
  server                  since  left  active  idle  persist
  web/198.51.100.27:8080  9s      21s       3    40        0

table: audit: the table matches (3s ago)
       tcp 203.0.113.9:80 is somebody else's, left alone
peer: lb2: front backup, the same file, 2 servers up (1m 0s)
      switchover to lb2 planned in 90 s, by root
processes: supervisor 811, vrrp down, director 9120 (restarted 1×, last 11m 40s
           ago)
           check worker 1 9121: 5012 probes, at most 1.5 ms late
           check worker 2 down (restarted 4×, last 1m 20s ago): 4988 probes
"""

WEB_WHEN_WIDE = """\
  server              state     since   weight  active  idle  why
  198.51.100.21:8080  up        1h 0m        1      12   340  2 passes in a row, the last: status 200 in 1.3 ms
  198.51.100.22:8080  down      1m 32s     out       –     –  3 failures in a row, the last: refused (L4) after 0.3 ms
  198.51.100.29:8080  fallback  –          out       –     –  not needed: 1 of 2 servers up
"""  # noqa: E501 - it is wide


def shown(status: Json, *, width: int, all_servers: bool = False) -> str:
    lines = screen(status, width=width, now=NOW, all_servers=all_servers)
    return "".join(f"{line.plain}\n" for line in lines)


def test_eighty_columns_hold_every_reason_that_matters() -> None:
    assert shown(STATUS, width=80) == NARROW


def test_a_wide_terminal_shows_all_reasons_beside_their_rows() -> None:
    assert WEB_WHEN_WIDE in shown(STATUS, width=120)


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(len(line) for line in shown(STATUS, width=width).splitlines()) <= width


def test_of_many_servers_the_bad_ones_are_always_shown() -> None:
    status = copy.deepcopy(STATUS)
    down = server("198.51.100.9:80", "down", why="refused", weight=None)
    status["services"][0]["servers"] = [*(server(f"10.0.0.{n}:80") for n in range(200)), down]
    text = shown(status, width=80)
    assert "198.51.100.9:80" in text
    assert f"and {200 - UP_SHOWN_MAX} more that are up (--all shows them)" in text
    assert text.count("10.0.0.") == UP_SHOWN_MAX
    assert shown(status, width=80, all_servers=True).count("10.0.0.") == 200


def test_what_is_overridden_by_hand_is_never_hidden_and_says_since_when() -> None:
    status = copy.deepcopy(STATUS)
    drained = server("198.51.100.9:80", weight=0, why="drained by hand (root); its check: 2 passes")
    order = {"order": "drain", "weight": None, "by": "root", "since": NOW - 65}
    drained["overrides"] = [order]
    status["services"][0]["servers"] = [*(server(f"10.0.0.{n}:80") for n in range(99)), drained]
    text = shown(status, width=80)
    assert "198.51.100.9:80     up drained  1h 0m       0" in text
    assert "      drained by hand (root); its check: 2 passes (drain 1m 5s ago)" in text


def test_a_server_that_is_up_with_a_warning_is_never_hidden() -> None:
    status = copy.deepcopy(STATUS)
    warned = server("198.51.100.9:80", why="2 passes")
    warned["warnings"] = ["check tls warns: it expires"]
    status["services"][0]["servers"] = [*(server(f"10.0.0.{n}:80") for n in range(99)), warned]
    text = shown(status, width=80)
    assert "198.51.100.9:80     up " in text
    assert "2 passes; check tls warns: it expires" in text


def test_a_director_that_is_starting_says_so() -> None:
    status = {**STATUS, "ready": False, "routers": [], "services": [], "trouble": []}
    assert shown(status, width=80).splitlines()[1].startswith("starting: not every check")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (0, "0s"), (59, "59s"), (60, "1m 0s"), (3725, "1h 2m"), (200_000, "2d 7h")],
)
def test_ages(seconds: float, text: str) -> None:
    assert ago(NOW - seconds, NOW) == text
    assert ago(None, NOW) == "–"


def test_of_many_that_leave_the_first_are_shown_and_the_rest_is_counted() -> None:
    status = copy.deepcopy(STATUS)
    [one] = status["leaving"]
    status["leaving"] = [one | {"name": f"web/10.0.0.{n}:80"} for n in range(200)]
    text = shown(status, width=80)
    assert text.count("web/10.0.0.") == LEAVING_SHOWN_MAX
    assert f"and {200 - LEAVING_SHOWN_MAX} more (--all shows them)" in text
    assert shown(status, width=80, all_servers=True).count("web/10.0.0.") == 200
