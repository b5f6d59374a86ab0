"""Traffic through what the configuration asks for goes where it should, and stays where it must.

One world serves all tests of this file; each programs the active director anew from a text.
"""

from __future__ import annotations

import ftplib
import http.client
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from hadirector.lab.forked import Forked, Ready
from hadirector.lab.namespaces import inside
from tests.checkers import packaged
from tests.kernel.traffic import BOUND_S, VIP, VIP6, Stage, standing, talk
from tests.prerequisites import require
from vrrp.acceptance import BEHIND_IPVS, Acceptance

NAT_SERVERS = ("198.51.100.21", "198.51.100.22")
DR_SERVERS = ("192.0.2.31", "192.0.2.32")
GUE, GRE, GRE_CSUM = "{type: gue, port: 6080}", "{type: gre}", "{type: gre, checksum: csum}"
IPIP = "{type: ipip}"
TUNNELS = {
    "203.0.113.31": GUE,
    "203.0.113.32": GRE,
    "203.0.113.33": GRE_CSUM,
    "203.0.113.34": IPIP,
    "2001:db8:5::31": GUE,
    "2001:db8:5::32": GRE,
    "2001:db8:5::33": GRE_CSUM,
    "2001:db8:5::34": IPIP,
}
OTHER_CLIENT = "192.0.2.201"
NAT_INPUT_PRIORITY = 100
"""NF_IP_PRI_NAT_SRC, linux/netfilter_ipv4.h."""


def web(port: int) -> str:
    """A service of its own for each test: the kernel remembers the connections of removed ones."""
    return f"name: web, listen: 'tcp://{VIP}:{port}', scheduler: rr, forward: nat"


def bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def at(address: str, port: int, more: str = "") -> str:
    """One server of a text."""
    return f"{{address: '{bracketed(address)}:{port}'{more}}}"


def both(servers: tuple[str, ...], port: int) -> str:
    return f"servers: [{', '.join(at(each, port) for each in servers)}]"


def tunnelled(listen: str) -> str:
    servers = (at(each, 81, f", tunnel: {how}") for each, how in TUNNELS.items())
    return f"listen: 'tcp://{bracketed(listen)}:81', forward: tun, servers: [{', '.join(servers)}]"


