"""The table as ipvsadm's rules and back: what `ipvsadm-save -n` writes, `ipvsadm-restore` takes.

The problem: operators keep, move and compare tables as these lines, but ipvsadm applies a damaged
file up to the damage, reads `-M 24` as 0.0.0.24 and leaves thresholds out when it saves. The
approach: one line is one step; all lines are parsed, then tried on the memory twin in their order,
and every line that is wrong is reported with its number. A table comes out only if none is.
Numbers only: names of hosts and ports are not resolved. Flags of schedulers have ipvsadm's names.

Never: a guess at what a damaged line meant; a property silently left out (`Rules.unsaid`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, ip_address
from typing import NoReturn

from hadirector.ipvs.dataplane import Failure
from hadirector.ipvs.memory import MemoryTable
from hadirector.ipvs.model import (
    SCHEDULER_FLAGS,
    Destination,
    DestinationKey,
    FirewallMark,
    Forward,
    Persistence,
    Protocol,
    Service,
    ServiceFlag,
    ServiceKey,
    Table,
    Tunnel,
    TunnelType,
    VirtualAddress,
)
from hadirector.ipvs.ruleline import Line, RuleError, split
from hadirector.ipvs.steps import AddDestination, AddService

_PERSISTENCE_S_DEFAULT = 360  # of ipvsadm 1.31, whatever its manual says
_PERSISTENCE_S_MAX = 31 * 24 * 3600
_NUMBER_MAX = 2**31 - 1  # ipvsadm takes no more
_WIDE_MAX = 2**32 - 1

_SERVICES = {
    Protocol.TCP: "--tcp-service",
    Protocol.UDP: "--udp-service",
    Protocol.SCTP: "--sctp-service",
}
_SERVICE_LETTERS = {Protocol.TCP: "-t", Protocol.UDP: "-u", Protocol.SCTP: "--sctp-service"}
_FORWARDS = {
    Forward.NAT: ("-m", "--masquerading"),
    Forward.DR: ("-g", "--gatewaying"),
    Forward.TUN: ("-i", "--ipip"),
}
_FLAGS_OF_TUNNEL = {TunnelType.IPIP: (), TunnelType.GUE: (1, 2), TunnelType.GRE: (1,)}
_CHECKSUMS = {0: "--tun-nocsum", 1: "--tun-csum", 2: "--tun-remcsum"}
_FLAGS = (ServiceFlag.SCHEDULER_1, ServiceFlag.SCHEDULER_2, ServiceFlag.SCHEDULER_3)
_SAYABLE_FLAGS = int(ServiceFlag.ONE_PACKET | _FLAGS[0] | _FLAGS[1] | _FLAGS[2])


class RuleTextError(ValueError):
    """Text that is no list of rules; ``errors`` has every line that is wrong."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = tuple(errors)


@dataclass(frozen=True, slots=True)
class Rules:
    """A table as rules. ``unsaid``: one sentence for each property the format has no words for."""

    lines: tuple[str, ...]
    unsaid: tuple[str, ...]


def format_rules(table: Table) -> Rules:
    """The rules that make this table."""
    lines: list[str] = []
    unsaid: list[str] = []
    for entry in table.values():
        where = _format_key(entry.service.key)
        lines.append(f"-A {where} {_format_service(entry.service)}")
        unsaid += _unsaid_of_service(entry.service)
        for server in entry.destinations.values():
            lines.append(f"-a {where} -r {server.key} {_format_server(server)}")
            unsaid += [f"{entry.service.key}: {what}" for what in _unsaid_of_server(server)]
    return Rules(tuple(lines), tuple(unsaid))


