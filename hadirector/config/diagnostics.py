"""What is wrong with a configuration file, and where.

The problem: "invalid configuration" at three in the morning helps nobody. The approach: everything
found in a file is a Diagnostic with its rule, its place, the offending text and what would be
right; all are collected in one run. Here they are only described and printed, never decided.

The rules are listed in one place because each has a bad file in the tests that shows it.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from hadirector.config.secrets import masked

EXCERPT_COLUMNS_MAX = 160
TEXT_CHARACTERS_MAX = 200
MESSAGE_CHARACTERS_MAX = 500


class Severity(StrEnum):
    """An error refuses the file; a warning is legal but surely not meant."""

    ERROR = "error"
    WARNING = "warning"


class Rule(StrEnum):
    """Every way in which a file can be wrong."""

    # the file itself
    MISSING_FILE = "missing-file"
    DIRECTORY = "directory"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too-large"
    NOT_UTF8 = "not-utf8"
    EMPTY = "empty"
    # YAML
    SYNTAX = "syntax"
    SEVERAL_DOCUMENTS = "several-documents"
    TOO_DEEP = "too-deep"
    UNKNOWN_ANCHOR = "unknown-anchor"
    ALIAS_CYCLE = "alias-cycle"
    ALIAS_BOMB = "alias-bomb"
    YAML_TAG = "yaml-tag"
    YAML_BOOLEAN = "yaml-boolean"
    YAML_SEXAGESIMAL = "yaml-sexagesimal"
    YAML_OCTAL = "yaml-octal"
    YAML_NUMBER = "yaml-number"
    YAML_DATE = "yaml-date"
    MERGE_KEY = "merge-key"
    KEY_NOT_TEXT = "key-not-text"
    DUPLICATE_KEY = "duplicate-key"
    # include:
    INCLUDE_CYCLE = "include-cycle"
    INCLUDE_TOO_DEEP = "include-too-deep"
    INCLUDE_CONFLICT = "include-conflict"
    # one value
    UNKNOWN_KEY = "unknown-key"
    MISSING_KEY = "missing-key"
    WRONG_TYPE = "wrong-type"
    OUT_OF_RANGE = "out-of-range"
    BAD_VALUE = "bad-value"
    BAD_DURATION = "bad-duration"
    BAD_ADDRESS = "bad-address"
    UNKNOWN_CHOICE = "unknown-choice"
    UNKNOWN_SCHEDULER = "unknown-scheduler"
    UNKNOWN_CHECK = "unknown-check"
    # values that do not go together
    DUPLICATE_NAME = "duplicate-name"
    DUPLICATE_NODE_ADDRESS = "duplicate-node-address"
    DUPLICATE_LISTEN = "duplicate-listen"
    DUPLICATE_SERVER = "duplicate-server"
    DUPLICATE_VRID = "duplicate-vrid"
    DUPLICATE_VIP = "duplicate-vip"
    DUPLICATE_VIRTUAL_MAC = "duplicate-virtual-mac"
    VIRTUAL_MAC_OF_OWNER = "virtual-mac-of-owner"
    LONELY_PEERS = "lonely-peers"
    UNKNOWN_NODE = "unknown-node"
    TWO_ACTIVES = "two-actives"
    NO_PEER = "no-peer"
    GROUP_PRIORITY = "group-priority"
    UNKNOWN_GROUP = "unknown-group"
    UNOWNED_VIP = "unowned-vip"
    UNKNOWN_SERVICE = "unknown-service"
    UNSAFE_PROGRAM = "unsafe-program"
    FALLBACK_IS_SERVER = "fallback-is-server"
    SERVER_ADDRESS = "server-address"
    LISTEN_ADDRESS = "listen-address"
    DR_PORT = "dr-port"
    PORT_ZERO = "port-zero"
    MIXED_FAMILIES = "mixed-families"
    TIMEOUT_ABOVE_INTERVAL = "timeout-above-interval"
    QUORUM_ABOVE_SERVERS = "quorum-above-servers"
    QUORUM_UNIT = "quorum-unit"
    SLOW_START_UNIT = "slow-start-unit"
    QUORUM_HYSTERESIS = "quorum-hysteresis"
    QUORUM_FALLBACK = "quorum-fallback"
    NOTHING_TO_CHECK = "nothing-to-check"
    ONLY_ADVISORY = "only-advisory"
    REQUIRE_ABOVE_CHECKS = "require-above-checks"
    SCHEDULER_FLAG = "scheduler-flag"
    ONE_PACKET = "one-packet"
    PERSISTENCE_NETMASK = "persistence-netmask"
    SIP_NEEDS_UDP = "sip-needs-udp"
    THRESHOLDS = "thresholds"
    TUNNEL_UNUSED = "tunnel-unused"
    TUNNEL_OPTION = "tunnel-option"
    UNKNOWN_FOLLOW = "unknown-follow"
    SYNC_WITHOUT_ROLE = "sync-without-role"
    SYNC_ROLES = "sync-roles"
    SYNC_MIXED_FAMILIES = "sync-mixed-families"
    SYNC_BACKUP_ONLY = "sync-backup-only"
    PEER_PAIR = "peer-pair"
    CONTROL_IS_SERVER = "control-is-server"
    # warnings
    SAME_PRIORITY = "same-priority"
    SINGLE_NODE = "single-node"
    UNUSED_GROUP = "unused-group"
    MISSING_PROGRAM = "missing-program"
    ONE_PACKET_NAT = "one-packet-nat"
    DRAINED_HASH = "drained-hash"
    FULL_HASH = "full-hash"
    WEIGHT_WITHOUT_EFFECT = "weight-without-effect"
    SYNC_LOSES = "sync-loses"
    WEIGHT_ZERO = "weight-zero"
    WEIGHT_IGNORED = "weight-ignored"
    FULL_QUORUM = "full-quorum"
    ON_FAIL_WEIGHT_0 = "on-fail-weight-0"


class UnfitError(ValueError):
    """A value that means nothing where it stands; `hint` says what would."""

    rule = Rule.BAD_VALUE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One finding. `line` and `column` count from 1; `path` is like `services[0].scheduler`."""

    severity: Severity
    rule: Rule
    file: str
    line: int
    column: int
    path: str
    text: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """The finding in one line: `file:line:column: error: path: message; hint`."""
        path = f"{self.path}: " if self.path else ""
        hint = f"; {self.hint}" if self.hint else ""
        place = f"{self.file}:{self.line}:{self.column}"
        return f"{place}: {self.severity}: {path}{self.message}{hint}"

    def to_json(self) -> dict[str, str | int]:
        """For programs."""
        return asdict(self)


