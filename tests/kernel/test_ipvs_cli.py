"""`hadirector ipvs` on a kernel with a table and connections that other programs made.

How it works: ipvsadm makes the table, sockets of this process make connections through a virtual
address on the loopback interface, and what the commands print is compared with what ipvsadm says.
"""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hadirector.cli.main import main
from tests.kernel.ipvs_namespace import fresh_network

RULES = """\
-A -t 192.0.2.100:80 -s wrr -p 300
-a -t 192.0.2.100:80 -r 192.0.2.21:8080 -m -w 3 -x 10 -y 5
-a -t 192.0.2.100:80 -r 198.51.100.22:80 -m -w 0
-A -t [2001:db8::100]:80 -s sh -b sh-port
-a -t [2001:db8::100]:80 -r [2001:db8::21]:8080 -m -w 1
"""


@pytest.fixture(autouse=True)
def table() -> Iterator[None]:
    with fresh_network():
        for address in ("192.0.2.1/24", "192.0.2.21/24", "192.0.2.100/24"):
            subprocess.run(["ip", "address", "add", address, "dev", "lo"], check=True)
        for address in ("2001:db8::21", "2001:db8::100"):
            subprocess.run(
                ["ip", "address", "add", f"{address}/64", "dev", "lo", "nodad"], check=True
            )
        subprocess.run(["ipvsadm", "-R"], input=RULES, check=True, text=True)
        yield


@pytest.fixture
def traffic() -> Iterator[None]:
    """Two clients connected, one for each IP version."""
    with ExitStack() as stack:
        for server, vip in (("192.0.2.21", "192.0.2.100"), ("2001:db8::21", "2001:db8::100")):
            family = socket.AF_INET6 if ":" in vip else socket.AF_INET
            listener = stack.enter_context(socket.create_server((server, 8080), family=family))
            stack.enter_context(socket.create_connection((vip, 80), timeout=5))
            stack.enter_context(listener.accept()[0])
        yield


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> list[str]:
    """The lines that `hadirector ipvs` prints, with single spaces."""
    assert main(["ipvs", *words]) == code
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_the_table(capsys: pytest.CaptureFixture[str], traffic: None) -> None:
    heading, *lines = run(capsys, "list")
    assert heading == "service, with its servers forward weight active inactive"
    assert sorted(lines) == [
        "192.0.2.21:8080 nat 3 1 0",
        "198.51.100.22:80 nat 0 0 0",
        "[2001:db8::21]:8080 nat 1 1 0",
        "tcp 192.0.2.100:80, scheduler wrr, persistent 300 s",
        "tcp [2001:db8::100]:80, scheduler sh, flags sh-port",
    ]


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("--thresholds", "192.0.2.21:8080 10 5 1 0"),
        ("--persistent", "192.0.2.21:8080 3 1 1 0"),
    ],
)
def test_other_numbers(
    capsys: pytest.CaptureFixture[str], traffic: None, view: str, expected: str
) -> None:
    assert expected in run(capsys, "list", view)


def test_one_service_and_one_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, "list", "tcp://[2001:db8::100]:80")
    assert len(shown) == 3
    assert main(["ipvs", "list", "udp://192.0.2.100:53"]) == 1
    assert capsys.readouterr().err == "udp 192.0.2.100:53 is not in the table\n"
    assert run(capsys, "list", "fwmark:7", "--json", code=1) == ["[]"]