EVERYBODY = [
    f"{web(80)}, {both(NAT_SERVERS, 8080)}",
    f"name: dr-dns, listen: 'udp://{VIP}:54', forward: dr, {both(DR_SERVERS, 54)}",
    f"name: dr-dns2, listen: 'udp://{VIP}:55', forward: dr, {both(DR_SERVERS, 55)}",
    f"name: ports, listen: 'tcp://{VIP}:8310-8311', forward: dr, check: {{port: 8310}}, "
    + both(DR_SERVERS, 0),
    f"name: tunnels, {tunnelled(VIP)}",
    f"name: tunnels6, {tunnelled(VIP6)}",
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    require("tc")
    with standing(tmp_path_factory.mktemp("traffic"), EVERYBODY, prefix="tt-") as stage:
        built = stage.built
        built.run(built.world.client, ["ip", "address", "add", f"{OTHER_CLIENT}/24", "dev", "eth0"])
        yield stage


def test_a_client_comes_back_to_its_server(stage: Stage) -> None:
    stage.program(f"{web(91)}, persistence: 5m, {both(NAT_SERVERS, 8080)}")
    first = {stage.ask(91) for _ in range(4)}
    other = {stage.ask(91, source=OTHER_CLIENT) for _ in range(4)}
    assert first | other == set(NAT_SERVERS)
    assert {stage.ask(91)} == first
    templates = {
        str(one.client.address)
        for one in stage.connections()
        if one.is_template and one.virtual.port == 91
    }
    assert OTHER_CLIENT in templates
    assert len(templates) == 2
    assert stage.proc()[0] == "TCP C0000264:005B rr persistent 30000 FFFFFFFF"


def test_one_service_on_several_ports(stage: Stage) -> None:
    """Each is a service to the kernel, and a server without a port has the client's."""
    stage.program(
        f"name: ports, listen: ['tcp://{VIP}:8310-8311', 'udp://{VIP}:54'], scheduler: rr, "
        f"forward: dr, check: {{port: 8310}}, {both(DR_SERVERS, 0)}"
    )
    assert {stage.ask(port) for port in (8310, 8310)} == set(DR_SERVERS)
    assert {stage.ask(port) for port in (8311, 8311)} == set(DR_SERVERS)
    assert sorted(line.split()[1] for line in stage.proc() if line.startswith("->")) == sorted(
        f"{server}:{port:04X}" for server in ("C000021F", "C0000220") for port in (54, 8310, 8311)
    )
    stage.program(f"{web(80)}, {both(NAT_SERVERS, 8080)}")
    assert len(stage.proc()) == 3


def test_clients_of_one_network_count_as_one(stage: Stage) -> None:
    stage.program(f"{web(92)}, persistence: {{netmask: 24}}, {both(NAT_SERVERS, 8080)}")
    assert len({stage.ask(92), stage.ask(92, source=OTHER_CLIENT), stage.ask(92)}) == 1


def test_a_full_server_gets_no_more_until_all_are_full(stage: Stage) -> None:
    small, large = (
        at(address, 8080, f", upper: {upper}")
        for address, upper in zip(NAT_SERVERS, (1, 3), strict=True)
    )
    stage.program(f"{web(93)}, servers: [{small}, {large}]")
    with ExitStack() as kept:
        names = Counter(talk(kept.enter_context(closing(stage.connect(93)))) for _ in range(4))
        assert names == {NAT_SERVERS[0]: 1, NAT_SERVERS[1]: 3}
        assert sorted(stage.proc()[1:]) == [
            "-> C6336415:1F90 Masq 1 1 0",
            "-> C6336416:1F90 Masq 1 3 0",
        ]
        with pytest.raises(ConnectionRefusedError):
            stage.ask(93)


@pytest.mark.parametrize(
    ("port", "one_packet", "spread", "entries"),
    [(54, "true", {2}, 0), (55, "false", {4}, 1)],
    ids=["one packet", "connection"],
)
def test_datagrams_of_one_socket(
    stage: Stage, port: int, one_packet: str, spread: set[int], entries: int
) -> None:
    service = f"name: dns, listen: 'udp://{VIP}:{port}', scheduler: rr, one_packet: {one_packet}"
    stage.program(f"{service}, forward: dr, {both(DR_SERVERS, port)}")
    with inside(stage.client):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names: Counter[str] = Counter()
    with sock:
        sock.settimeout(BOUND_S)
        sock.connect((VIP, port))
        for _ in range(4):
            sock.send(b"who")
            names[sock.recv(100).decode()] += 1
    assert set(names.values()) == spread
    kept = [
        one for one in stage.connections() if one.protocol == "UDP" and one.virtual.port == port
    ]
    assert len(kept) == entries


def test_a_drained_server_keeps_its_connections_and_gets_no_new_ones(stage: Stage) -> None:
    stage.program(f"{web(94)}, {both(NAT_SERVERS, 8080)}")
    with ExitStack() as kept:
        open_ones: dict[str, http.client.HTTPConnection] = {}
        for _ in range(2):
            connection = kept.enter_context(closing(stage.connect(94)))
            open_ones[talk(connection)] = connection
        drained, other = NAT_SERVERS
        stage.program(
            f"{web(94)}, servers: [{at(drained, 8080, ', weight: 0')}, {at(other, 8080)}]"
        )
        assert {stage.ask(94) for _ in range(4)} == {other}
        assert talk(open_ones[drained]) == drained
        assert any(line.startswith("-> C6336415:1F90 Masq 0 1 ") for line in stage.proc())
        stage.program(f"{web(94)}, {both(NAT_SERVERS, 8080)}")
        assert {stage.ask(94) for _ in range(4)} == {drained, other}


@contextmanager
def marked(stage: Stage, mark: int) -> Iterator[None]:
    """Whatever reaches lb1 from the client's side has this firewall mark, by tc in place of nft."""
    director = stage.built.world.directors["lb1"]
    stage.built.run(director, ["tc", "qdisc", "add", "dev", "eth0", "clsact"])
    try:
        words = "ingress protocol all matchall action skbedit mark"
        stage.built.run(director, ["tc", "filter", "add", "dev", "eth0", *words.split(), str(mark)])
        yield
    finally:
        stage.built.run(director, ["tc", "qdisc", "del", "dev", "eth0", "clsact"])


def test_a_firewall_mark_gathers_ports(stage: Stage) -> None:
    stage.program(
        f"name: marked, listen: 'fwmark:7', scheduler: rr, forward: nat, {both(NAT_SERVERS, 8080)}"
    )
    with marked(stage, 7):
        assert {stage.ask(port) for port in (1234, 1234, 4321, 4321)} == set(NAT_SERVERS)
        assert stage.proc()[0] == "FWM 00000007 rr"
    with marked(stage, 8), pytest.raises(ConnectionRefusedError):
        stage.ask(1234)


def test_a_firewall_mark_of_ipv6(stage: Stage) -> None:
    address, how = "203.0.113.31", TUNNELS["203.0.113.31"]
    server = at(address, 81, f", tunnel: {how}")
    stage.program(f"name: marked, listen: 'fwmark6:7', forward: tun, servers: [{server}]")
    with marked(stage, 7):
        assert stage.ask(81, VIP6) == address


CHECKSUMS = [
    (address, how.replace("}", f", checksum: {checksum}}}") if how == GUE else how)
    for address, how in TUNNELS.items()
    for checksum in (("none", "csum", "remcsum") if how == GUE else ("",))
]


@pytest.mark.parametrize("listen", [VIP, VIP6])
@pytest.mark.parametrize(("address", "how"), CHECKSUMS)
def test_a_tunnel_ends_on_its_server(stage: Stage, listen: str, address: str, how: str) -> None:
    server = at(address, 81, f", tunnel: {how}")
    stage.program(
        f"name: t, listen: 'tcp://{bracketed(listen)}:81', forward: tun, servers: [{server}]"
    )
    assert stage.ask(81, listen) == address
    assert len(stage.proc()) == 2
    assert " Tunnel 1 " in stage.proc()[1]


def test_sctp_reaches_every_server(stage: Stage) -> None:
    port = 9900

    def serve_as(name: str) -> Forked:
        def serve(ready: Ready) -> None:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
            listener.bind((name, port))
            listener.listen()
            ready()
            while True:
                connection, _ = listener.accept()
                connection.sendall(name.encode())
                connection.recv(100)
                connection.close()

        return Forked(f"SCTP on {name}", stage.built.world.servers[name].machine.namespace, serve)

    service = f"name: s, listen: 'sctp://{VIP}:{port}', scheduler: rr, forward: nat"
    stage.program(f"{service}, {both(NAT_SERVERS, port)}")
    servers = [serve_as(name) for name in NAT_SERVERS]
    names = []
    try:
        for server in servers:
            server.start()
            server.await_ready()
        for _ in range(4):
            with inside(stage.client):
                sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
            with sock:
                sock.settimeout(BOUND_S)
                sock.connect((VIP, port))
                names.append(sock.recv(100).decode())
    finally:
        for server in servers:
            server.kill()
    assert Counter(names) == dict.fromkeys(NAT_SERVERS, 2)
    assert stage.proc()[0] == "SCTP C0000264:26AC rr"


VSFTPD = """\
listen=YES
background=NO
anonymous_enable=YES
local_enable=NO
anon_root={directory}
secure_chroot_dir={directory}
ftp_username=daemon
nopriv_user=nobody
seccomp_sandbox=NO
xferlog_enable=NO
"""


@contextmanager
def ftp_servers(stage: Stage, directory: Path) -> Iterator[None]:
    """vsftpd on both servers; each offers a file with its own name in it."""
    with ExitStack() as running:
        for name in NAT_SERVERS:
            machine = stage.built.world.servers[name].machine
            own = directory / name
            own.mkdir(mode=0o755)
            (own / "whoami").write_text(name)
            config = directory / f"{name}.conf"
            config.write_text(VSFTPD.format(directory=own))
            process = stage.built.spawn(machine, ["vsftpd", str(config)])
            running.callback(process.wait, BOUND_S)
            running.callback(process.kill)
        yield


def await_port(namespace: str, address: str, port: int) -> None:
    """Until somebody listens there; bounded."""
    deadline = time.monotonic() + BOUND_S
    while True:
        with inside(namespace):
            sock = socket.socket()
        with sock:
            if sock.connect_ex((address, port)) == 0:
                return
        assert time.monotonic() < deadline, f"nobody listens on {address}:{port}"
        time.sleep(0.02)


def test_passive_ftp_data_follows_the_control_connection(stage: Stage) -> None:
    """Which takes the kernel's module ip_vs_ftp: writing the service has loaded it."""
    require("vsftpd")
    stage.program(
        f"name: ftp, listen: 'tcp://{VIP}:21', scheduler: rr, forward: nat, {both(NAT_SERVERS, 21)}"
    )
    with packaged.open_directory("vsftpd") as directory, ftp_servers(stage, directory):
        for name in NAT_SERVERS:
            await_port(stage.built.world.servers[name].machine.namespace, name, 21)
        names: list[str] = []
        for _ in range(2):
            with inside(stage.client), ftplib.FTP(timeout=BOUND_S) as ftp:
                vars(ftp)["trust_server_pasv_ipv4_address"] = True  # typeshed does not know it
                ftp.connect(VIP, 21)
                ftp.login()
                assert ftp.makepasv()[0] == VIP
                ftp.retrlines("RETR whoami", names.append)
    assert sorted(names) == sorted(NAT_SERVERS)


def passed_behind_ipvs(stage: Stage) -> int:
    """First packets to the address that came to the kernel's next hook behind IPVS.

    That is the INPUT chain of the NAT table: priority 100 (NF_IP_PRI_NAT_SRC), IPVS has 98 and 99.
    """
    with inside(stage.director):
        shown = subprocess.run(
            ["iptables-legacy", "-t", "nat", "-L", "INPUT", "-v", "-n", "-x"],
            check=True,
            capture_output=True,
            text=True,
        )
    return int(shown.stdout.splitlines()[2].split()[0])


def test_what_a_service_takes_never_comes_to_the_hook_of_accept_mode(stage: Stage) -> None:
    """`accept: false` drops in a hook behind IPVS, so services have to go on all the same.

    Where the kernel has nf_tables for IP, its chain is there, too. Elsewhere (the embedded kernel)
    it is the order of the hooks that is shown, with another chain behind IPVS and before ours.
    """
    require("iptables-legacy")
    assert BEHIND_IPVS > NAT_INPUT_PRIORITY
    stage.program(f"{web(97)}, {both(NAT_SERVERS, 8080)}")
    with inside(stage.director):
        # The match has the kernel track connections here: NAT's chains look at nothing else.
        rule = ["INPUT", "-d", VIP, "-p", "tcp", "-m", "conntrack", "--ctstate", "NEW"]
        subprocess.run(["iptables-legacy", "-t", "nat", "-A", *rule], check=True)
        acceptance = Acceptance()
        is_closed = acceptance.refuse([ip_address(VIP)])
    try:
        assert is_closed or "needs nf_tables" in acceptance.trouble
        assert {stage.ask(97) for _ in range(4)} == set(NAT_SERVERS)
        assert passed_behind_ipvs(stage) == 0  # the service has taken them all
        with inside(stage.client), closing(socket.socket()) as knock:
            knock.settimeout(0.5 if is_closed else BOUND_S)
            with pytest.raises(TimeoutError if is_closed else ConnectionRefusedError):
                knock.connect((VIP, 98))
        assert passed_behind_ipvs(stage) >= 1  # nobody's: that is what is dropped there
    finally:
        acceptance.close()
        with inside(stage.director):
            subprocess.run(["iptables-legacy", "-t", "nat", "-F", "INPUT"], check=True)