def parse_rules(text: str) -> Table:
    """The table that these rules make from nothing; raises RuleTextError.

    Empty lines and lines that begin with # are passed over.
    """
    errors: list[str] = []
    steps: list[tuple[int, AddService | AddDestination]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                steps.append((number, _parse_line(line)))
            except RuleError as error:
                errors.append(f"line {number}: {error}")
    # Which schedulers there are is the kernel's affair; the twin takes all that are named.
    named = {step.service.scheduler for _, step in steps if isinstance(step, AddService)}
    twin = MemoryTable(schedulers=named)
    for number, step in steps:
        code = twin.step(step)
        if code:
            errors.append(f"line {number}: {Failure(step, code)}")
    if errors:
        raise RuleTextError(sorted(errors, key=_line_number))
    return twin.table


def _line_number(sentence: str) -> int:
    return int(sentence.removeprefix("line ").partition(":")[0])


# --- writing ------------------------------------------------------------------------------------


def _format_key(key: ServiceKey) -> str:
    if isinstance(key, FirewallMark):
        return f"-f {key.mark}" + (" -6" if key.version == 6 else "")
    return f"{_SERVICE_LETTERS[key.protocol]} {DestinationKey(key.address, key.port)}"


def _format_service(service: Service) -> str:
    words = [f"-s {service.scheduler}"]
    kept = service.persistence
    if kept is not None:
        words.append(f"-p {kept.timeout_s}")
        if kept.netmask is not None:
            is_length = service.key.version == 6
            words.append(f"-M {kept.netmask if is_length else IPv4Address(kept.netmask)}")
        if kept.engine:
            words.append(f"--pe {kept.engine}")
    if service.flags & ServiceFlag.ONE_PACKET:
        words.append("-o")
    names = [
        name
        for flag, name in zip(_FLAGS, _names_of_flags(service.scheduler), strict=True)
        if flag in service.flags
    ]
    if names:
        words.append(f"-b {','.join(names)}")
    return " ".join(words)


def _names_of_flags(scheduler: str) -> tuple[str, ...]:
    named = [name for name in SCHEDULER_FLAGS if name.startswith(f"{scheduler}-")]
    return (*(named or ("flag-1", "flag-2")), "flag-3")


def _format_server(server: Destination) -> str:
    words = [_FORWARDS.get(server.forward, ("-g",))[0], f"-w {server.weight}"]
    if server.upper:
        words.append(f"-x {server.upper}")
    if server.lower:
        words.append(f"-y {server.lower}")
    if server.forward is Forward.TUN:
        words.append(f"--tun-type {server.tunnel.type}")
        if server.tunnel.type is TunnelType.GUE:
            words.append(f"--tun-port {server.tunnel.port}")
        if server.tunnel.type is not TunnelType.IPIP:
            words.append(_CHECKSUMS.get(server.tunnel.flags, "--tun-nocsum"))
    return " ".join(words)


def _unsaid_of_service(service: Service) -> Iterator[str]:
    kept = service.persistence
    if kept is not None and not 1 <= kept.timeout_s <= _PERSISTENCE_S_MAX:
        yield f"{service.key}: ipvsadm takes no persistence time-out of {kept.timeout_s} s"
    if service.flags & ServiceFlag.ONE_PACKET and not _takes_one_packet(service.key):
        yield f"{service.key}: one-packet scheduling, which does nothing here"
    if int(service.flags) & ~_SAYABLE_FLAGS:
        yield f"{service.key}: flags 0x{int(service.flags) & ~_SAYABLE_FLAGS:x}"
    if isinstance(service.key, VirtualAddress) and service.key.port == 0 and kept is None:
        yield f"{service.key}: every port without persistence, which ipvsadm refuses"


def _takes_one_packet(key: ServiceKey) -> bool:
    return isinstance(key, FirewallMark) or key.protocol is Protocol.UDP


def _unsaid_of_server(server: Destination) -> Iterator[str]:
    if server.forward not in _FORWARDS:
        yield f"forward {server.forward} of {server.key}"
    if max(server.upper, server.lower) > _NUMBER_MAX:
        yield f"ipvsadm takes no threshold above {_NUMBER_MAX}, as {server.key} has"
    tunnel = server.tunnel
    if tunnel.type is not TunnelType.GUE and tunnel.port:
        yield f"tunnel port {tunnel.port} of {server.key}, which does nothing"
    if tunnel.flags and tunnel.flags not in _FLAGS_OF_TUNNEL[tunnel.type]:
        yield f"tunnel flags 0x{tunnel.flags:x} of {server.key}"


# --- reading ------------------------------------------------------------------------------------


def _parse_line(text: str) -> AddService | AddDestination:
    line = split(text)
    step: AddService | AddDestination
    try:
        if line.take_flag("-A", "--add-service"):
            step = AddService(_parse_service(line))
        elif line.take_flag("-a", "--add-server"):
            key = _parse_key(line)
            step = AddDestination(key, _parse_server(line, key))
        else:
            raise RuleError("a rule begins with -A (a service) or -a (a server)")
    except RuleError:
        raise
    except ValueError as error:
        raise RuleError(str(error)) from error
    line.expect_no_more()
    return step


def _parse_key(line: Line) -> ServiceKey:
    for protocol, long in _SERVICES.items():
        value = line.take(_SERVICE_LETTERS[protocol], long)
        if value is not None:
            key = _parse_endpoint(value, default_port=0)
            return VirtualAddress(protocol, key.address, key.port)
    mark = line.take("-f", "--fwmark-service")
    if mark is None:
        raise RuleError("the service is missing: -t, -u, --sctp-service or -f")
    # ipvsadm saves marks above 2^31 as negative numbers.
    negative = mark.startswith("-")
    number = _number("firewall mark", mark.removeprefix("-"), _WIDE_MAX)
    number = 2**32 - number if negative else number
    return FirewallMark(number, 6 if line.take_flag("-6", "--ipv6") else 4)


def _parse_service(line: Line) -> Service:
    key = _parse_key(line)
    scheduler = line.take("-s", "--scheduler") or "wlc"
    persistence = _parse_persistence(line, key)
    flags = ServiceFlag.NONE
    if line.take_flag("-o", "--ops"):
        if not _takes_one_packet(key):
            raise RuleError("-o is for UDP and firewall marks")
        flags |= ServiceFlag.ONE_PACKET
    names = line.take("-b", "--sched-flags")
    if names is not None:
        for name in names.split(","):
            flags |= _parse_flag(name, scheduler)
    service = Service(key, scheduler, persistence, flags)
    if isinstance(key, VirtualAddress) and key.port == 0 and persistence is None:
        raise RuleError("port 0 means every port, and that needs persistence (-p)")
    return service


def _parse_persistence(line: Line, key: ServiceKey) -> Persistence | None:
    kept: Persistence | None = None
    if line.has("-p", "--persistent"):
        seconds = line.take("-p", "--persistent")
        timeout_s = _PERSISTENCE_S_DEFAULT
        if seconds is not None:
            timeout_s = _number("time-out", seconds, _PERSISTENCE_S_MAX, least=1)
        kept = Persistence(timeout_s)
    for letter, long in (("-M", "--netmask"), ("--pe", "--pe")):
        value = line.take(letter, long)
        if value is None:
            continue
        if kept is None:
            raise RuleError(f"{letter} means nothing without -p")
        if letter == "--pe":
            kept = replace(kept, engine=value)
        else:
            kept = replace(kept, netmask=_parse_netmask(value, key.version))
    return kept


def _parse_netmask(value: str, version: int) -> int:
    if version == 6:
        return _number("prefix length", value, 128, least=1)
    try:
        return int(IPv4Address(value))
    except ValueError:
        raise RuleError(f'"{value}" is no netmask; write 255.255.255.0') from None


def _parse_flag(name: str, scheduler: str) -> ServiceFlag:
    names = dict(zip(_names_of_flags(scheduler), _FLAGS, strict=True))
    names |= {f"flag-{place}": flag for place, flag in enumerate(_FLAGS, 1)}
    if name not in names:
        raise RuleError(f'scheduler {scheduler} has no flag "{name}"')
    return names[name]


def _parse_server(line: Line, key: ServiceKey) -> Destination:
    value = line.take("-r", "--real-server")
    if value is None:
        raise RuleError("the server is missing: -r ADDRESS:PORT")
    port = key.port if isinstance(key, VirtualAddress) else 0
    chosen = [way for way, names in _FORWARDS.items() if line.take_flag(*names)]
    if len(chosen) > 1:
        raise RuleError("two forwarding methods; write one of -m, -g and -i")
    forward = chosen[0] if chosen else Forward.DR
    return Destination(
        _parse_endpoint(value, default_port=port),
        forward,
        _number("weight", line.take("-w", "--weight") or "1", _NUMBER_MAX),
        _number("upper threshold", line.take("-x", "--u-threshold") or "0", _WIDE_MAX),
        _number("lower threshold", line.take("-y", "--l-threshold") or "0", _WIDE_MAX),
        _parse_tunnel(line, forward),
    )


def _parse_tunnel(line: Line, forward: Forward) -> Tunnel:
    kind, port = line.take("--tun-type", "--tun-type"), line.take("--tun-port", "--tun-port")
    checksums = [flags for flags, name in _CHECKSUMS.items() if line.take_flag(name, name)]
    if forward is not Forward.TUN and (kind or port or checksums):
        raise RuleError("tunnel options mean nothing without -i")
    types = {str(each): each for each in TunnelType}
    if kind is not None and kind not in types:
        raise RuleError(f'unknown tunnel type "{kind}"; known: {", ".join(types)}')
    chosen = types[kind or "ipip"]
    if len(checksums) > 1:
        raise RuleError("two kinds of tunnel checksum")
    if port is not None and chosen is not TunnelType.GUE:
        raise RuleError(f"a tunnel of type {chosen} has no port")
    flags = checksums[0] if checksums else 0
    if checksums and (chosen is TunnelType.IPIP or (flags == 2 and chosen is TunnelType.GRE)):
        raise RuleError(f"a tunnel of type {chosen} has no {_CHECKSUMS[flags]}")
    return Tunnel(chosen, 0 if port is None else _number("tunnel port", port, 65535), flags)


def _parse_endpoint(text: str, *, default_port: int) -> DestinationKey:
    host, port = text, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            _no_address(text)
        port = rest[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        address = ip_address(host)
    except ValueError:
        _no_address(text)
    if port and not port.isdecimal():
        raise RuleError(f'"{port}" is no port number; save with `ipvsadm-save -n`')
    return DestinationKey(address, _number("port", port, 65535) if port else default_port)


def _no_address(text: str) -> NoReturn:
    raise RuleError(f'"{text}" is no address; names are not resolved: `ipvsadm-save -n`')


def _number(what: str, text: str, most: int, least: int = 0) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        raise RuleError(f'"{text}" is no {what}')
    if not least <= int(text) <= most:
        raise RuleError(f"{what} {text} is outside {least}..{most}")
    return int(text)