def busy_server(capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """The totals of the server that the IPv4 client is connected to."""
    services = json.loads("\n".join(run(capsys, "list", "--stats", "--json")))
    servers = [server for service in services for server in service["servers"]]
    [busy] = [server["traffic"] for server in servers if server["weight"] == 3]
    assert isinstance(busy, dict)
    return busy


def test_counters_are_those_of_ipvsadm(capsys: pytest.CaptureFixture[str], traffic: None) -> None:
    deadline = time.monotonic() + 10
    while not (busy := busy_server(capsys))["connections"]:  # the kernel adds up every two seconds
        assert time.monotonic() < deadline
        time.sleep(0.1)
    listing = subprocess.run(
        ["ipvsadm", "-L", "-n", "--stats", "--exact"], check=True, capture_output=True, text=True
    ).stdout
    [line] = [line.split() for line in listing.splitlines() if "192.0.2.21:8080" in line]
    names = ("connections", "packets_in", "packets_out", "bytes_in", "bytes_out")
    assert [str(busy[name]) for name in names] == line[2:]
    plain = run(capsys, "list", "--stats")
    assert " ".join(["192.0.2.21:8080", *line[2:]]) in plain
    assert run(capsys, "list", "--rate")[0].startswith("service, with its servers connections/s")


def test_connections_are_those_of_ipvsadm(
    capsys: pytest.CaptureFixture[str], traffic: None
) -> None:
    shown = run(capsys, "list", "--connections")
    listing = subprocess.run(
        ["ipvsadm", "-L", "-n", "-c"], check=True, capture_output=True, text=True
    ).stdout
    theirs = {tuple(line.split()[3:]) for line in listing.splitlines()[2:]}
    ours = {tuple(line.split()[1:4]) for line in shown[1:-1]}
    assert ours == theirs
    assert shown[-1] == f"{len(theirs)} connections"


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ((), 3),
        (("--templates",), 1),
        (("--client", "192.0.2.0/24"), 2),
        (("--client", "2001:db8::/64"), 1),
        (("--server", "192.0.2.21:8080", "--state", "ESTABLISHED"), 1),
        (("--server", "[2001:db8::21]:0"), 1),
        (("tcp://192.0.2.100:80",), 2),
        (("udp://192.0.2.100:80",), 0),
    ],
)
def test_filters(
    capsys: pytest.CaptureFixture[str], traffic: None, words: tuple[str, ...], count: int
) -> None:
    shown = run(capsys, "list", *words, "--connections", "--json")
    assert len(json.loads("\n".join(shown))) == count


def test_where_a_client_would_go(capsys: pytest.CaptureFixture[str], traffic: None) -> None:
    service = "tcp://192.0.2.100:80"
    remembered = run(capsys, "where", "192.0.2.100", service)  # the address it connected from
    known = {line.split()[0] for line in run(capsys, "list", "--thresholds")[1:]}
    assert remembered[0].removeprefix("server: ") in known
    client = run(capsys, "list", "--connections", "--templates")[1].split()[1].rpartition(":")[0]
    server, because, *_ = run(capsys, "where", client, service)
    assert server == "server: 192.0.2.21:8080"
    assert because.startswith("because: persistence remembers it")

    six = ["where", "[2001:db8::9]:50000", "tcp://[2001:db8::100]:80"]
    assert run(capsys, *six) == [
        "server: [2001:db8::21]:8080",
        run(capsys, *six)[1],
    ]
    document = json.loads(run(capsys, *six, "--json", "--lose", "[2001:db8::21]:8080")[0])
    assert document["server"] == "[2001:db8::21]:8080"
    assert (document["exact"], document["loss"]) == (True, {"lost": 1.0, "others": 0.0})
    assert "100.0% of the clients" in run(capsys, *six, "--lose", "[2001:db8::21]:8080")[2]
    turn = run(capsys, "where", "192.0.2.77", service, "--lose", "198.51.100.22:80")
    assert turn[2:] == ["without 198.51.100.22:80: wrr binds no client to a server"]
    assert main(["ipvs", "where", "192.0.2.77", "fwmark:9"]) == 1