def render(found: Iterable[Diagnostic], sources: Mapping[str, str]) -> str:
    """All findings for people: each with its line of the file and a caret under the place."""
    return "\n".join(_with_excerpt(diagnostic, sources) for diagnostic in found)


def _with_excerpt(diagnostic: Diagnostic, sources: Mapping[str, str]) -> str:
    lines = sources.get(diagnostic.file, "").splitlines()
    if not 1 <= diagnostic.line <= len(lines):
        return str(diagnostic)
    # One column each, so that the caret stands under its character whatever the terminal does.
    line = "".join(c if c.isprintable() else " " for c in masked(lines[diagnostic.line - 1]))
    start = 0
    if len(line) > EXCERPT_COLUMNS_MAX:
        start = max(0, diagnostic.column - 1 - EXCERPT_COLUMNS_MAX // 2)
    excerpt = line[start : start + EXCERPT_COLUMNS_MAX].rstrip()
    caret = " " * (diagnostic.column - 1 - start) + "^"
    return f"{diagnostic}\n    {excerpt}\n    {caret}"


def near(word: str, known: Iterable[str]) -> str | None:
    """The known word that is near, whatever its case."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean "wlc"?` where a known word is near, else nothing."""
    found = near(word, known)
    return f'did you mean "{found}"?' if found is not None else ""


def spelled(value: object) -> str:
    """A value as YAML has it: "wlcc" in quotes, true, ["rr"]."""
    return json.dumps(value, ensure_ascii=False, default=str)


def choices(word: str, known: Iterable[str]) -> str:
    """The near word if there is one, else all there are."""
    words = list(known)
    return did_you_mean(word, words) or "known: " + ", ".join(words)
