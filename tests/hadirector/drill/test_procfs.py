"""The kernel's table file, as captured from a kernel."""

from hadirector.drill.procfs import Line, parse

CAPTURED = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  C0000264:0050 wlc
  -> C6336416:1F90      Masq    3      1          12        \x20
  -> C6336415:1F90      Masq    1      0          7         \x20
TCP  [2001:0db8:0000:0000:0000:0000:0000:0100]:0050 rr persistent 300
  -> [2001:0db8:0000:0000:0000:0000:0000:0021]:0050      Tunnel  1      0          0         \x20
FWM  00000007 wlc
"""


def test_services_and_servers_are_read_without_their_counters() -> None:
    web = "TCP 192.0.2.100:80 wlc"
    six = "TCP [2001:db8::100]:80 rr persistent 300"
    assert parse(CAPTURED) == {
        Line(web, "", "", 0),
        Line(web, "198.51.100.22:8080", "Masq", 3),
        Line(web, "198.51.100.21:8080", "Masq", 1),
        Line(six, "", "", 0),
        Line(six, "[2001:db8::21]:80", "Tunnel", 1),
        Line("FWM 00000007 wlc", "", "", 0),
    }


def test_counters_do_not_make_two_tables_differ() -> None:
    assert parse(CAPTURED) == parse(CAPTURED.replace("1          12", "9          99"))


def test_an_empty_table_is_empty() -> None:
    assert parse("\n".join(CAPTURED.splitlines()[:3])) == frozenset()