def test_timeouts_and_daemons(capsys: pytest.CaptureFixture[str]) -> None:
    [shown] = run(capsys, "list", "--timeout")
    assert shown == "time-outs: tcp 900 s, tcp after FIN 120 s, udp 300 s"
    assert json.loads(run(capsys, "list", "--timeout", "--json")[0])["udp_s"] == 300
    assert run(capsys, "list", "--daemon") == ["no sync daemon runs"]
    start = ["ipvsadm", "--start-daemon", "master", "--mcast-interface", "lo", "--syncid", "7"]
    subprocess.run(start, check=True)
    [line] = run(capsys, "list", "--daemon")
    assert line.startswith("active sync daemon on lo, id 7, group 224.0.0.81 port 8848")
    [daemon] = json.loads("\n".join(run(capsys, "list", "--daemon", "--json")))
    assert (daemon["role"], daemon["interface"]) == ("active", "lo")


def test_counters_begin_anew(capsys: pytest.CaptureFixture[str], traffic: None) -> None:
    def connections() -> list[int]:
        listed = json.loads("\n".join(run(capsys, "list", "--json")))
        return [service["traffic"]["connections"] for service in listed]

    deadline = time.monotonic() + 10.0
    while not any(connections()):  # the kernel adds up every 2 s (ip_vs_est.c)
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert run(capsys, "zero", "tcp://192.0.2.100:80") == ["counters of tcp 192.0.2.100:80: 0"]
    assert run(capsys, "zero") == ["counters of all services: 0"]
    assert not any(connections())
    assert main(["ipvs", "zero", "fwmark:99"]) == 3
    assert "could not zero the counters of service fwmark 99: ESRCH" in capsys.readouterr().err


def test_what_is_saved_is_restored_and_ipvsadm_takes_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    saved = run(capsys, "save")
    assert sorted(saved) == sorted(RULES.splitlines())
    file = tmp_path / "table.rules"
    file.write_text("\n".join(saved) + "\n-A -f 7 -s rr\n")
    assert run(capsys, "restore", str(file), "--dry-run", code=1)[-1] == "plan: add 1 service"
    assert run(capsys, "restore", str(file))[-1] == "applied: 1 of 1 steps"
    assert run(capsys, "restore", str(file))[-1] == "applied: 0 of 0 steps"
    file.write_text("-A -f 7 -s rr\n")
    assert run(capsys, "restore", str(file), "--exact")[-1] == "applied: 2 of 2 steps"
    assert run(capsys, "save") == ["-A -f 7 -s rr"]


def test_a_damaged_file_names_the_line_and_applies_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = run(capsys, "save")
    file = tmp_path / "table.rules"
    file.write_text("-A -f 7 -s rr\n-a -f 7 -r 198.51.100.21:80 -w\n-a -f 8 -r 198.51.100.21\n")
    assert main(["ipvs", "restore", str(file)]) == 2
    first, second, last = capsys.readouterr().err.splitlines()
    assert first == f"{file}: line 2: -w has no value"
    assert second.startswith(f"{file}: line 3: could not add server 198.51.100.21:0")
    assert last.startswith(f"hadirector: 2 lines of {file} cannot be restored; nothing was changed")
    assert run(capsys, "save") == before


def test_what_the_kernel_refuses_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "table.rules"
    file.write_text("-A -f 7 -s absent\n-A -f 8 -s rr\n")
    shown = run(capsys, "restore", str(file), code=1)
    assert shown[-2].startswith("refused: could not add service fwmark 7")
    assert shown[-1] == "applied: 1 of 2 steps"


@pytest.mark.parametrize(
    "words",
    [
        ("list", "web"),
        ("list", "--client", "192.0.2.0/24"),
        ("list", "--connections", "--client", "192.0.2.1/24"),
        ("list", "--connections", "--server", "198.51.100.21"),
        ("list", "--connections", "fwmark:7"),
        ("restore", "/nonexistent"),
        ("where", "client", "tcp://192.0.2.100:80"),
        ("where", "2001:db8::1", "tcp://192.0.2.100:80"),
        ("where", "192.0.2.1", "tcp://192.0.2.100:80", "--lose", "198.51.100.99:80"),
        ("where", "192.0.2.1", "tcp://192.0.2.100:80", "--lose", "server"),
        ("restore", "/dev/zero"),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert main(["ipvs", *words]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("hadirector: ")
